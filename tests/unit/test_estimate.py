"""Memory from a configuration alone: counts that are known, what each method keeps, the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import families
from unsee.anatomy import anatomy_of
from unsee.cli.main import main
from unsee.errors import UnseeError
from unsee.estimate.activations import activations
from unsee.estimate.memory import GB, Estimate, Plan, estimate
from unsee.estimate.pretend import Pretend, build, picture_batch
from unsee.estimate.published import config_of, published
from unsee.methods.registry import list_methods

LLAVA = "llava-hf/llava-1.5-7b-hf"
COUNTS = {
    LLAVA: 7_063_427_072,
    "llava-hf/llava-1.5-13b-hf": 13_351_494_656,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73_410_777_344,
}
"""Weights that the published checkpoints hold (`total_size` of their index over 2 bytes)."""


@pytest.fixture(scope="module")
def config(checkpoint_of: dict[str, Path]) -> Any:
    """Of the tiny LLaVA."""
    return config_of(str(checkpoint_of["llava"]))


def of(config: Any, **plan: Any) -> Estimate:
    return estimate(config, Plan(**{"batch_size": 2, "dtype": "float32", **plan}))


@pytest.mark.parametrize("name", COUNTS)
def test_published_configurations_make_models_of_the_published_size(name: str) -> None:
    config = config_of(name)
    model = build(config, torch.bfloat16)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]
    assert all(p.is_meta for p in model.parameters())
    assert name in published()


def test_vkd_on_llava_7b() -> None:
    made = estimate(config_of(LLAVA), Plan(batch_size=1, bf16=True), LLAVA)
    vision, projector, language = made.parts.values()
    assert vision.weights == 303_507_456 and projector.weights == projector.trained == 20_979_712
    assert vision.trained == vision.weights - 12_596_224 - 2 * 1024  # a block and a norm unread
    assert language.parameters == 2 * 6_738_939_904  # half precision as published, never run
    assert language.gradients == language.optimiser == language.activations == 0
    assert language.teacher == 0
    assert vision.teacher == 4 * vision.weights and vision.optimiser == 8 * vision.trained
    assert made.settings["dtype"] == "float16" and made.settings["trainable"] == "vision+projector"
    assert made.fits(24) and 15 * GB < made.total < 23 * GB


def kept_by_autograd(model: Any, batch: dict[str, torch.Tensor]) -> tuple[int, Any]:
    """On a real model on the CPU, without the pretence: bytes, and what was seen."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        seen = anatomy_of(model).seeing(batch)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values()), seen


