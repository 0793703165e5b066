"""LoRA and DoRA of every method that has adapters: saved alone, they are what was merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cases import has_adapters, methods

import tiny
from unsee import checkpoints
from unsee.errors import UnseeError
from unsee.methods.registry import Method, get_method, list_methods
from unsee.methods.run import unlearn

pytestmark = pytest.mark.usefixtures("compare_in_process")
OPTIONS = {"max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 1e-2}
OPTIONS |= {"warmup_steps": 0, "lora_rank": 2, "save_strategy": "no"}
KINDS = {
    "lora": {},
    "dora": {"use_dora": True, "lora_alpha": 6, "lora_dropout": 0.2},
}
SAVED = {"adapter_config.json", "adapter_model.safetensors", "metrics.json", "config.yaml"}
each_kind = pytest.mark.parametrize("kind", KINDS)
AT_ONCE = ("vkd", "smfa")
"""Methods that are tested with DoRA in `make test` already."""
METHODS_AND_KINDS = [
    pytest.param(m, kind, id=f"{m.name}-{kind}", marks=() if soon else pytest.mark.slow)
    for m in list_methods()
    if has_adapters(m)
    for kind in KINDS
    for soon in [kind == "lora" or m.name in AT_ONCE]
]


@pytest.fixture(scope="module")
def base(processing: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in fp32, so that merging rounds nothing away."""
    return tiny.save(tmp_path_factory.mktemp("base") / "llava", tiny.llava(processing), processing)


def run(method: Method, base: Path, output: Path, **options: Any) -> Path:
    forget, retain = (
        tiny.asked(tiny.examples(2, 2, first), "baker", "pilot", "nurse") for first in (0, 10)
    )
    unlearn(str(base), forget, retain, output, method.name, {**OPTIONS, **options})
    return output


