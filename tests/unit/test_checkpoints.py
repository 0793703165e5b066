"""What is accepted as a checkpoint, and what is said about the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from unsee import checkpoints
from unsee.errors import UnseeError


@pytest.fixture
def copy(checkpoint_of: dict[str, Path], tmp_path: Path) -> Callable[[], Path]:
    return lambda: Path(shutil.copytree(checkpoint_of["llava"], tmp_path / "copy"))


def text_only(folder: Path) -> Path:
    """A language model without eyes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8}
    config = LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=1)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_load_gives_model_and_processor_in_the_dtype_asked_for(
    checkpoint_of: dict[str, Path], processing: Any
) -> None:
    source = str(checkpoint_of["llava"])
    for dtype, expected in (
        (None, torch.float32),
        ("auto", torch.bfloat16),
        ("float16", torch.float16),
    ):
        model, processor = checkpoints.load(source, dtype)
        assert {p.dtype for p in model.parameters()} == {expected}
    prompt = "USER: <image>Who is this? ASSISTANT:"
    ours, theirs = (
        p(text=[prompt], images=[tiny.picture(0)], return_tensors="pt")
        for p in (processor, processing)
    )
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])
    assert checkpoints.stored_dtypes(source) == torch.bfloat16
    assert checkpoints.stored_dtypes(str(checkpoint_of["llava-layer-2"])) == torch.float32


def test_saved_and_loaded_in_the_stored_dtype_is_the_same_file(
    checkpoint_of: dict[str, Path], tmp_path: Path
) -> None:
    for name, source in checkpoint_of.items():
        model, processor = checkpoints.load(str(source))
        checkpoints.save(model, processor, tmp_path / name, checkpoints.stored_dtypes(str(source)))
        assert tiny.same_weights(source, tmp_path / name)


def test_save_refuses_what_is_not_finite(processing: Any, tmp_path: Path) -> None:
    model = tiny.llava(processing)
    model.model.vision_tower.pre_layrnorm.weight.data[3] = float("nan")
    with pytest.raises(UnseeError, match=r"vision_tower.pre_layrnorm.weight is not finite"):
        checkpoints.save(model, processing, tmp_path / "out", torch.float32)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["./absent", "/absent/model", "a/b/c"])
def test_missing_folder(where: str) -> None:
    with pytest.raises(UnseeError, match=f"there is no model folder {where}"):
        checkpoints.check_loadable(where)


def test_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnseeError, match="no model could be found at nobody/nothing: "):
        checkpoints.check_loadable("nobody/nothing")


def test_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match=r"not a transformers checkpoint: it has no config.json"):
        checkpoints.check_loadable(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(UnseeError, match=r"holds no weights \(model.safetensors\)"):
        checkpoints.check_loadable(str(tmp_path))


def test_pickle_is_refused_unless_asked_for(copy: Callable[[], Path]) -> None:
    folder = copy()
    before, _ = checkpoints.load(str(folder))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    for refused in (checkpoints.check_loadable, checkpoints.load, checkpoints.stored_dtypes):
        with pytest.raises(UnseeError, match=r"pytorch_model.bin is a pickle.*--allow-pickle"):
            refused(str(folder))
    after, _ = checkpoints.load(str(folder), allow_pickle=True)
    assert all(torch.equal(after.state_dict()[n], w) for n, w in before.state_dict().items())


def test_pickle_beside_safetensors_is_not_touched(copy: Callable[[], Path]) -> None:
    folder = copy()
    (folder / "pytorch_model.bin").write_bytes(b"would fail if it were read")
    checkpoints.load(str(folder))


def test_model_without_vision(tmp_path: Path) -> None:
    folder = text_only(tmp_path / "llama")
    with pytest.raises(UnseeError, match=r"llama \(llama\) has no vision encoder"):
        checkpoints.load(str(folder))


def test_damaged_file(copy: Callable[[], Path]) -> None:
    folder = copy()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UnseeError, match=r"copy can't be loaded: .+"):
        checkpoints.load(str(folder))


def test_file_without_all_weights(copy: Callable[[], Path]) -> None:
    folder = copy()
    tensors = load_file(folder / "model.safetensors")
    del tensors["multi_modal_projector.linear_1.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnseeError, match=r"no weights for \S*linear_1.weight \(1 missing\)"):
        checkpoints.load(str(folder))


def test_last_checkpoint_is_the_newest_whole_one(tmp_path: Path) -> None:
    assert checkpoints.last_checkpoint(tmp_path / "absent") is None
    state = json.dumps({"global_step": 1})
    for step, text in ((9, state), (20, state), (30, state[:5]), (100, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if text:
            (tmp_path / f"checkpoint-{step}/trainer_state.json").write_text(text)
    (tmp_path / "checkpoint-best").mkdir()
    assert checkpoints.last_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"checkpoint-9", "checkpoint-20", "checkpoint-best"}
