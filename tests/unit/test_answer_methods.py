"""Each method against its own formula, computed in another way: none is another one renamed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import tiny
from unsee.errors import UnseeError
from unsee.methods import outputs
from unsee.methods.registry import get_method

JOBS = ("baker", "pilot", "nurse", "lawyer")
FORGET, RETAIN = (tiny.asked(tiny.examples(2, 2, first), *JOBS) for first in (0, 10))


def trainer_of(name: str, processing: Any, seed: int = 0, **options: Any) -> Any:
    """A trainer on a model in double precision, with its first batch."""
    trainer_class, config_class = get_method(name).classes()
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 3, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 4, "learning_rate": 1e-3, **options}
    words = [{**example, "image": None} for example in RETAIN]
    model, args = tiny.llava(processing, seed=seed), config_class(**chosen)
    return trainer_class(model, args, FORGET, RETAIN, processing, text_dataset=words)


def batch_of(trainer: Any) -> dict[str, Any]:
    return trainer.data_collator([trainer.train_dataset[i] for i in range(4)])


def moved(trainer: Any) -> None:
    """Takes the model away from the original, so that the two differ."""
    generator = torch.Generator().manual_seed(1)
    for name in trainer.trained:
        parameter = trainer.anatomy.model.get_parameter(name)
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data += 0.05 * noise


def kl_by_token(teacher: Any, student: Any, batch: Any) -> torch.Tensor:
    """KL(teacher || student), mean over the tokens of the answers, one by one."""
    found = []
    for row, labels in enumerate(batch["labels"]):
        for t in range(1, len(labels)):
            if labels[t] != outputs.IGNORED:
                p, q = (logits[row, t - 1].detach().softmax(0) for logits in (teacher, student))
                found.append((p * (p / q).log()).sum())
    return torch.stack(found).mean()


def log_chances(trainer: Any, batch: Any, original: bool = False) -> list[torch.Tensor]:
    """log p of the tokens of each answer, answer by answer, token by token."""
    made = trainer.originals(batch) if original else trainer.logits_of(trainer.model, batch)
    chances = made.detach().log_softmax(-1) if original else made.log_softmax(-1)
    found = []
    for row, labels in enumerate(batch["labels"]):
        places = [t for t in range(1, len(labels)) if labels[t] != outputs.IGNORED]
        found.append(torch.stack([chances[row, t - 1, labels[t]] for t in places]))
    return found


def mean_loss(chances: list[torch.Tensor]) -> torch.Tensor:
    return -torch.cat(chances).mean()


def gradient(trainer: Any, loss: torch.Tensor) -> torch.Tensor:
    parameters = [trainer.anatomy.model.get_parameter(name) for name in trainer.trained]
    grads = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return torch.cat([g.flatten() for g in grads if g is not None])


def test_ga_is_ascent_and_never_looks_at_the_retain_set(processing: Any) -> None:
    trainer = trainer_of("ga", processing)
    batch = batch_of(trainer)
    expected = -mean_loss(log_chances(trainer, batch["forget"]))
    torch.testing.assert_close(trainer.compute_loss(trainer.model, batch), expected)
    del batch["retain"]
    torch.testing.assert_close(trainer.compute_loss(trainer.model, batch), expected)


def test_graddiff_with_weight_zero_is_ga(processing: Any) -> None:
    ga, graddiff = (trainer_of(name, processing) for name in ("ga", "graddiff"))
    batch = batch_of(ga)
    graddiff.args.retain_weight = 0.0
    ours, theirs = (gradient(t, t.compute_loss(t.model, batch)) for t in (ga, graddiff))
    torch.testing.assert_close(ours, theirs)
    graddiff.args.retain_weight = 2.0
    difference = graddiff.compute_loss(graddiff.model, batch) - ga.compute_loss(ga.model, batch)
    torch.testing.assert_close(difference, 2 * mean_loss(log_chances(ga, batch["retain"])))


def test_kl_is_zero_at_the_start_and_the_kl_of_two_models_later(processing: Any) -> None:
    trainer = trainer_of("kl_min", processing)
    batch = batch_of(trainer)["retain"]
    assert trainer.retain_loss(trainer.model, batch).item() == pytest.approx(0, abs=1e-6)
    moved(trainer)
    ours, theirs = trainer.logits_of(trainer.model, batch), trainer.originals(batch)
    p, q = theirs.softmax(-1), ours.detach().softmax(-1)
    total, count = 0.0, 0
    for row, labels in enumerate(batch["labels"]):
        for t in range(1, len(labels)):
            if labels[t] != outputs.IGNORED:
                total += (p[row, t - 1] * (p[row, t - 1] / q[row, t - 1]).log()).sum().item()
                count += 1
    assert total / count > 1e-3
    assert trainer.retain_loss(trainer.model, batch).item() == pytest.approx(
        total / count, rel=1e-4
    )


def test_gradient_of_npo_tends_to_that_of_ascent_on_sums(processing: Any) -> None:
    trainer = trainer_of("npo", processing, beta=1e-4)
    moved(trainer)
    batch = batch_of(trainer)["forget"]
    sums = torch.stack([chances.sum() for chances in log_chances(trainer, batch)])
    ascent = gradient(trainer, sums.mean())
    found = gradient(trainer, trainer.forget_loss(trainer.model, batch))
    torch.testing.assert_close(found, ascent, rtol=1e-2, atol=1e-4)
    trainer.args.beta = 1.0
    other = gradient(trainer, trainer.forget_loss(trainer.model, batch))
    assert not torch.allclose(other, ascent, rtol=1e-1, atol=1e-3)


def test_npo_is_its_formula(processing: Any) -> None:
    trainer = trainer_of("npo", processing, beta=0.7)
    moved(trainer)
    batch = batch_of(trainer)["forget"]
    pairs = zip(log_chances(trainer, batch), log_chances(trainer, batch, True), strict=True)
    ratios = [math.exp((ours.sum() - theirs.sum()).item()) for ours, theirs in pairs]
    expected = sum(2 / 0.7 * math.log(1 + ratio**0.7) for ratio in ratios) / len(ratios)
    assert trainer.forget_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-4)


def test_simnpo_is_its_formula_and_needs_no_original(processing: Any) -> None:
    trainer = trainer_of("simnpo", processing, beta=1.5, margin=0.5)
    trainer.originals = None  # would fail if it were asked
    batch = batch_of(trainer)["forget"]
    means = [chances.mean().item() for chances in log_chances(trainer, batch)]
    expected = sum(2 / 1.5 * math.log(1 + math.exp(1.5 * m + 0.5)) for m in means) / len(means)
    assert trainer.forget_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-4)


def test_idk_trains_on_refusals_and_not_on_answers(processing: Any) -> None:
    trainer = trainer_of("idk", processing, abstain_text="no")
    batch = batch_of(trainer)
    said = [
        processing.tokenizer.decode(row[row != outputs.IGNORED], skip_special_tokens=True).strip()
        for row in batch["forget"]["labels"]
    ]
    assert said == ["no"] * 4
    expected = mean_loss(log_chances(trainer, batch["forget"]))
    torch.testing.assert_close(trainer.forget_loss(trainer.model, batch["forget"]), expected)
    with pytest.raises(UnseeError, match="abstain_text is empty"):
        trainer_of("idk", processing, abstain_text=" ")


def test_dpo_is_its_formula_and_log_2_at_the_start(processing: Any) -> None:
    trainer = trainer_of("dpo", processing, beta=0.5)
    batch = batch_of(trainer)["forget"]
    start = trainer.forget_loss(trainer.model, batch).item()
    assert start == pytest.approx(math.log(2) / 0.5, rel=1e-5)
    moved(trainer)

    def gains(part: Any) -> list[float]:
        both = zip(log_chances(trainer, part), log_chances(trainer, part, True), strict=True)
        return [(ours.sum() - theirs.sum()).item() for ours, theirs in both]

    margins = zip(gains(batch["variant"]), gains(batch), strict=True)
    each = [math.log(1 + math.exp(-0.5 * (won - lost))) / 0.5 for won, lost in margins]
    found = trainer.forget_loss(trainer.model, batch).item()
    assert found == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_undial_lowers_the_answer_alone(processing: Any) -> None:
    trainer = trainer_of("undial", processing, strength=3.0)
    moved(trainer)
    batch = batch_of(trainer)["forget"]
    ours, theirs = trainer.logits_of(trainer.model, batch), trainer.originals(batch)
    losses = []
    for row, labels in enumerate(batch["labels"]):
        for t in range(1, len(labels)):
            if labels[t] != outputs.IGNORED:
                target = theirs[row, t - 1].clone()
                target[labels[t]] -= 3.0
                losses.append(-(target.softmax(0) * ours[row, t - 1].log_softmax(0)).sum())
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(trainer.forget_loss(trainer.model, batch), expected)


def test_rmu_aims_at_a_direction_of_the_given_length(processing: Any) -> None:
    trainer = trainer_of("rmu", processing, steering=7.0)
    assert float(trainer.direction.norm()) == pytest.approx(1, abs=1e-5)
    batch = batch_of(trainer)["forget"]
    states: dict[str, torch.Tensor] = {}
    block = trainer.anatomy.model.model.language_model.layers[0]
    handle = block.register_forward_hook(
        lambda m, i, o: states.update(h=o[0] if isinstance(o, tuple) else o)
    )
    found = trainer.forget_loss(trainer.model, batch)
    handle.remove()
    total, count = 0.0, 0
    for row, mask in enumerate(batch["attention_mask"]):
        for t, attends in enumerate(mask):
            if attends:
                total += (states["h"][row, t] - 7.0 * trainer.direction).square().sum().item()
                count += len(trainer.direction)
    assert found.item() == pytest.approx(total / count, rel=1e-4)
    retain = batch_of(trainer)["retain"]
    assert trainer.retain_loss(trainer.model, retain).item() == pytest.approx(0, abs=1e-9)
    attends = retain["attention_mask"].bool()
    with torch.no_grad():
        was = trainer.hidden(trainer.model, retain)
        moved(trainer)
        handle = block.register_forward_hook(  # the model's run is the first, then the original's
            lambda m, i, o: states.setdefault("now", o[0] if isinstance(o, tuple) else o)
        )
        held = trainer.retain_loss(trainer.model, retain).item()
        handle.remove()
    expected = (states["now"][attends] - was).square().mean().item()
    assert held == pytest.approx(expected, rel=1e-4) and expected > 1e-6
    assert trainer.trained == ["model.language_model.layers.0.mlp.down_proj.weight"]
    with pytest.raises(UnseeError, match="layer=9 must be below the language model's 2 blocks"):
        trainer_of("rmu", processing, layer=9)


def test_scrub_leaves_the_original_on_the_forget_set_alone(processing: Any) -> None:
    trainer = trainer_of("scrub", processing, ce_weight=0.5)
    moved(trainer)
    batch = batch_of(trainer)
    for side, sign, ce in (("forget", -1, 0.0), ("retain", 1, 0.5)):
        ours = trainer.logits_of(trainer.model, batch[side])
        kl = outputs.answer_kl(ours, trainer.originals(batch[side]), batch[side]["labels"])
        expected = sign * kl + ce * mean_loss(log_chances(trainer, batch[side]))
        found = getattr(trainer, f"{side}_loss")(trainer.model, batch[side])
        torch.testing.assert_close(found, expected)
    assert [trainer.sides_of(step) for step in range(3)] == [("forget",), ("retain",), ("forget",)]


def test_bad_teacher_knows_nothing_and_is_what_the_forget_set_is_taught(processing: Any) -> None:
    trainer = trainer_of("bad_teacher", processing, seed=3)
    batch = batch_of(trainer)
    ours = dict(trainer.anatomy.model.named_parameters())
    theirs = dict(trainer.incompetent.named_parameters())
    assert all(not torch.equal(ours[n], theirs[n]) for n in ours if ours[n].ndim == 2)
    assert not any(p.requires_grad for p in theirs.values())
    moved(trainer)
    taught = trainer.logits_of(trainer.incompetent, batch["forget"])
    for side, teacher in (("forget", taught), ("retain", trainer.originals(batch["retain"]))):
        found = getattr(trainer, f"{side}_loss")(trainer.model, batch[side])
        expected = kl_by_token(teacher, trainer.logits_of(trainer.model, batch[side]), batch[side])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        assert expected > 1e-5
    trainer.anatomy.model.load_state_dict(trainer.incompetent.state_dict())
    assert trainer.forget_loss(trainer.model, batch["forget"]).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["idk", "ga", "npo"])
def test_salun_moves_the_salient_half_alone(loss: str, processing: Any) -> None:
    trainer = trainer_of("salun", processing, loss=loss, weight_decay=0.1)
    model, mask = trainer.anatomy.model, trainer.forget_mask
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    totals = {name: torch.zeros_like(before[name]) for name in mask}
    for index in range(4):
        example = trainer.data_collator.sides["forget"]([trainer.train_dataset.forget[index]])
        value = trainer.forget_loss(trainer.model, example)
        grads = torch.autograd.grad(value, [model.get_parameter(n) for n in mask])
        for name, g in zip(mask, grads, strict=True):
            totals[name] += g
    sizes = torch.cat([g.abs().flatten() for g in totals.values()])
    chosen = torch.cat([m.flatten() for m in mask.values()])
    assert chosen.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert sizes[chosen].min() >= sizes[~chosen].max() - 1e-8
    trainer.train()
    for name, m in mask.items():
        assert torch.equal(model.get_parameter(name)[~m], before[name][~m])
    assert any(not torch.equal(model.get_parameter(n)[m], before[n][m]) for n, m in mask.items())


def test_original_is_not_moved_by_training_and_gets_no_gradient(processing: Any) -> None:
    trainer = trainer_of("npo", processing, learning_rate=1e-2)
    batch = batch_of(trainer)["forget"]
    before = trainer.originals(batch)
    torch.testing.assert_close(before, trainer.logits_of(trainer.model, batch))
    trainer.train()
    after = trainer.originals(batch)
    assert torch.equal(before, after) and not after.requires_grad
    assert not torch.allclose(after, trainer.logits_of(trainer.model, batch), atol=1e-3)


def test_original_of_adapters_is_the_model_without_them(processing: Any) -> None:
    trainer = trainer_of("npo", processing, trainable="lora", learning_rate=1e-2)
    batch = batch_of(trainer)["forget"]
    plain = tiny.llava(processing)
    with torch.no_grad():
        expected = plain(**outputs.model_inputs(batch)).logits
    trainer.train()
    assert sum(t.numel() for t in trainer.before.values()) == trainer.trained_parameters
    assert trainer.args.lora_rank == 8
    trainer = trainer_of("npo", processing, trainable="lora")
    moved(trainer)
    torch.testing.assert_close(trainer.originals(batch), expected)


def test_a_pass_over_each_side_after_the_other(processing: Any) -> None:
    trainer = trainer_of("graddiff", processing, schedule="successive", max_steps=4)
    sides = [trainer.sides_of(step) for step in range(4)]
    assert sides == [("forget",), ("forget",), ("retain",), ("retain",)]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("npo", {"beta": 0}, "beta must be above 0"),
        ("dpo", {"beta": -1}, "beta must be above 0"),
        ("simnpo", {"margin": -1}, "margin must not be negative"),
        ("undial", {"strength": 0}, "strength must be above 0"),
        ("rmu", {"layer": -1}, "layer must not be negative"),
        ("rmu", {"edited_blocks": 0}, "edited_blocks must be at least 1"),
        ("scrub", {"ce_weight": -1}, "ce_weight must not be negative"),
        ("salun", {"loss": "x"}, "loss='x' is not offered"),
        ("vgid", {"noise": 2}, "noise must be between 0 and 1"),
        ("vgid", {"noise": 0, "instruction": ""}, "the teacher is the original itself"),
        ("smfa", {"lora_rank": 0, "trainable": "all"}, "lora_rank must be at least 1"),
        ("smfa", {"anchor_share": 1}, "anchor_share must be between 0 and 1"),
        ("manu", {"prune_ratio": 0}, "prune_ratio must be between 0 and 1"),
        ("mmunlearner", {"mask_threshold": 0}, "mask_threshold must be above 0"),
        ("mip_editor", {"units": 0}, "units must be at least 1"),
    ],
)
def test_option_that_makes_no_sense_is_refused(
    method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnseeError, match=message):
        get_method(method).classes()[1](output_dir="work", **options)
