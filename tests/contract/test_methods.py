"""What must hold for every registered method on every family of models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import FAMILIES, has_adapters, methods, methods_and_families, soon, trains
from transformers import TrainerCallback

import tiny
from unsee.errors import UnseeError
from unsee.methods.config import TRAINABLE
from unsee.methods.registry import Method, list_methods

JOBS = ("baker", "pilot", "nurse", "lawyer")
TRAINED_BY = [
    pytest.param(m, what, f, id=f"{m.name}-{what}-{f}", marks=() if f == FAMILIES[0] else soon(m))
    for m in list_methods()
    for what in m.supports
    for f in FAMILIES
]
each_method, each_trained = methods(), methods(trains)


def build(family: str, processing: Any) -> Any:
    return tiny.FAMILIES[family](processing)


def trainer_of(method: Method, model: Any, processing: Any, **options: Any) -> Any:
    """The method's trainer on four pictures a side, all of them in every step."""
    trainer_class, config_class = method.classes()
    chosen = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-3}
    chosen |= {"output_dir": "work", "save_strategy": "no", "warmup_steps": 0, **options}
    forget, retain = (tiny.asked(tiny.examples(2, 2, first), *JOBS) for first in (0, 10))
    words = [{**example, "image": None} for example in retain]
    args = config_class(**chosen)
    return trainer_class(model, args, forget, retain, processing, text_dataset=words)


