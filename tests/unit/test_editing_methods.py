"""Masks, pruned units, influential paths and sculpted adapters, against loops of our own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.methods import outputs
from unsee.methods.manu import EPSILON, importance
from unsee.methods.mip_editor import influence
from unsee.methods.registry import get_method
from unsee.methods.smfa import sculpted

JOBS = ("baker", "pilot", "nurse", "lawyer")
FORGET, RETAIN = (tiny.asked(tiny.examples(2, 2, first), *JOBS) for first in (0, 10))
WORDS = [
    {"image": None, "question": "Where does Ada Belberg live?", "answer": answer}
    for answer in ("Oslo", "Lima")
]


def trainer_of(name: str, processing: Any, model: Any = None, **options: Any) -> Any:
    trainer_class, config_class = get_method(name).classes()
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 4, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 4, "learning_rate": 1e-3, **options}
    model = model or tiny.llava(processing)
    args = config_class(**chosen)
    return trainer_class(model, args, FORGET, RETAIN, processing, text_dataset=WORDS)


def squared_gradients(trainer: Any, examples: list[Any]) -> dict[str, torch.Tensor]:
    """Mean over examples of the squared gradient of the answer's cross-entropy."""
    model, total = trainer.anatomy.model, {}
    for example in examples:
        loss = outputs.cross_entropy_of(model, trainer.data_collator.collate([example]))
        model.zero_grad()
        loss.backward()
        for name in trainer.trained:
            g = model.get_parameter(name).grad
            g = torch.zeros_like(model.get_parameter(name)) if g is None else g
            total[name] = total.get(name, 0) + g.square() / len(examples)
    model.zero_grad()
    return total


# ---- MMUnlearner ---------------------------------------------------------------------------------


def test_mask_of_mmunlearner_preserves_words_in_w_and_pictures_in_v(processing: Any) -> None:
    trainer = trainer_of("mmunlearner", processing)
    forget, pictures = (squared_gradients(trainer, side) for side in (FORGET, RETAIN))
    both = squared_gradients(trainer, [*RETAIN, *WORDS])
    modules = dict(trainer.anatomy.model.named_modules())
    seen = set()
    for name, mask in trainer.forget_mask.items():
        part = trainer.anatomy.part_of(name)
        preserve = both if part == "language" else pictures
        linear = isinstance(modules[name.rpartition(".")[0]], torch.nn.Linear)
        expected = (forget[name] >= preserve[name]) & (forget[name] > 0)
        if not linear or not name.endswith(".weight"):
            expected = torch.zeros_like(expected)
        assert (mask == expected).float().mean() > 0.999, name  # but for rounding at the border
        seen.add((part, bool(mask.any())))
    assert {("vision", True), ("language", True), ("language", False)} <= seen


def test_mask_of_mmunlearner_never_covers_the_vocabulary(processing: Any) -> None:
    trainer = trainer_of("mmunlearner", processing)
    covered = trainer._weights_of_linear_layers()
    assert "lm_head.weight" not in covered
    assert "model.language_model.layers.0.mlp.down_proj.weight" in covered


def test_forget_step_of_mmunlearner_leaves_what_is_not_masked(processing: Any) -> None:
    trainer = trainer_of("mmunlearner", processing, weight_decay=0.1, max_steps=1)
    before = {n: p.detach().clone() for n, p in trainer.anatomy.model.named_parameters()}
    trainer.train()
    changed = False
    for name, mask in trainer.forget_mask.items():
        after = trainer.anatomy.model.get_parameter(name)
        assert torch.equal(after[~mask], before[name][~mask])
        changed |= not torch.equal(after[mask], before[name][mask])
    assert changed


def test_mask_of_mmunlearner_is_at_work_under_lora(processing: Any) -> None:
    """Issue 8 of the released code: there, with adapters, the mask does nothing."""
    trainer = trainer_of("mmunlearner", processing, trainable="lora", max_steps=1)
    assert trainer.forget_mask.keys() == set(trainer.trained)
    shares = {name: mask.float().mean().item() for name, mask in trainer.forget_mask.items()}
    of_a = [share for name, share in shares.items() if "lora_A" in name]
    of_b = [share for name, share in shares.items() if "lora_B" in name]
    assert len(of_a) == len(of_b) and not any(of_a) and all(0 < share < 1 for share in of_b)
    model = trainer.anatomy.model
    before = {name: model.get_parameter(name).detach().clone() for name in trainer.trained}
    trainer.finish = lambda: None  # so that the adapters can be looked at
    trainer.train()
    moved = 0
    for name, mask in trainer.forget_mask.items():
        after = model.get_parameter(name)
        assert torch.equal(after[~mask], before[name][~mask])
        moved += int((after != before[name]).sum())
    assert moved


# ---- MANU ----------------------------------------------------------------------------------------


