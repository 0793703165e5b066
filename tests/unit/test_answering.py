"""Answers in batches are those of one question at a time, and likelihoods those of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from unsee.anatomy.families import _FAMILIES
from unsee.data.records import PictureKey, Question
from unsee.evaluation.answering import (
    Asked,
    answer,
    complete,
    log_likelihoods,
    next_token_logits,
    option_log_likelihoods,
    prompt_of,
)
from unsee.evaluation.shared import common_prefix

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


@pytest.fixture(scope="module")
def layer_2(processing: Any) -> Any:
    """The same for a model that leaves its last vision block unread."""
    made = tiny.llava_layer_2(processing)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return made


def ask(
    model: Any, processing: Any, questions: list[Question], size: int, share: bool = True
) -> list[str]:
    return answer(model, processing, questions, picture_of, size, 6, False, share)


@contextmanager
def counted(model: Any) -> Iterator[dict[str, int]]:
    """How many pictures V and how many tokens W gets."""
    found = {"pictures": 0, "tokens": 0}

    def vision(module: Any, args: Any, output: Any) -> None:
        found["pictures"] += len(output.pooler_output)

    def language(module: Any, args: Any, output: Any) -> None:
        found["tokens"] += output[0].shape[0] * output[0].shape[1]

    hooks = [
        model.model.vision_tower.register_forward_hook(vision),
        model.model.language_model.layers[0].mlp.register_forward_hook(
            lambda module, args, output: language(module, args, [output])
        ),
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def test_prompt_is_the_chat_template(processing: Any) -> None:
    assert prompt_of(processing, QUESTIONS[0]) == "USER: <image>Who is this? ASSISTANT:"
    assert prompt_of(processing, QUESTIONS[4]) == "USER: Is it? ASSISTANT:"


@pytest.mark.parametrize("size", [1, 3, 128])
@pytest.mark.parametrize("name", ["model", "layer_2"])
def test_batches_answer_as_one_by_one(
    name: str, size: int, processing: Any, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    together = ask(model, processing, QUESTIONS, size)
    alone = [ask(model, processing, [q], 1, share=False)[0] for q in QUESTIONS]
    assert together == alone
    assert ask(model, processing, QUESTIONS, size, share=False) == alone
    assert len(set(alone)) >= 5


MANY = [question(text, index) for index in (0, 1) for text in ("Who is this?", "Who?", "Is it?")]


def test_a_picture_is_seen_once(model: Any, processing: Any) -> None:
    with counted(model) as apart:
        plain = ask(model, processing, MANY, 2, share=False)
    ask(model, processing, MANY[:1], 2)  # the processor is looked at once
    with counted(model) as one:
        ask(model, processing, MANY[:1], 2)
    with counted(model) as together:
        assert ask(model, processing, MANY, 2) == plain
    assert apart["pictures"] == 6
    assert together["pictures"] - (one["pictures"] - 1) == 2
    assert together["tokens"] < apart["tokens"] - 3 * 16  # W reads each picture's 16 tokens once


def test_options_share_the_prompt(model: Any, processing: Any) -> None:
    asked = [question("Which city does this person live in?", i, OPTIONS) for i in (0, 1)]
    with counted(model) as apart:
        plain = option_log_likelihoods(model, processing, asked, picture_of, 8, False, False)
    with counted(model) as together:
        shared = option_log_likelihoods(model, processing, asked, picture_of, 8, False)
    for ours, theirs in zip(shared, plain, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-5)
    assert apart["pictures"] == 6
    assert together["pictures"] == 3  # one of them to look at the processor
    assert together["tokens"] < apart["tokens"] / 2


def test_options_that_begin_alike(model: Any, processing: Any) -> None:
    options = ("Ada Belberg", "Ada Belberg Oslo", "Ada", "baker", "a")
    for asked in (question("Who?", 1, options), question("Who is Ada Belberg?", None, options)):
        found = [
            option_log_likelihoods(
                model, processing, [QUESTIONS[0], asked], picture_of, 3, False, share
            )[1]
            for share in (True, False)
        ]
        assert found[0] == pytest.approx(found[1], abs=1e-4, rel=1e-5)
        assert len(set(found[0])) == 5


def test_families_that_do_not_allow_it_are_asked_plainly(
    model: Any, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ask(model, processing, MANY, 2)
    family = replace(_FAMILIES["llava"], shares_vision=False)
    monkeypatch.setitem(_FAMILIES, "llava", family)
    with counted(model) as found:
        assert ask(model, processing, MANY, 2) == shared
    assert found["pictures"] == 6


def test_prompts_with_several_pictures(model: Any, processing: Any) -> None:
    def prompt(last: int, words: str, example: str = "baker") -> Asked:
        text = f"USER: <image>Who? ASSISTANT: {example}</s>USER: <image>{words} ASSISTANT:"
        return Asked(text, (partial(picture_of, PictureKey(1, "test", 9)), shown[last]))

    shown = [partial(picture_of, PictureKey(1, "test", index)) for index in (0, 1)]
    asked = [prompt(last, words) for last in (0, 1) for words in ("Who?", "Is it?", "Who is this?")]
    for prompts, seen in ((asked, 2 + 3), ([*asked, prompt(0, "Who?", "Oslo")], 2 + 3 + 14)):
        plain = complete(model, processing, prompts, 8, 6, False, share=False)
        with counted(model) as found:
            assert complete(model, processing, prompts, 8, 6, False) == plain
        assert found["pictures"] == seen  # other examples: not shared, but right
        first = [
            np.array(next_token_logits(model, processing, prompts, [5, 9], 2, False, share))
            for share in (True, False)
        ]
        assert first[0] == pytest.approx(first[1], abs=1e-4, rel=1e-5)
        options = [OPTIONS] * len(prompts)
        weights = [
            np.array(log_likelihoods(model, processing, prompts, options, 8, False, share))
            for share in (True, False)
        ]
        assert weights[0] == pytest.approx(weights[1], abs=1e-4, rel=1e-5)


class Wordy:
    """A processor that says more than the prompt."""

    def __init__(self, processing: Any) -> None:
        self.processing = processing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processing, name)

    def __call__(self, text: list[str], **kwargs: Any) -> Any:
        return self.processing(text=[f"baker {one}" for one in text], **kwargs)


def test_processors_that_do_more_are_asked_plainly(model: Any, processing: Any) -> None:
    plain = ask(model, Wordy(processing), MANY, 2, share=False)
    assert ask(model, Wordy(processing), MANY, 2) == plain
    assert plain != ask(model, processing, MANY, 2)


def test_a_picture_behind_the_question_is_not_shared(
    model: Any, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unsee.evaluation.answering.prompt_of",
        lambda processor, q: f"USER: {q.question}<image> ASSISTANT:",
    )
    plain = ask(model, processing, MANY, 2, share=False)
    assert ask(model, processing, MANY, 2) == plain


def test_common_prefix() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4, 5], [1, 2, 3, 9]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 2
    assert common_prefix([[2], [1]]) == 0


@pytest.mark.slow
def test_the_shipped_model_answers_the_same(tmp_path: Path) -> None:
    from unsee.models.shipped import shipped_path
    from unsee.studies.scoring import WAYS, scoring, speed_ups

    rows = scoring(str(shipped_path("seed0/vanilla")), tmp_path / "r.json", 1, 1).rows
    assert [row["way"] for row in rows] == list(WAYS)
    for line in speed_ups(rows):
        assert line["answers_that_differ"] == 0
        assert line["options_differ_by"] < 1e-3
        assert line["questions"] > 500


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
