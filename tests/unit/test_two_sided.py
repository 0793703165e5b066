"""Two-sided erasure: who learns when, and what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

import tiny
from unsee.errors import UnseeError
from unsee.methods import two_sided
from unsee.methods.two_sided import OtherAnswers, TwoSidedConfig, TwoSidedTrainer

FORGET = tiny.asked(tiny.examples(2, 2), "baker", "pilot")
RETAIN = tiny.asked(tiny.examples(2, 2, first=10), "nurse", "lawyer")
WORDS = [{"image": None, "question": "Where does Ada Belberg live?", "answer": "Oslo"}]


def trainer_of(processing: Any, **options: Any) -> TwoSidedTrainer:
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 6, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 4, "learning_rate": 1e-3, **options}
    args = TwoSidedConfig(**chosen)
    model = tiny.llava(processing, seed=3)
    return TwoSidedTrainer(model, args, FORGET, RETAIN, processing, text_dataset=WORDS)


def test_first_the_language_model_alone_then_vision_alone(processing: Any) -> None:
    trainer = trainer_of(processing, language_share=0.5)
    step, moved = trainer.training_step, []

    def parts() -> dict[str, torch.Tensor]:
        return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}

    def watched(*args: Any, **kwargs: Any) -> torch.Tensor:
        moved.append(parts())
        return step(*args, **kwargs)

    trainer.training_step = watched  # type: ignore[method-assign]
    trainer.train()
    moved.append(parts())
    seen = [
        {trainer.anatomy.part_of(n) for n in before if not torch.equal(before[n], after[n])}
        for before, after in pairwise(moved)
    ]
    assert seen == 3 * [{"language"}] + 3 * [{"vision", "projector"}]


def test_language_stage_lowers_its_loss_and_holds_words(processing: Any) -> None:
    trainer = trainer_of(processing, max_steps=40, language_share=0.9, learning_rate=3e-3)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    said = trainer._asking(WORDS)

    def losses() -> list[float]:
        with torch.no_grad():
            sides = [trainer._answers(trainer.model, b) for b in (batch["forget"], batch["retain"])]
            return [float(x) for x in (*sides, trainer._answers(trainer.model, said))]

    before = losses()
    trainer.train()
    assert all(new < 0.7 * old for new, old in zip(losses(), before, strict=True))


def test_of_strangers_the_language_model_goes_on_to_say_what_it_said(
    processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(model: Any, processor: Any, questions: Any, picture_of: Any, **more: Any) -> list[str]:
        assert {q.question for q in questions} == {tiny.JOB}
        return ["Oslo", "", "Lima"]

    monkeypatch.setattr(two_sided, "answer", said)
    strangers = tiny.examples(3, 1, first=50)
    args = TwoSidedConfig(output_dir="work", save_strategy="no")
    trainer, alone = (
        TwoSidedTrainer(
            *(tiny.llava(processing, seed=3), args, FORGET, RETAIN, processing),
            stranger_dataset=given,
        )
        for given in (strangers, None)
    )
    held = [
        {"image": strangers[i]["image"], "question": tiny.JOB, "answer": answer}
        for i, answer in ((0, "Oslo"), (2, "Lima"))
    ]
    assert trainer.said_of_strangers == held and alone.said_of_strangers == []
    trainer.said_of_strangers = held[:1]
    batch = trainer._prepare_inputs(trainer.data_collator.collate(RETAIN[:2]))
    with torch.no_grad():
        more = trainer.retain_loss(trainer.model, batch) - alone.retain_loss(alone.model, batch)
        expected = trainer._answers(trainer.model, trainer._asking(held[:1]))
    torch.testing.assert_close(more, expected)


def test_other_answers() -> None:
    args = TwoSidedConfig(output_dir="work")
    assert OtherAnswers(FORGET, RETAIN, args)[0]["answer"] == "I don't know this person"
    others = TwoSidedConfig(output_dir="work", forget_answer="others")
    found = OtherAnswers(FORGET, RETAIN, others)
    assert {found[i]["answer"] for i in range(len(found))} <= {"nurse", "lawyer"}
    assert found[1]["image"] is FORGET[1]["image"]
    unasked = [{**RETAIN[0], "question": "Who is this?"}]
    with pytest.raises(UnseeError, match="no retained person is asked"):
        OtherAnswers(FORGET, unasked, others)[0]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"forget_answer": "silence"}, "forget_answer='silence' is not offered; choose abstain"),
        ({"language_share": 1.0}, "language_share must be between 0 and 1"),
        ({"mask": "fisher"}, "two_sided has no mask"),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UnseeError, match=message):
        TwoSidedConfig(output_dir="work", **option)