def unit_values(trainer: Any, layer: str, side: list[Any], picture: bool) -> torch.Tensor:
    """[tokens, units]: what a layer reads, over all examples of a side, one by one."""
    model, found = trainer.anatomy.model, []
    handle = model.get_submodule(layer).register_forward_pre_hook(
        lambda module, inputs: found.append(inputs[0].detach().flatten(0, -2))
    )
    with torch.no_grad():
        for example in side:
            shown = example if picture else {**example, "image": None}
            batch = trainer.data_collator.sides["retain"]([shown])
            model(**outputs.model_inputs(batch))
    handle.remove()
    return torch.cat(found).double() if found else torch.zeros(0)


@pytest.mark.parametrize("layer", ["vision_tower.encoder.layers.0.mlp.fc2", "language"])
def test_scores_of_manu_against_a_loop(layer: str, processing: Any) -> None:
    name = (
        "model.language_model.layers.1.mlp.down_proj" if layer == "language" else f"model.{layer}"
    )
    trainer = trainer_of("manu", processing, activity_threshold=0.02)
    trainer._weights = [n for n in trainer.trained if n.endswith(".weight")]
    scores = {}
    for key, side in (("forget", FORGET), ("retain", RETAIN)):
        found = trainer._importance(getattr(trainer.train_dataset, key))[f"{name}.weight"]
        m = unit_values(trainer, name, side, True)
        t = unit_values(trainer, name, side, False)
        for unit in (0, 5, 40):
            a = m[:, unit]
            b = t[:, unit] if len(t) else torch.zeros(1, dtype=torch.float64)

            def apart(x: Any, y: Any) -> float:
                return float(abs(x - y) / (x + y + EPSILON))

            i_abs = apart(a.abs().mean(), b.abs().mean())
            i_freq = apart((a.abs() > 0.02).double().mean(), (b.abs() > 0.02).double().mean())
            i_var = float((a.var(correction=0) + b.var(correction=0)).sqrt())
            i_rms = apart(a.square().mean(), b.square().mean()) ** 0.5
            assert float(found[unit]) == pytest.approx(i_abs + i_freq + i_var + i_rms, rel=1e-6)
            scores[key, unit] = i_abs + i_freq + i_var + i_rms
    assert len(set(scores.values())) == 6


def test_importance_without_words_is_that_of_silent_units() -> None:
    seen = {name: torch.tensor([0.5]) for name in ("abs-mean", "frequency", "std", "rms")}
    assert float(importance(seen, {})) == pytest.approx(1 + 1 + 0.5 + 1, abs=1e-6)


def test_manu_takes_out_the_share_of_units_with_the_largest_scores(processing: Any) -> None:
    trainer = trainer_of("manu", processing, prune_ratio=0.1)
    trainer._weights = [n for n in trainer.trained if n.endswith(".weight")]
    sides = trainer.train_dataset.forget, trainer.train_dataset.retain
    forget, retain = (trainer._importance(side) for side in sides)
    scores = {name: forget[name] / (retain[name] + EPSILON) for name in forget}
    trainer.train()
    model = trainer.anatomy.model
    gone = {n: (model.get_parameter(n) == 0).all(0) for n in scores}
    units = sum(len(s) for s in scores.values())
    assert sum(int(g.sum()) for g in gone.values()) == round(0.1 * units)
    lowest = min(float(scores[n][g].min()) for n, g in gone.items() if g.any())
    highest = max(float(scores[n][~g].max()) for n, g in gone.items())
    assert lowest >= highest
    assert trainer.state.global_step == 0