def snapshot(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("method", "trainable", "family"), TRAINED_BY)
def test_what_is_frozen_stays_to_the_bit_and_what_is_trained_moves(
    method: Method, trainable: str, family: str, processing: Any
) -> None:
    model = build(family, processing)
    before = snapshot(model)
    trainer = trainer_of(method, model, processing, trainable=trainable)
    trainer.train()

    after = snapshot(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    parts = {trainer.anatomy.part_of(name) for name in moved}
    assert moved and moved <= set(trainer.adapted)
    assert parts <= set(TRAINABLE[trainable])
    if method.edits:
        assert moved == set(trainer.trained)
        changed = sum(int((after[name] != before[name]).sum()) for name in moved)
        assert trainer.trained_parameters == changed
    elif (masks := trainer.forget_mask) and set(trainer.uses) <= set(trainer.masked_sides):
        assert moved == {name for name, mask in masks.items() if mask.any()}
        assert all(torch.equal(after[n][~m], before[n][~m]) for n, m in masks.items())
        assert trainer.trained_parameters == sum(int(m.sum()) for m in masks.values())
    elif trainer.args.lora_rank:
        assert parts == set(TRAINABLE[trainable])
    else:
        assert moved == set(trainer.trained)
        assert trainer.trained_parameters == sum(before[name].numel() for name in moved)
        assert parts == {trainer.anatomy.part_of(name) for name in trainer.adapted}


@methods_and_families(trains)
def test_steps_lower_the_loss_of_a_fixed_batch(
    method: Method, family: str, processing: Any
) -> None:
    """In each stage, where a method has several: then every one has its own loss."""
    options = {"max_steps": 25, "augment": False}  # what is seen is the fixed batch itself
    trainer = trainer_of(method, build(family, processing), processing, **options)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    stages: list[dict[str, float]] = []

    def loss_at(step: int) -> float:
        now, trainer.state.global_step = trainer.state.global_step, step
        with torch.no_grad():
            found = float(trainer.compute_loss(trainer.model, batch))
        trainer.state.global_step = now
        return found

    def end_stage() -> None:
        if stages:
            stages[-1]["after"] = loss_at(int(stages[-1]["begins"]))

    class Stages(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            stage = float(getattr(trainer, "speaks", 0))
            if not stages or stages[-1]["stage"] != stage:
                end_stage()
                begins = state.global_step
                stages.append({"stage": stage, "begins": begins, "before": loss_at(begins)})

    trainer.add_callback(Stages())
    trainer.train()
    end_stage()
    assert len(stages) == (2 if hasattr(trainer, "speaks") else 1)
    assert all(s["after"] < s["before"] - 1e-3 * abs(s["before"]) for s in stages), stages


@methods_and_families()
def test_saved_model_loads_in_plain_transformers_and_says_the_same(
    method: Method, family: str, processing: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from unsee.checkpoints import save

    model = build(family, processing)
    prompt = "USER: <image>Who is this? ASSISTANT:"
    inputs = processing(text=[prompt], images=[tiny.picture(0)], return_tensors="pt")
    with torch.no_grad():
        original = model(**inputs).logits
    trainer_of(method, model, processing).train()
    with torch.no_grad():
        unlearnt = model.eval()(**inputs).logits
    save(model, processing, tmp_path / "saved", torch.float32)

    loaded, found = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    again = AutoProcessor.from_pretrained(tmp_path / "saved")(
        text=[prompt], images=[tiny.picture(0)], return_tensors="pt"
    )
    with torch.no_grad():
        reloaded = loaded(**again).logits
    assert not any(found.values())
    assert not torch.equal(unlearnt, original)
    assert torch.equal(reloaded, unlearnt)


@methods_and_families()
def test_language_model_is_not_run_unless_the_method_says_so(
    method: Method, family: str, processing: Any
) -> None:
    model = build(family, processing)
    runs: list[str] = []
    for name in ("model.language_model", "lm_head"):
        model.get_submodule(name).register_forward_pre_hook(
            lambda module, args, name=name: runs.append(name)
        )
    trainer = trainer_of(method, model, processing)
    trainer.train()
    assert trainer.state.global_step == (0 if method.edits else 3)
    assert bool(runs) == method.runs_language


@each_method
def test_bf16_model_is_trained_in_fp32_and_saved_as_it_was(
    method: Method, processing: Any, tmp_path: Path
) -> None:
    """Frozen blocks that are run beside trained ones must not trip over the other dtype."""
    from unsee.checkpoints import save

    for trainable in method.classes()[0].supports:
        model = build("llava-layer-2", processing).to(torch.bfloat16)
        before = tiny.weights(tiny.save(tmp_path / "old", model, processing, "bfloat16"))
        trainer = trainer_of(method, model, processing, trainable=trainable)
        assert all(p.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
        trainer.train()
        save(model, processing, tmp_path / "new", torch.bfloat16)
        after = tiny.weights(tmp_path / "new")
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert before.keys() == after.keys() and changed
        assert all(tensor.dtype == torch.bfloat16 for tensor in after.values())
        if not method.touches_language:
            assert not [name for name in changed if "language_model" in name]


@methods_and_families(has_adapters)
def test_adapters_alone_are_trained_and_become_part_of_a_plain_model(
    method: Method, family: str, processing: Any
) -> None:
    model = build(family, processing)
    before = snapshot(model)
    trainer = trainer_of(method, model, processing, lora_rank=2)
    whole = trainer.adapted
    assert 0 < trainer.trained_parameters < sum(before[name].numel() for name in whole) / 4
    trainer.train()
    after = snapshot(model)
    assert after.keys() == before.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and moved <= set(whole)
    assert all(before[name].ndim == 2 for name in moved)
    for name in moved if method.name != "smfa" else ():  # which leaves entries out
        change = after[name] - before[name]
        assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 2


@each_method
def test_part_that_is_not_supported_is_refused(method: Method, processing: Any) -> None:
    unsupported = [w for w in TRAINABLE if w not in method.classes()[0].supports]
    for trainable in unsupported:
        refusal = re.escape(f"can't train '{trainable}': it supports ")
        with pytest.raises(UnseeError, match=refusal):
            trainer_of(method, build("llava", processing), processing, trainable=trainable)
    with pytest.raises(UnseeError, match=r"trainable='head' is not offered; choose vision,"):
        trainer_of(method, build("llava", processing), processing, trainable="head")


@each_method
def test_selector_that_matches_nothing_is_refused(
    method: Method, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.anatomy import Anatomy

    every = [name for name, _ in build("llava", processing).named_parameters()]
    monkeypatch.setattr(Anatomy, "unread", lambda self, batch: every)
    with pytest.raises(UnseeError, match=r"trainable='\S+' selects no parameter"):
        trainer_of(method, build("llava", processing), processing)


@each_method
@pytest.mark.parametrize("side", ["forget", "retain"])
def test_empty_set_is_refused(method: Method, side: str, processing: Any) -> None:
    trainer_class, config_class = method.classes()
    some = tiny.asked(tiny.examples(1, 1), *JOBS)
    sets = {"forget": some, "retain": some, side: []}
    model = build("llava", processing)
    with pytest.raises(UnseeError, match=f"the {side} set is empty"):
        args = config_class(output_dir="work")
        trainer_class(model, args, sets["forget"], sets["retain"], processing)


@each_trained
def test_loss_that_does_not_reach_the_trained_part_is_refused(
    method: Method, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(method, build("llava", processing), processing)
    for side in ("forget_loss", "retain_loss"):
        monkeypatch.setattr(trainer, side, lambda model, batch: torch.tensor(1.0))
    with pytest.raises(UnseeError, match="the loss does not depend on trainable="):
        trainer.train()


@each_trained
def test_weights_of_the_two_sides_are_used(method: Method, processing: Any) -> None:
    options = {"forget_weight": 3.0, "retain_weight": 0.5, "learning_rate": 1e-2}
    trainer = trainer_of(method, build("llava", processing), processing, **options)
    trainer.train()
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    with torch.no_grad():
        total = float(trainer.compute_loss(trainer.model, batch))
    weights = {side: {"forget": 3.0, "retain": 0.5}[side] for side in trainer.uses}
    found = {side: trainer.parts[side][-1] for side in weights}
    assert all(abs(loss) > 1e-7 for loss in found.values())
    expected = sum(weight * found[side] for side, weight in weights.items())
    assert total == pytest.approx(expected, rel=1e-5)
