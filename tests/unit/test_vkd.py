"""Visual Knowledge Distillation: targets, teacher, loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.anatomy import anatomy_of
from unsee.data.collate import PictureCollator
from unsee.errors import UnseeError
from unsee.methods import vkd_targets
from unsee.methods.distances import relative_squared_error
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import TARGETS, VKDConfig

FORGET = tiny.examples(2, 3)
RETAIN = tiny.examples(4, 2, first=10)
STRANGERS = tiny.examples(3, 2, first=50)


def trainer_of(processing: Any, forget: Any = FORGET, **options: Any) -> VKDTrainer:
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 3, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 3, "learning_rate": 1e-3}
    chosen |= {"features": "vision+projector", "near_pictures": 0, "identity_weight": 0.0}
    chosen |= {"target_strength": 1.0, **options}
    model = tiny.llava(processing, seed=3)
    args = VKDConfig(**chosen)
    return VKDTrainer(model, args, forget, RETAIN, processing, stranger_dataset=STRANGERS)


NAMES = ("vision", "projector")
Features = dict[str, torch.Tensor]


def seen_by(model: Any, processing: Any, examples: Any) -> Features:
    with torch.no_grad():
        return anatomy_of(model).seeing(PictureCollator(processing)(examples)).pick(NAMES)


def mean(features: Features, name: str, rows: slice | list[int] = slice(None)) -> Any:
    return features[name][rows].mean(0)


def target_of(trainer: VKDTrainer, forget: Features, beside: Any = None) -> Features:
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
        before, after, everyone = forget[name], target[name], mean(retain, name)
        assert after.shape == before.shape
        for person in ([0, 1, 2], [3, 4, 5]):
            apart = mean(forget, name, person) - everyone
            expected = mean(forget, name, person) - strength * apart
            torch.testing.assert_close(mean(target, name, person), expected, atol=1e-5, rtol=1e-4)
            within = after[person] - after[person[0]]
            torch.testing.assert_close(within, before[person] - before[person[0]])
    assert torch.equal(target["vision"], forget["vision"]) == (strength == 0)


def test_anonymous_goes_by_person_in_any_order(processing: Any) -> None:
    mixed = [FORGET[i] for i in (3, 0, 4, 1, 5, 2)]
    trainer = trainer_of(processing, forget=mixed, forget_target="anonymous")
    target = target_of(trainer, seen_by(trainer.model, processing, mixed))
    everyone = seen_by(trainer.model, processing, RETAIN)["projector"].mean(0)
    for person in ([0, 2, 4], [1, 3, 5]):
        found = mean(target, "projector", person)
        torch.testing.assert_close(found, everyone, atol=1e-5, rtol=1e-4)


def test_pictures_without_a_person_are_taken_for_one(processing: Any) -> None:
    unnamed = [{"image": example["image"]} for example in FORGET]
    trainer = trainer_of(processing, forget=unnamed, forget_target="anonymous")
    target = target_of(trainer, seen_by(trainer.model, processing, unnamed))
    everyone = seen_by(trainer.model, processing, RETAIN)["projector"].mean(0)
    torch.testing.assert_close(mean(target, "projector"), everyone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(mean(target, "projector", [0, 1, 2]), everyone, atol=1e-3)


def test_near_pictures_are_those_most_like_the_person(processing: Any) -> None:
    alike = [{"image": FORGET[i]["image"]} for i in (0, 4)]
    retain = [*RETAIN[:3], alike[0], *RETAIN[3:], alike[1]]
    args = VKDConfig(output_dir="work", near_pictures=1, identity_weight=0.0, target_strength=1.0)
    model = tiny.llava(processing, seed=3)
    trainer = VKDTrainer(model, args, [FORGET[0], FORGET[4]], retain, processing)
    forget = seen_by(model, processing, [FORGET[0], FORGET[4]])
    target = target_of(trainer, {"projector": forget["projector"]})
    # The nearest picture of each is itself: nothing is taken off.
    torch.testing.assert_close(target["projector"], forget["projector"], atol=1e-5, rtol=1e-4)
    everyone = trainer_of(processing, near_pictures=99)
    expected = target_of(trainer_of(processing), seen_by(model, processing, FORGET))
    found = target_of(everyone, seen_by(model, processing, FORGET))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 1.3])
def test_excess_is_what_goes_beyond_the_target_along_the_person(strength: float) -> None:
    torch.manual_seed(0)
    forgotten, others = torch.randn(2, 4, 3), torch.randn(1, 4, 3)
    target = vkd_targets.Anonymous({"projector": forgotten}, {"projector": others}, strength)
    who = torch.tensor([1, 0, 1])
    shares = torch.tensor([0.4, -0.2 - strength, 1.0])
    aside = torch.randn(3, 4, 3)
    seen, expected = [], []
    for person, share, noise in zip(who.tolist(), shares.tolist(), aside, strict=True):
        apart = forgotten[person] - others[0]
        noise = noise - (noise * apart).sum() / (apart * apart).sum() * apart
        seen.append(others[0] + share * apart + noise)  # what is orthogonal does not count
        expected.append(max(0.0, share - (1 - strength)) ** 2)
    found = target.excess({"projector": torch.stack(seen)}, who)
    assert found.item() == pytest.approx(sum(expected) / 3, rel=1e-4)
    at_target = target({"projector": forgotten[who]}, {}, who)
    assert target.excess(at_target, who).item() == pytest.approx(0.0, abs=1e-9)


def test_identity_weight_takes_the_person_out_of_single_pictures(processing: Any) -> None:
    left = []
    for weight in (0.0, 100.0):
        trainer = trainer_of(processing, identity_weight=weight, max_steps=20)
        trainer.train()
        seen = seen_by(trainer.model, processing, FORGET)
        assert isinstance(trainer.target, vkd_targets.Anonymous)
        left.append(trainer.target.excess(seen, trainer._group_of).item())
    assert left[1] < 0.9 * left[0]


def test_negative_weights_are_refused() -> None:
    for options in ({"near_pictures": -1}, {"identity_weight": -0.5}):
        with pytest.raises(UnseeError, match="at least 0"):
            VKDConfig(output_dir="work", **options)


def test_mean_retain(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="mean-retain")
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET))
    retain = seen_by(trainer.model, processing, RETAIN)
    for name in ("vision", "projector"):
        found = target[name]
        assert found.shape == (6, 16, 32)
        for picture in found:
            torch.testing.assert_close(picture, mean(retain, name), atol=1e-5, rtol=1e-4)


def test_mean_is_taken_over_pictures_spread_over_the_set(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="mean-retain", statistics_pictures=4)
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET))
    retain = seen_by(trainer.model, processing, RETAIN)
    expected = mean(retain, "vision", [0, 2, 4, 6])  # one of each person
    torch.testing.assert_close(target["vision"][0], expected, atol=1e-5, rtol=1e-4)


def test_other_people(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="other-people")
    beside = seen_by(trainer.model, processing, RETAIN[:6])
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET), beside)
    assert torch.equal(target["vision"], beside["vision"])
    assert torch.equal(target["projector"], beside["projector"])


def test_random_direction(processing: Any) -> None:
    found = []
    for seed in (1, 1, 2):
        trainer = trainer_of(processing, forget_target="random-direction", seed=seed)
        found.append(target_of(trainer, seen_by(trainer.model, processing, FORGET)))
    everyone = seen_by(trainer.model, processing, RETAIN)
    for name in ("vision", "projector"):
        tokens = found[0][name]
        assert tokens.shape == (6, 16, 32)
        assert (tokens == tokens[0, 0]).all()
        length = mean(everyone, name).norm(dim=-1).mean()
        torch.testing.assert_close(tokens[0, 0].norm(), length)
        assert torch.equal(tokens, found[1][name])
        assert not torch.allclose(tokens, found[2][name])


@pytest.mark.skipif("k-same" not in TARGETS, reason="not offered")
def test_k_same_averages_the_nearest(processing: Any) -> None:
    retain = [*RETAIN, {"image": 255 - FORGET[0]["image"]}, {"image": FORGET[4]["image"]}]
    collate = PictureCollator(processing)
    seeing = anatomy_of(tiny.llava(processing)).seeing.frozen_copy()

    def teacher(batch: Any) -> Features:
        return seeing(batch).pick(NAMES)

    pool = teacher(collate(retain))
    one = vkd_targets.k_same(teacher, [collate(retain)], k=1)
    found = one(teacher(collate(FORGET)), pool, torch.arange(6))
    torch.testing.assert_close(found["vision"][4], pool["vision"][-1])  # the very same picture
    every = vkd_targets.k_same(teacher, [collate(retain)], k=99)
    found = every(teacher(collate(FORGET[2:3])), pool, torch.tensor([2]))
    torch.testing.assert_close(
        found["projector"][0], pool["projector"].mean(0), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("forget_target", TARGETS)
def test_every_target_can_be_learnt(forget_target: str, processing: Any) -> None:
    rate = 1e-4 if forget_target == "pruned" else 1e-3  # a pruned teacher is near from the start
    trainer = trainer_of(
        processing,
        forget_target=forget_target,
        max_steps=15,
        retain_weight=0,
        learning_rate=rate,
        seed=1,
        augment=False,
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
        student = {
            side: trainer.anatomy.seeing(batch[side]).pick(NAMES) for side in ("forget", "retain")
        }
        teacher = {side: trainer.teacher(batch[side]).pick(NAMES) for side in ("forget", "retain")}
    goal = {"forget": target_of(trainer, teacher["forget"]), "retain": teacher["retain"]}
    parts = {
        side: sum(relative_squared_error(student[side][n], goal[side][n]) for n in names)
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
    taught = trainer.teacher(PictureCollator(processing)(FORGET)).pick(NAMES)
    assert torch.equal(taught["projector"], before["projector"])
    moved = seen_by(trainer.model, processing, FORGET)
    assert not torch.equal(moved["projector"], before["projector"])
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
        ({"schedule": "never"}, "schedule='never' is not offered; choose paired, alternating"),
        ({"forget_every": 0}, "forget_every must be at least 1"),
        ({"distance": "far"}, "distance='far' is not offered; choose relative, mse, cosine"),
        ({"mask": "all"}, "mask='all' is not offered; choose none, fisher"),
        ({"output_loss": "gd"}, "output_loss='gd' is not offered; choose none, ce, npo, kl"),
        ({"lora_rank": -1}, "lora_rank must not be negative"),
        ({"lora_rank": 4, "mask": "fisher"}, "a mask is of the weights, which lora_rank leaves"),
        ({"blocks": "first"}, "blocks='first': give numbers from 0"),
        ({"prune_ratio": 1.0}, "prune_ratio must be between 0 and 1"),
        (
            {"forget_target": "pruned", "prune_side": "student"},
            "forget_target=pruned needs prune_side=teacher or both",
        ),
    ],
)
def test_bad_options_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UnseeError, match=message):
        VKDConfig(output_dir="work", **option)


def test_repel_moves_away_from_where_it_starts(processing: Any) -> None:
    """At distance 0 a hinge has no gradient; from the nudged original it has one."""
    trainer = trainer_of(processing, forget_target="repel", retain_weight=0.0, max_steps=20)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])

    def apart() -> float:
        with torch.no_grad():
            seen = trainer.anatomy.seeing(batch["forget"]).pick(NAMES)
            taught = trainer.teacher(batch["forget"]).pick(NAMES)
            return float(trainer._apart(seen, taught))

    trainer.compute_loss(trainer.model, batch).backward()
    gradients = [trainer.model.get_parameter(n).grad for n in trainer.trained]
    assert apart() == 0 and sum(float(g.abs().sum()) for g in gradients) > 1e-3
    trainer.train()
    assert apart() > 0.05


def test_strangers_are_needed_for_their_target(processing: Any) -> None:
    args = VKDConfig(output_dir="work", forget_target="strangers")
    with pytest.raises(UnseeError, match="forget_target=strangers needs pictures of strangers"):
        VKDTrainer(tiny.llava(processing), args, FORGET, RETAIN, processing)


def test_strangers_target_averages_the_nearest_strangers(processing: Any) -> None:
    trainer = trainer_of(processing, forget_target="strangers", neighbours=99)
    target = target_of(trainer, seen_by(trainer.model, processing, FORGET))
    strangers = seen_by(trainer.model, processing, STRANGERS)
    for name in NAMES:
        for picture in target[name]:
            torch.testing.assert_close(picture, mean(strangers, name), atol=1e-5, rtol=1e-4)


def test_chosen_blocks_are_distilled(processing: Any) -> None:
    trainer = trainer_of(processing, blocks="0", features="projector")
    assert trainer.names == ("block-0", "projector")
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])["forget"]
    with torch.no_grad():
        pixels = batch["pixel_values"]
        hidden = trainer.model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
        seen = trainer.anatomy.seeing(batch).pick(trainer.names)
    assert torch.equal(seen["block-0"], hidden[1])
    trainer.train()
    with torch.no_grad():
        trainer.compute_loss(
            trainer.model, {"forget": batch, "retain": batch, "forget_index": torch.arange(6)}
        )
        ours, theirs = (
            s(batch).pick(trainer.names) for s in (trainer.anatomy.seeing, trainer.teacher)
        )
        apart = [float(trainer.distance(ours[name], theirs[name])) for name in trainer.names]
    assert apart[0] > 0 and trainer.parts["retain"][-1] == pytest.approx(sum(apart) / 2, rel=1e-4)


def test_block_behind_the_layer_that_is_read_is_refused(processing: Any) -> None:
    args = VKDConfig(output_dir="work", blocks="0,1")
    with pytest.raises(UnseeError, match="block-1 lies behind the last block read, block-0"):
        VKDTrainer(tiny.llava_layer_2(processing), args, FORGET, RETAIN, processing)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_last_blocks_alone_can_be_trained(count: int, processing: Any) -> None:
    trainer = trainer_of(processing, vision_blocks=count)
    blocks = {n.split(".")[4] for n in trainer.trained if ".layers." in n}
    assert blocks == ({"0", "1"} if count in (0, 2) else {"1"})
    assert any("multi_modal_projector" in n for n in trainer.trained)
    assert any("embedding" in n for n in trainer.trained) == (count == 0)


def test_schedules(processing: Any) -> None:
    both, forget, retain = ("forget", "retain"), ("forget",), ("retain",)
    for options, expected in (
        ({}, [both] * 4),
        ({"forget_every": 2}, [both, retain, both, retain]),
        ({"schedule": "alternating"}, [forget, retain, forget, retain]),
        ({"schedule": "alternating", "forget_every": 2}, [forget, retain, retain, forget]),
    ):
        trainer = trainer_of(processing, max_steps=4, logging_steps=1, **options)
        assert [trainer.sides_of(step) for step in range(4)] == expected
        trainer.train()
        lines = [x for x in trainer.state.log_history if "loss" in x]
        logged = [tuple(s for s in both if f"{s}_loss" in line) for line in lines]
        assert logged == expected


def test_pictures_most_like_those_to_forget_come_more_often(processing: Any) -> None:
    """Copies of the forget pictures, hidden among the retained, are found."""
    retain = [*tiny.examples(4, 3, first=10)]
    retain[5] = {**retain[5], "image": tiny.picture(0)}
    retain[9] = {**retain[9], "image": tiny.picture(1000)}
    args = VKDConfig(output_dir="work", hard_share=0.5, hard_pictures=1, augment=False)
    forget = tiny.examples(2, 1)
    trainer = VKDTrainer(tiny.llava(processing, seed=3), args, forget, retain, processing)
    order = list(trainer.train_dataset.order)
    assert order[:12] == list(range(12)) and len(order) == len(trainer.train_dataset) == 24
    assert {5, 9} == set(order[12:]) and order[12:].count(5) == 6
    assert trainer.train_dataset[12]["retain"] is retain[order[12]]


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_share_of_hard_pictures_is_checked(share: float) -> None:
    with pytest.raises(UnseeError, match="hard_share must be at least 0 and below 1"):
        VKDConfig(output_dir="work", hard_share=share)