def logits(model: Any, processing: Any) -> torch.Tensor:
    prompt = "USER: <image>Who is this? ASSISTANT:"
    inputs = processing(text=[prompt], images=[tiny.picture(0)], return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize(("method", "kind"), METHODS_AND_KINDS)
def test_adapter_loads_in_plain_peft_and_says_what_the_merged_model_says(
    method: Method, kind: str, base: Path, processing: Any, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    alone = run(method, base, tmp_path / "alone", save_adapter="adapter", **KINDS[kind])
    merged = run(method, base, tmp_path / "merged", **KINDS[kind])

    names = {path.name for path in alone.iterdir()}
    assert names >= SAVED and not names & {"config.json", "model.safetensors"}
    plain = AutoModelForImageTextToText.from_pretrained(base)
    original = logits(plain, processing)
    theirs = logits(PeftModel.from_pretrained(plain, alone), processing)
    whole = logits(AutoModelForImageTextToText.from_pretrained(merged), processing)
    torch.testing.assert_close(theirs, whole, rtol=1e-4, atol=1e-5)
    assert (theirs - original).abs().max() > 1e-3

    ours, processor = checkpoints.load(str(alone))
    assert not hasattr(ours, "peft_config")
    assert {n for n, _ in ours.named_parameters()} == {n for n, _ in plain_names(base)}
    torch.testing.assert_close(logits(ours, processor), whole, rtol=1e-4, atol=1e-5)


def plain_names(base: Path) -> Any:
    return checkpoints.load(str(base))[0].named_parameters()


@each_kind
def test_adapter_of_vision_parts_leaves_the_words_to_the_bit(
    kind: str, base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    folder = run(get_method("vkd"), base, tmp_path / "out", save_adapter="adapter", **KINDS[kind])
    stored = load_file(folder / "adapter_model.safetensors")
    assert stored and not [name for name in stored if "language_model" in name]
    assert any("magnitude" in name for name in stored) == (kind == "dora")
    assert '"text_logits_identical": true' in (folder / "metrics.json").read_text()


@pytest.mark.parametrize("option", ["lora_alpha", "lora_dropout", "use_dora"])
@methods(lambda method: method.name in AT_ONCE)
def test_each_option_of_adapters_is_used(
    method: Method, option: str, base: Path, tmp_path: Path
) -> None:
    value = {"lora_alpha": 1, "lora_dropout": 0.5, "use_dora": True}[option]
    one = run(method, base, tmp_path / "one")
    other = run(method, base, tmp_path / "other", **{option: value})
    same = run(method, base, tmp_path / "same", lora_alpha=4)  # what 0 stands for, of rank 2
    assert not tiny.same_weights(one, other)
    assert tiny.same_weights(one, same)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        from unsee.evaluation import frozen

        patch.setattr(frozen, "check", frozen.compare)
        folder = tmp_path_factory.mktemp("adapter") / "out"
        return run(get_method("vkd"), base, folder, save_adapter="adapter")


def test_adapter_is_where_unlearning_can_start_again(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    vkd = get_method("vkd")
    with pytest.raises(UnseeError, match="out is an adapter itself: choose save_adapter=merged"):
        run(vkd, adapter, tmp_path / "out", save_adapter="adapter")
    again = run(vkd, adapter, tmp_path / "out", lora_rank=0)
    assert tiny.weights(again).keys() == tiny.weights(base).keys()


def test_adapter_whose_base_is_gone(adapter: Path, tmp_path: Path) -> None:
    import json
    import shutil

    moved = Path(shutil.copytree(adapter, tmp_path / "moved"))
    config = json.loads((moved / "adapter_config.json").read_text())
    for base, said in (
        ("/absent/model", "moved is an adapter of /absent/model, and that can't be used "),
        (None, r"moved/adapter_config.json does not name the model"),
        (str(adapter), "which is an adapter itself"),
    ):
        config["base_model_name_or_path"] = base
        (moved / "adapter_config.json").write_text(json.dumps(config))
        for look in (checkpoints.check_loadable, checkpoints.load, checkpoints.stored_dtypes):
            with pytest.raises(UnseeError, match=said):
                look(str(moved))


def test_adapter_that_is_damaged_or_of_another_model(adapter: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(adapter, tmp_path / "copy"))
    file = copy / "adapter_model.safetensors"
    tensors = load_file(file)
    name = min(tensors)
    for changed, said in (
        ({n: t for n, t in tensors.items() if n != name}, "does not fit its model: .* is missing"),
        ({**tensors, "base_model.model.odd.lora_A.weight": tensors[name]}, "odd.* is no part of"),
        ({**tensors, name: torch.zeros(1, 1)}, "copy can't be loaded"),
    ):
        save_file({n: t.clone() for n, t in changed.items()}, file)
        with pytest.raises(UnseeError, match=said):
            checkpoints.load(str(copy))
    file.write_bytes(b"half")
    with pytest.raises(UnseeError, match="copy can't be loaded"):
        checkpoints.load(str(copy))
    torch.save(tensors, copy / "adapter_model.bin")
    file.unlink()
    with pytest.raises(UnseeError, match=r"adapter_model.bin is a pickle.*--allow-pickle"):
        checkpoints.load(str(copy))
    checkpoints.load(str(copy), allow_pickle=True)
    (copy / "adapter_model.bin").unlink()
    with pytest.raises(UnseeError, match=r"holds no weights \(adapter_model.safetensors\)"):
        checkpoints.load(str(copy))


def test_trainer_saves_the_adapter_too(base: Path, processing: Any, tmp_path: Path) -> None:
    trainer_class, config_class = get_method("vkd").classes()
    model, _ = checkpoints.load(str(base))
    args = config_class(output_dir="work", save_adapter="adapter", **OPTIONS)
    sides = (tiny.examples(2, 2), tiny.examples(2, 2, 10))
    trainer = trainer_class(model, args, *sides, processing)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    assert not (tmp_path / "saved/config.json").exists()
    loaded, _ = checkpoints.load(str(tmp_path / "saved"))
    theirs = logits(trainer.model, processing)
    torch.testing.assert_close(logits(loaded, processing), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("few_pictures")
def test_adapter_is_evaluated(adapter: Path, base: Path, tmp_path: Path) -> None:
    import json

    from unsee.cli.main import main

    words = ["--forget", "3", "--per-person", "1", "--output", str(tmp_path / "run")]
    assert main(["evaluate", str(adapter), *words, "--original", str(base)]) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["text_logits_identical"] is True and metrics["trained_parameters"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lora_rank": 0, "use_dora": True}, "use_dora is about adapters: give lora_rank"),
        ({"lora_rank": 0, "save_adapter": "adapter"}, "save_adapter=adapter is about adapters"),
        ({"lora_alpha": -1}, "lora_alpha must not be negative"),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1"),
        ({"save_adapter": "both"}, "save_adapter='both' is not offered; choose merged, adapter"),
        ({"save_adapter": "adapter", "prune_side": "both"}, "does not carry what prune_side"),
    ],
)
def test_options_that_make_no_sense(
    options: dict[str, Any], said: str, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnseeError, match=said):
        run(get_method("vkd"), base, tmp_path / "out", **options)


def test_adapter_that_is_not_finite_is_not_saved(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee import adapters
    from unsee.methods.vkd import VKDTrainer

    def broken(self: VKDTrainer) -> adapters.Adapter:
        made = adapters.taken_out(self.anatomy.model)
        made.weights[min(made.weights)][0] = float("nan")
        return made

    monkeypatch.setattr(VKDTrainer, "take_out", broken)
    with pytest.raises(UnseeError, match="is not finite: nothing was saved"):
        run(get_method("vkd"), base, tmp_path / "out", save_adapter="adapter")
    assert not (tmp_path / "out").exists()
