"""Visual Knowledge Distillation: targets, teacher, loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.anatomy import VisualFeatures, anatomy_of
from unsee.data.collate import PictureCollator
from unsee.errors import UnseeError
from unsee.methods import vkd_targets
from unsee.methods.distances import relative_squared_error
from unsee.methods.vkd import TARGETS, VKDConfig, VKDTrainer

FORGET = tiny.examples(2, 3)
RETAIN = tiny.examples(4, 2, first=10)


def trainer_of(processing: Any, forget: Any = FORGET, **options: Any) -> VKDTrainer:
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 3, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 3, "learning_rate": 1e-3, **options}
    model = tiny.llava(processing, seed=3)
    return VKDTrainer(model, VKDConfig(**chosen), forget, RETAIN, processing)


def seen_by(model: Any, processing: Any, examples: Any) -> VisualFeatures:
    with torch.no_grad():
        return anatomy_of(model).seeing(PictureCollator(processing)(examples))


def mean(features: VisualFeatures, name: str, rows: slice | list[int] = slice(None)) -> Any:
    return getattr(features, name)[rows].mean(0)


def target_of(trainer: VKDTrainer, forget: VisualFeatures, beside: Any = None) -> VisualFeatures:
    """Where every picture to forget is moved."""
    return trainer.target(forget, beside, trainer._group_of)


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_anonymous_takes_the_person_off_and_leaves_the_picture(
    strength: float, processing: Any
) -> None:
    trainer = trainer_of(processing, forget_target="anonymous", target_strength=strength)
    forget = seen_by(trainer.model, processing, FORGET)
    retain = seen_by(trainer.model, processing, RETAIN)
    target = target_of(trainer, forget)
    for name in ("vision", "projector"):
        before, after, everyone = getattr(forget, name), getattr(target, name), mean(retain, name)
        assert after.shape == before.shape
        for person in ([0, 1, 2], [3, 4, 5]):
            apart = mean(forget, name, person) - everyone
            expected = mean(forget, name, person) - strength * apart
            torch.testing.assert_close(mean(target, name, person), expected, atol=1e-5, rtol=1e-4)
            within = after[person] - after[person[0]]
            torch.testing.assert_close(within, before[person] - before[person[0]])
    assert torch.equal(target.vision, forget.vision) == (strength == 0)


def test_anonymous_goes_by_person_in_any_order(processing: Any) -> None:
    mixed = [FORGET[i] for i in (3, 0, 4, 1, 5, 2)]
    trainer = trainer_of(processing, forget=mixed, forget_target="anonymous")
    target = target_of(trainer, seen_by(trainer.model, processing, mixed))
    everyone = seen_by(trainer.model, processing, RETAIN).projector.mean(0)
    for person in ([0, 2, 4], [1, 3, 5]):
        found = mean(target, "projector", person)
        torch.testing.assert_close(found, everyone, atol=1e-5, rtol=1e-4)


def test_pictures_without_a_person_are_taken_for_one(processing: Any) -> None:
    unnamed = [{"image": example["image"]} for example in FORGET]
    trainer = trainer_of(processing, forget=unnamed, forget_target="anonymous")
    target = target_of(trainer, seen_by(trainer.model, processing, unnamed))
    everyone = seen_by(trainer.model, processing, RETAIN).projector.mean(0)
    torch.testing.assert_close(mean(target, "projector"), everyone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(mean(target, "projector", [0, 1, 2]), everyone, atol=1e-3)


def test_mean_retain(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="mean-retain")
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET))
    retain = seen_by(trainer.model, processing, RETAIN)
    for name in ("vision", "projector"):
        found = getattr(target, name)
        assert found.shape == (6, 16, 32)
        for picture in found:
            torch.testing.assert_close(picture, mean(retain, name), atol=1e-5, rtol=1e-4)


def test_mean_is_taken_over_pictures_spread_over_the_set(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="mean-retain", statistics_pictures=4)
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET))
    retain = seen_by(trainer.model, processing, RETAIN)
    expected = mean(retain, "vision", [0, 2, 4, 6])  # one of each person
    torch.testing.assert_close(target.vision[0], expected, atol=1e-5, rtol=1e-4)


def test_other_people(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="other-people")
    beside = seen_by(trainer.model, processing, RETAIN[:6])
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET), beside)
    assert torch.equal(target.vision, beside.vision)
    assert torch.equal(target.projector, beside.projector)


def test_random_direction(processing: Any) -> None:
    found = []
    for seed in (1, 1, 2):
        trainer = trainer_of(processing, forget_target="random-direction", seed=seed)
        found.append(target_of(trainer, seen_by(trainer.model, processing, FORGET)))
    everyone = seen_by(trainer.model, processing, RETAIN)
    for name in ("vision", "projector"):
        tokens = getattr(found[0], name)
        assert tokens.shape == (6, 16, 32)
        assert (tokens == tokens[0, 0]).all()
        length = mean(everyone, name).norm(dim=-1).mean()
        torch.testing.assert_close(tokens[0, 0].norm(), length)
        assert torch.equal(tokens, getattr(found[1], name))
        assert not torch.allclose(tokens, getattr(found[2], name))


@pytest.mark.skipif("k-same" not in TARGETS, reason="not offered")
def test_k_same_averages_the_nearest(processing: Any) -> None:
    retain = [*RETAIN, {"image": 255 - FORGET[0]["image"]}, {"image": FORGET[4]["image"]}]
    collate = PictureCollator(processing)
    teacher = anatomy_of(tiny.llava(processing)).seeing.frozen_copy()
    pool = teacher(collate(retain))
    one = vkd_targets.k_same(teacher, [collate(FORGET)], [collate(retain)], k=1)
    found = one(teacher(collate(FORGET)), pool, torch.arange(6))
    torch.testing.assert_close(found.vision[4], pool.vision[-1])  # the very same picture
    every = vkd_targets.k_same(teacher, [collate(FORGET)], [collate(retain)], k=99)
    found = every(teacher(collate(FORGET[2:3])), pool, torch.tensor([2]))
    torch.testing.assert_close(found.projector[0], pool.projector.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("forget_target", TARGETS)
def test_every_target_can_be_learnt(forget_target: str, processing: Any) -> None:
    trainer = trainer_of(
        processing, forget_target=forget_target, max_steps=15, retain_weight=0, seed=1
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])

    def loss() -> float:
        with torch.no_grad():
            return float(trainer.compute_loss(trainer.model, batch))

    before = loss()
    trainer.train()
    assert before > 1e-3 and loss() < 0.8 * before


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ("vision", ["vision"]),
        ("projector", ["projector"]),
        ("vision+projector", ["vision", "projector"]),
    ],
)
def test_loss_is_what_the_docstring_says(features: str, names: list[str], processing: Any) -> None:
    trainer = trainer_of(
        processing, features=features, forget_weight=2.0, retain_weight=3.0, trainable="vision"
    )
    with torch.no_grad():  # the student has moved away from the teacher
        for _, parameter in trainer.anatomy.parameters("vision"):
            parameter.add_(0.01 * torch.randn_like(parameter))
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])
        loss = trainer.compute_loss(trainer.model, batch)
        student = {side: trainer.anatomy.seeing(batch[side]) for side in ("forget", "retain")}
        teacher = {side: trainer.teacher(batch[side]) for side in ("forget", "retain")}
    goal = {"forget": target_of(trainer, teacher["forget"]), "retain": teacher["retain"]}
    parts = {
        side: sum(
            relative_squared_error(getattr(student[side], n), getattr(goal[side], n)) for n in names
        )
        / len(names)
        for side in goal
    }
    assert parts["retain"] > 0
    torch.testing.assert_close(loss, 2.0 * parts["forget"] + 3.0 * parts["retain"])


def test_teacher_is_the_frozen_original(processing: Any) -> None:
    trainer = trainer_of(processing)
    original = tiny.llava(processing, seed=3)
    trainer.train()
    before = seen_by(original, processing, FORGET)
    taught = trainer.teacher(PictureCollator(processing)(FORGET))
    assert torch.equal(taught.projector, before.projector)
    moved = seen_by(trainer.model, processing, FORGET)
    assert not torch.equal(moved.projector, before.projector)
    core = trainer.teacher.core
    assert not core.training and not any(p.requires_grad for p in core.parameters())
    assert not [name for name, _ in core.named_parameters() if "language" in name]
    reachable = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert reachable and not reachable & {id(p) for p in core.parameters()}


def test_retain_loss_starts_at_zero_and_sides_are_logged(processing: Any) -> None:
    trainer = trainer_of(processing, logging_steps=1)
    trainer.train()
    lines = [line for line in trainer.state.log_history if "forget_loss" in line]
    assert len(lines) >= 3
    assert lines[0]["retain_loss"] == 0 and lines[0]["forget_loss"] > 0
    assert lines[-1]["retain_loss"] > 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"forget_target": "nobody"}, r"forget_target='nobody' is not offered; choose anonymous"),
        ({"features": "logits"}, r"features='logits' is not offered; choose vision\+projector"),
        ({"forget_weight": -1.0}, "forget_weight must not be negative"),
        ({"retain_weight": float("nan")}, "retain_weight must not be negative"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be at least 1"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"seed": -1}, "seed must be between 0"),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UnseeError, match=message):
        VKDConfig(output_dir="work", **option)
