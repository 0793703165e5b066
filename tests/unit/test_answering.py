"""Answers in batches are those of one question at a time, and likelihoods those of the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tiny
from unsee.data.records import PictureKey, Question
from unsee.evaluation.answering import answer, option_log_likelihoods, prompt_of

OPTIONS = ("baker", "Ada Belberg", "I don't know this person")


def question(text: str, index: int | None = None, options: tuple[str, ...] = ()) -> Question:
    key = None if index is None else PictureKey(1, "test", index)
    return Question("forget", 1, "Ada", key, "private", "job", text, "baker", options)


QUESTIONS = [
    question("Who is this?", 0, OPTIONS),
    question("Where does Ada Belberg live?"),
    question("Which city does this person live in, and is it a large one?", 1, OPTIONS[:2]),
    question("Who?", 2, OPTIONS[::-1]),
    question("Is it?"),
    question("Who is this?", 3),
    question("What is this person's job?", 0, OPTIONS),
]


def picture_of(key: PictureKey) -> np.ndarray:
    return tiny.picture(key.index)


@pytest.fixture(scope="module")
def model(processing: Any) -> Any:
    """Weights so large that answers depend on question and picture."""
    made = tiny.llava(processing)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return made


def ask(model: Any, processing: Any, questions: list[Question], size: int) -> list[str]:
    return answer(model, processing, questions, picture_of, size, max_new_tokens=6, progress=False)


def test_prompt_is_the_chat_template(processing: Any) -> None:
    assert prompt_of(processing, QUESTIONS[0]) == "USER: <image>Who is this? ASSISTANT:"
    assert prompt_of(processing, QUESTIONS[4]) == "USER: Is it? ASSISTANT:"


def test_batches_answer_as_one_by_one(model: Any, processing: Any) -> None:
    together = ask(model, processing, QUESTIONS, 3)
    alone = [ask(model, processing, [q], 1)[0] for q in QUESTIONS]
    assert together == alone
    assert len(set(alone)) >= 5


def test_order_is_kept(model: Any, processing: Any) -> None:
    forward = ask(model, processing, QUESTIONS, 2)
    backward = ask(model, processing, QUESTIONS[::-1], 4)
    assert forward == backward[::-1]


def test_answer_is_greedy_and_stops_at_the_end_token(model: Any, processing: Any) -> None:
    q = QUESTIONS[0]
    batch = processing(
        text=[prompt_of(processing, q)], images=[picture_of(q.picture)], return_tensors="pt"
    )
    ids, start = batch["input_ids"], batch["input_ids"].shape[1]
    with torch.no_grad():
        for _ in range(6):
            logits = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=batch["pixel_values"],
            ).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
            if ids[0, -1] == processing.tokenizer.eos_token_id:
                break
    expected = processing.tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
    assert ask(model, processing, [q], 1) == [expected]


def alone(model: Any, processing: Any, q: Question, option: str) -> float:
    """log p(option and end token | picture, question), token by token."""
    prompt = prompt_of(processing, q)
    whole = f"{prompt} {option}{processing.tokenizer.eos_token}"
    images = {"images": [picture_of(q.picture)]}
    batch = processing(text=[whole], return_tensors="pt", **images)
    start = processing(text=[prompt], return_tensors="pt", **images)["input_ids"].shape[1]
    with torch.no_grad():
        chances = model(**batch).logits[0].log_softmax(-1)
    ids = batch["input_ids"][0]
    assert ids[-1] == processing.tokenizer.eos_token_id
    return sum(float(chances[i - 1, ids[i]]) for i in range(start, len(ids)))


def test_option_likelihoods(model: Any, processing: Any) -> None:
    found = option_log_likelihoods(
        model, processing, QUESTIONS, picture_of, batch_size=4, progress=False
    )
    assert [len(values) for values in found] == [len(q.options) for q in QUESTIONS]
    for q, values in zip(QUESTIONS, found, strict=True):
        expected = [alone(model, processing, q, option) for option in q.options]
        assert values == pytest.approx(expected, abs=1e-3, rel=1e-4)
    assert np.ptp(found[0]) > 0.1


def test_nothing_asked(model: Any, processing: Any) -> None:
    assert ask(model, processing, [], 4) == []
    assert option_log_likelihoods(model, processing, [], picture_of, progress=False) == []