def real(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Random pictures and small numbers of a batch's shapes, on the CPU."""
    return {
        key: value
        if not value.is_meta
        else torch.randn(value.shape)
        if value.is_floating_point()
        else torch.ones(value.shape, dtype=value.dtype)
        for key, value in batch.items()
    }


TOLERANCES = dict.fromkeys(("llava", "idefics2", "idefics3", "smolvlm", "instructblip"), 0.005) | {
    "mllama": 0.05
}  # its mask, kept on the CPU


@pytest.mark.parametrize(("name", "tolerance"), TOLERANCES.items())
def test_activations_are_what_autograd_keeps(name: str, tolerance: float) -> None:
    model = families.build(name)[0]  # no dropout: with it the CPU has no fused attention
    twin = anatomy_of(build(model.config, torch.float32).eval())
    batch = picture_batch(twin.family, model.config, 2)
    measured, seen = kept_by_autograd(model, real(batch))
    assert len(seen.projector) == 2
    found, again = (
        activations(twin, batch, lambda seen: None, text_tokens=1, sides=sides) for sides in (1, 2)
    )
    of_a_side = sum(again.values()) - sum(found.values())  # without what the backward pass adds
    assert of_a_side == pytest.approx(measured, rel=tolerance)
    assert sum(found.values()) > of_a_side


def test_checkpointing_bf16_and_smaller_batches_keep_less() -> None:
    config = config_of(LLAVA)
    vision = [
        estimate(config, Plan(**options)).parts["vision"].activations
        for options in (
            {"batch_size": 4},
            {"batch_size": 4, "bf16": True},
            {"batch_size": 2, "bf16": True},
            {"batch_size": 4, "gradient_checkpointing": True},
        )
    ]
    assert vision[0] > 1.4 * vision[1] > 1.4 * 1.3 * vision[2]
    assert vision[3] < 0.2 * vision[0]


def test_methods_and_what_they_train(config: Any) -> None:
    vkd, graddiff, npo = (of(config, method=m) for m in ("vkd", "graddiff", "npo"))
    weights = {name: part.weights for name, part in vkd.parts.items()}
    assert graddiff.parts["language"].gradients == 4 * weights["language"]
    assert graddiff.parts["language"].activations > 0 and graddiff.sum_of("teacher") == 0
    assert npo.parts["language"].teacher == 4 * npo.parts["language"].trained
    assert vkd.total < graddiff.total < npo.total
    columns = ("parameters", "gradients", "optimiser", "activations", "teacher")
    assert npo.total == sum(npo.sum_of(column) for column in columns)
    seen = of(config, method="graddiff", trainable="vision+projector")
    assert seen.parts["language"].gradients == 0 < seen.parts["language"].activations
    adapted = of(config, method="graddiff", trainable="lora", lora_rank=2)
    assert 0 < adapted.sum_of("trained") < 0.2 * graddiff.sum_of("trained")
    assert adapted.sum_of("optimiser") == 8 * adapted.sum_of("trained")


@pytest.mark.parametrize("method", [method.name for method in list_methods()])
def test_every_method(config: Any, method: str) -> None:
    made = of(config, method=method)
    assert made.total > made.sum_of("parameters") > 0
    assert (made.parts["language"].trained > 0) <= next(
        m.touches_language for m in list_methods() if m.name == method
    )


def test_several_gpus(config: Any) -> None:
    one, ddp, zero2, fsdp = (
        of(config, method="graddiff", processes=n, shard=shard)
        for n, shard in ((1, "ddp"), (4, "ddp"), (4, "zero2"), (4, "fsdp"))
    )
    assert ddp.sum_of("gradients") == 2 * one.sum_of("gradients")
    assert ddp.sum_of("optimiser") == one.sum_of("optimiser")
    assert zero2.sum_of("parameters") == one.sum_of("parameters")
    for made in (zero2, fsdp):
        assert made.sum_of("optimiser") == pytest.approx(one.sum_of("optimiser") / 4, abs=9)
    assert fsdp.sum_of("parameters") == pytest.approx(one.sum_of("parameters") / 4, abs=9)
    assert fsdp.gathered > 0 == zero2.gathered


def test_autocast_keeps_a_cast_of_each_weight_once() -> None:
    with Pretend(bf16=True) as mode:
        layer = torch.nn.Linear(8, 8, device="meta")
        hidden = torch.empty(2, 8, device="meta", requires_grad=True)
        assert layer(layer(hidden)).dtype == torch.bfloat16
        assert torch.nn.functional.layer_norm(layer(hidden), (8,)).dtype == torch.float32
    assert id(layer.weight) in mode.casts and len(mode.casts) == 3  # weight, bias, hidden


def test_quantised_language_model() -> None:
    config = config_of(LLAVA)
    whole, eight, four = (
        estimate(config, Plan(batch_size=1, quantize=bits)).parts["language"].parameters
        for bits in ("", "8bit", "4bit")
    )
    assert whole > 1.9 * eight > 1.9 * 1.7 * four
    with pytest.raises(UnseeError, match="quantize: graddiff changes the language model"):
        estimate(config, Plan(method="graddiff", quantize="4bit"))
    plan = Plan(method="graddiff", trainable="vision+projector", batch_size=1, quantize="4bit")
    assert estimate(config, plan).parts["language"].parameters == four


def test_command(checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source = str(checkpoint_of["llava"])
    assert main(["estimate", source, "--batch-size", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["parts"]) == {"vision", "projector", "language"}
    assert found["fits"] == {"24 GB": True, "80 GB": True}
    assert found["settings"]["dtype"] == "bfloat16" and found["settings"]["batch_size"] == 2
    assert main(["estimate", source, "--batch-size", "2"]) == 0
    shown = capsys.readouterr().out
    assert "vkd on vision+projector, bfloat16, 2 pictures of each side" in shown
    assert "24 GB: fits, 80 GB: fits" in shown
    rows = {line.split()[0]: line.split() for line in shown.splitlines()[2:6]}
    assert set(rows) == {"vision", "projector", "language", "all"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody/nothing"], "no configuration could be found at nobody/nothing: "),
        (["./absent"], "there is no model folder ./absent"),
        (["."], ". holds no config.json"),
        ([LLAVA, "--method", "erase"], "no method is called 'erase'"),
        ([LLAVA, "--trainable", "language"], "vkd can't train 'language': it supports vision"),
        ([LLAVA, "--dtype", "int8"], "dtype 'int8': give float32, bfloat16 or float16"),
        ([LLAVA, "--shard", "half"], "shard='half' is not offered; choose ddp"),
        ([LLAVA, "--quantize", "2bit"], "quantize='2bit' is not offered"),
        ([LLAVA, "--batch-size", "-1"], "batch_size must not be negative"),
        ([LLAVA, "--processes", "0"], "processes must be at least 1"),
        ([LLAVA, "--method", "manu", "--lora-rank", "4"], "manu has no adapters"),
    ],
)
def test_what_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unsee: error: ") and error.count("\n") == 1 and message in error


def test_vkd_on_qwen_takes_pictures_of_a_size() -> None:
    config = config_of("Qwen/Qwen2.5-VL-3B-Instruct")
    small, large = (
        estimate(config, Plan(batch_size=1, image_size=side)).parts["vision"].activations
        for side in (224, 448)
    )
    assert 3 * small < large < 5 * small


@pytest.mark.parametrize("name", families.FAMILIES)
def test_every_family(name: str) -> None:
    config = families.build(name)[0].config
    for method in ("vkd", "graddiff"):
        made = of(config, method=method)
        assert made.parts["vision"].trained and made.parts["projector"].activations
        runs_language = method == "graddiff"
        assert (made.parts["language"].activations > 0) == runs_language
