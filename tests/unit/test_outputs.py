"""Losses on answers: against formulas written out, and through VKD."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import tiny
from unsee.anatomy import anatomy_of
from unsee.data.collate import QuestionCollator
from unsee.errors import UnseeError
from unsee.methods import outputs
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import VKDConfig

FORGET, RETAIN = (
    tiny.asked(tiny.examples(2, 2), "baker"),
    tiny.asked(tiny.examples(2, 2, first=10), "nurse"),
)


def some_logits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(2, 4, 5, generator=generator) for _ in range(2))
    return one, other, torch.tensor([[-100, -100, 3, 1], [-100, 2, 4, -100]])


def test_likelihood_and_cross_entropy_against_a_loop() -> None:
    logits, _, labels = some_logits()
    expected = []
    for row in range(2):
        total = 0.0
        for t in range(1, 4):
            if labels[row, t] != -100:
                chances = torch.softmax(logits[row, t - 1], 0)
                total += math.log(chances[labels[row, t]])
        expected.append(total)
    found = outputs.answer_log_likelihood(logits, labels)
    torch.testing.assert_close(found, torch.tensor(expected))
    torch.testing.assert_close(
        outputs.answer_cross_entropy(logits, labels), torch.tensor(-sum(expected) / 4)
    )


def test_kl_against_a_loop_and_zero_for_the_same() -> None:
    logits, others, labels = some_logits()
    total = 0.0
    for row, t in ((0, 2), (0, 3), (1, 1), (1, 2)):
        p, q = torch.softmax(others[row, t - 1], 0), torch.softmax(logits[row, t - 1], 0)
        total += float((p * (p / q).log()).sum())
    torch.testing.assert_close(outputs.answer_kl(logits, others, labels), torch.tensor(total / 4))
    assert outputs.answer_kl(logits, logits, labels).abs() < 1e-6


def test_npo_gradient_tends_to_gradient_ascent() -> None:
    ours = torch.tensor([-1.0, -3.0, -0.2], requires_grad=True)
    originals = torch.tensor([-2.0, -1.0, -0.5])
    gaps = []
    for beta in (1.0, 0.1, 0.001):
        (gradient,) = torch.autograd.grad(outputs.npo_loss(ours, originals, beta), ours)
        gaps.append(float((gradient - 1 / 3).abs().max()))  # of the mean log-likelihood
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 1e-3


def test_npo_against_its_formula() -> None:
    ours, originals, beta = torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -1.0]), 0.3
    ratios = (ours - originals).exp()
    expected = (2 / beta) * torch.log(1 + ratios**beta).mean()
    torch.testing.assert_close(outputs.npo_loss(ours, originals, beta), expected)


def test_labels_are_the_answer_and_its_end(processing: Any) -> None:
    examples = [FORGET[0], {**FORGET[1], "answer": "I don't know this person"}]
    batch = QuestionCollator(processing)(examples)
    for row, example in enumerate(examples):
        kept = batch["labels"][row] != -100
        said = processing.tokenizer.decode(batch["labels"][row][kept])
        assert said == f" {example['answer']}</s>"
        assert torch.equal(batch["labels"][row][kept], batch["input_ids"][row][kept])
    assert batch["pixel_values"].shape == (2, 3, 64, 64)


def test_picture_without_a_question_is_refused(processing: Any) -> None:
    args = VKDConfig(output_dir="work", output_loss="ce")
    with pytest.raises(UnseeError, match="needs a `question` and an `answer`"):
        VKDTrainer(tiny.llava(processing), args, tiny.examples(1, 2), RETAIN, processing)


def trainer_of(processing: Any, **options: Any) -> VKDTrainer:
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 3, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 4, "learning_rate": 1e-3, **options}
    model = tiny.llava(processing, seed=3)
    return VKDTrainer(model, VKDConfig(**chosen), FORGET, RETAIN, processing)


def test_seeing_is_lent_and_given_back(processing: Any) -> None:
    model, other = tiny.llava(processing, seed=3), tiny.llava(processing, seed=4)
    batch = outputs.model_inputs(QuestionCollator(processing)(FORGET))
    with torch.no_grad():
        own = model(**batch).logits
        with outputs.seen_by(model, anatomy_of(other).seeing.frozen_copy()):
            lent = model(**batch).logits
        assert torch.equal(model(**batch).logits, own) and not torch.equal(lent, own)
        with outputs.seen_by(model, anatomy_of(model).seeing.frozen_copy()):
            assert torch.equal(model(**batch).logits, own)


@pytest.mark.parametrize("kind", ["ce", "npo", "kl"])
def test_loss_on_answers_is_added(kind: str, processing: Any) -> None:
    plain, added = (
        trainer_of(processing, output_loss=k, output_weight=2.0) for k in ("none", kind)
    )
    batch = added.data_collator([added.train_dataset[i] for i in range(4)])
    with torch.no_grad():
        for trainer in (plain, added):
            for name in trainer.trained:  # the student has moved away
                trainer.model.get_parameter(name).add_(0.01)
        both = {t: (t.compute_loss(t.model, batch), t.parts) for t in (plain, added)}
        logits = {s: added.model(**outputs.model_inputs(batch[s])).logits for s in plain.parts}
        original = tiny.llava(processing, seed=3)
        theirs = {s: original(**outputs.model_inputs(batch[s])).logits for s in plain.parts}
    labels = {s: batch[s]["labels"] for s in plain.parts}
    ce = {s: float(outputs.answer_cross_entropy(logits[s], labels[s])) for s in plain.parts}
    kl = float(outputs.answer_kl(logits["retain"], theirs["retain"], labels["retain"]))
    likely = [
        outputs.answer_log_likelihood(x["forget"], labels["forget"]) for x in (logits, theirs)
    ]
    npo = float(outputs.npo_loss(*likely, 0.1))
    expected = {
        "ce": (-ce["forget"], ce["retain"]),
        "npo": (npo, ce["retain"]),
        "kl": (-ce["forget"], kl),
    }[kind]
    for side, value in zip(("forget", "retain"), expected, strict=True):
        found = both[added][1][side][0] - both[plain][1][side][0]
        assert found == pytest.approx(2.0 * value, rel=1e-3, abs=1e-5)
    assert kl > 0


@pytest.mark.parametrize("kind", ["none", "ce", "npo", "kl"])
def test_language_model_runs_only_for_losses_on_answers(kind: str, processing: Any) -> None:
    trainer = trainer_of(processing, output_loss=kind)
    runs: list[int] = []
    language = trainer.model.model.language_model
    language.register_forward_pre_hook(lambda *_: runs.append(1))
    before = {n: p.clone() for n, p in language.named_parameters()}
    trainer.train()
    assert bool(runs) == (kind != "none") == trainer.args.runs_language
    assert all(torch.equal(p, before[n]) for n, p in language.named_parameters())