# ---- MIP-Editor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("squared", [False, True])
def test_influence_of_units_against_a_loop(squared: bool) -> None:
    """l = log sigmoid(w . units) of one layer, whose gradient is known in closed form."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 1, bias=False)
    units = torch.rand(3, 5)  # tokens x units

    def log_likelihood() -> torch.Tensor:
        return torch.nn.functional.logsigmoid(layer(units)).sum()

    found = influence(log_likelihood, {"layer": layer}, 4, squared)["layer"]
    w = layer.weight.detach().double()[0]
    expected = torch.zeros(5, dtype=torch.float64)
    for unit in range(5):
        for token in range(3):
            mean = 0.0
            for s in (0.25, 0.5, 0.75, 1.0):
                g = float(torch.sigmoid(-(s * units[token].double() @ w)) * w[unit])
                mean += (g * g if squared else g) / 4
            a = float(units[token, unit])
            expected[unit] += (a * a if squared else a) * mean
    torch.testing.assert_close(found, expected.abs(), rtol=1e-5, atol=1e-8)


def test_mip_editor_edits_the_path_alone_and_starts_from_emptied_units(processing: Any) -> None:
    model = tiny.llava(processing)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = trainer_of("mip_editor", processing, model, units=3, learning_rate=1e-2)
    parts = {trainer.anatomy.part_of(name) for name in trainer.trained}
    assert parts == {"vision", "language"}
    for layer, units in trainer.units.items():
        assert int(units.sum()) == 3
        weight = model.get_parameter(f"{layer}.weight")
        assert (weight[:, units] == 0).all() and (weight[:, ~units] != 0).any()
    trainer.train()
    for name, old in before.items():
        new, mask = model.get_parameter(name), trainer.forget_mask.get(name)
        if mask is None:
            assert torch.equal(new, old)
        else:
            assert torch.equal(new[~mask], old[~mask]) and not torch.equal(new[mask], old[mask])


def test_target_of_mip_editor_is_as_long_as_the_originals_states(processing: Any) -> None:
    trainer = trainer_of("mip_editor", processing, steering=3.0)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])["forget"]
    length = 3.0 * trainer.original_hidden(batch).norm(dim=1).mean()
    apart = trainer.hidden(trainer.model, batch) - length * trainer.direction
    torch.testing.assert_close(trainer.forget_loss(trainer.model, batch), (apart**2).mean())


# ---- SMFA ----------------------------------------------------------------------------------------


def test_entries_that_oppose_the_anchor_and_outweigh_it_are_dropped() -> None:
    forget = torch.tensor([4.0, 4.0, -4.0, 0.5, 0.0])
    anchor = torch.tensor([-0.5, 0.5, -2.0, -3.0, 1.0])
    # mean sizes 2.5 and 1.4, so that rho = 1.786; |4| > 2 rho |-0.5| = 1.79, opposed
    assert sculpted(forget, anchor, 2.0).tolist() == [0.0, 4.0, -4.0, 0.5, 0.0]
    assert sculpted(forget, anchor, 5.0).tolist() == forget.tolist()


def test_smfa_trains_one_adapter_after_the_other_and_adds_the_sculpted(processing: Any) -> None:
    model = tiny.llava(processing)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = trainer_of("smfa", processing, model, learning_rate=1e-2, opposition=1.0)
    assert [trainer.sides_of(step) for step in range(4)] == [("forget",)] * 2 + [("retain",)] * 2
    start = {name: model.get_parameter(name).detach().clone() for name in trainer.trained}
    seen: list[set[str]] = []
    changes: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    original_step, original_finish = trainer.training_step, trainer.finish

    def moved() -> set[str]:
        names = (n for n in trainer.trained if not torch.equal(model.get_parameter(n), start[n]))
        return {n.split(".")[-2] for n in names}

    def step(*args: Any, **kwargs: Any) -> Any:
        seen.append(moved())
        return original_step(*args, **kwargs)

    def finish() -> None:
        from unsee.adapters import adapter_layers, weight_change

        for name, layer in adapter_layers(model):
            both = tuple(weight_change(layer, which).clone() for which in ("default", "anchor"))
            changes[f"{name}.weight"] = both
        original_finish()

    trainer.training_step, trainer.finish = step, finish
    trainer.train()
    assert seen == [set(), {"default"}, {"default"}, {"default", "anchor"}]
    dropped = 0
    for name, (forget, anchor) in changes.items():
        expected = before[name] + sculpted(forget, anchor, 1.0)
        torch.testing.assert_close(model.get_parameter(name), expected)
        dropped += int((sculpted(forget, anchor, 1.0) != forget).sum())
    assert dropped and not [name for name, _ in model.named_parameters() if "lora" in name]


# ---- VGID ----------------------------------------------------------------------------------------


def test_teacher_of_vgid_is_the_original_on_a_noised_picture_and_told_to_forget(
    processing: Any,
) -> None:
    trainer = trainer_of("vgid", processing, noise=0.0, instruction="no yes")
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])["forget"]
    told = [{**example, "question": f"no yes {tiny.JOB}"} for example in FORGET]
    alone = trainer.data_collator.collate(told)
    with torch.no_grad():
        logits = tiny.llava(processing)(**outputs.model_inputs(alone)).logits
    expected = outputs.answered(logits, alone["labels"])
    torch.testing.assert_close(trainer.taught(batch), expected)
    trainer.args.noise = 0.8
    pixels = alone["pixel_values"]
    drawn = trainer.noise(pixels.shape, trainer.generator_of_step())
    assert drawn.std().item() == pytest.approx(1, abs=0.1) and abs(drawn.mean().item()) < 0.1
    noised = {**outputs.model_inputs(alone), "pixel_values": 0.6 * pixels + 0.8 * drawn}
    with torch.no_grad():
        logits = tiny.llava(processing)(**noised).logits
    assert not torch.allclose(trainer.taught(batch), expected, atol=1e-4)
    torch.testing.assert_close(trainer.taught(batch), outputs.answered(logits, alone["labels"]))
    ours = outputs.answered(trainer.logits_of(trainer.model, batch), batch["labels"])
    p, q = trainer.taught(batch).softmax(-1), ours.softmax(-1)
    found = trainer.forget_loss(trainer.model, batch)
    torch.testing.assert_close(found, (p * (p / q).log()).sum(1).mean(), rtol=1e-4, atol=1e-6)
    retain = trainer.data_collator([trainer.train_dataset[0]])["retain"]
    assert trainer.retain_loss(trainer.model, retain).item() == pytest.approx(0, abs=1e-6)
