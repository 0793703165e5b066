"""The frozen-LLM guarantee notices a single bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_layers import GradientCheckpointingLayer

import families
import tiny
from unsee.anatomy import anatomy_of
from unsee.errors import UnseeError
from unsee.evaluation import frozen

W = "language_model.model.layers.1.mlp.up_proj.weight"
V = "vision_tower.encoder.layers.0.mlp.fc1.weight"
Copy = Callable[[str], Path]


@pytest.fixture
def copy(checkpoint_of: dict[str, Path], tmp_path: Path) -> Copy:
    """A copy of the tiny checkpoint under a name of its own."""
    return lambda name: Path(shutil.copytree(checkpoint_of["llava"], tmp_path / name))


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def flip(name: str, position: int = 0) -> Callable[[dict[str, torch.Tensor]], None]:
    """Flips the lowest bit of one element."""

    def edit(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name].view(-1).view(torch.int16)[position] ^= 1

    return edit


@pytest.fixture
def original(checkpoint_of: dict[str, Path]) -> str:
    return str(checkpoint_of["llava"])


def compare(original: str, *folders: Path) -> list[frozen.Verdict]:
    return frozen.compare(original, [str(folder) for folder in folders])


def test_one_bit_of_the_language_model_is_noticed(original: str, copy: Copy) -> None:
    same, first, last = copy("same"), copy("first"), copy("last")
    change(first, flip(W))
    change(last, flip("language_model.model.norm.weight", -1))
    verdicts = compare(original, same, first, last)
    assert [v.identical for v in verdicts] == [True, False, False]
    assert [v.checkpoint for v in verdicts] == [str(same), str(first), str(last)]
    assert verdicts[0].changed == [] and verdicts[0].logits_identical
    assert verdicts[1].changed == ["model.language_model.layers.1.mlp.up_proj.weight"]
    assert verdicts[2].changed == ["model.language_model.norm.weight"]
    # 2 layers of 9 tensors, embedding, norm and head
    assert {v.tensors for v in verdicts} == {21}


def test_vision_and_projector_may_change(original: str, copy: Copy) -> None:
    def scramble(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if not name.startswith("language_model"):
                tensor.normal_()

    assert compare(original, change(copy("scrambled"), scramble))[0].identical


def test_same_weights_under_another_configuration_are_noticed(original: str, copy: Copy) -> None:
    folder = copy("theta")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["rms_norm_eps"] = 0.1
    (folder / "config.json").write_text(json.dumps(config))
    verdict = compare(original, folder)[0]
    assert verdict.changed == [] and not verdict.logits_identical and not verdict.identical


def test_another_precision_is_another_language_model(
    original: str, processing: Any, tmp_path: Path
) -> None:
    wider = tiny.save(tmp_path / "wider", tiny.llava(processing), processing, "float32")
    verdict = compare(original, wider)[0]
    assert len(verdict.changed) == verdict.tensors and not verdict.identical


def test_changed_prompt_is_noticed(original: str, copy: Copy) -> None:
    folder = copy("prompted")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("USER: ", "USER: Say: "))
    verdict = compare(original, folder)[0]
    assert verdict.changed == [] and not verdict.logits_identical


def test_a_verdict_without_tensors_is_no_guarantee() -> None:
    assert not frozen.Verdict("x", 0, [], True).identical
    assert frozen.Verdict("x", 1, [], True).identical


def test_check_in_a_fresh_process(original: str, copy: Copy) -> None:
    same, broken = copy("same"), change(copy("broken"), flip(W))
    change(same, flip(V))
    verdicts = frozen.check(original, [str(same), str(broken)])
    assert verdicts == compare(original, same, broken)
    assert [v.identical for v in verdicts] == [True, False]


BUILDERS = {"t5": families.blip_2_t5} | {
    name: partial(families.build, name) for name in ("llava", "gemma3", "mllama", "instructblip")
}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_block_at_a_time_is_the_whole_in_float32(name: str) -> None:
    model, _ = BUILDERS[name]()
    model.to(torch.bfloat16).eval()
    anatomy, whole = anatomy_of(model), deepcopy(model).float()
    ids = {"input_ids": torch.tensor([[5, 7, 6, 9]])}
    if name == "t5":
        ids["decoder_input_ids"] = ids["input_ids"]
    speaker, part_of = anatomy.family.speaker, anatomy.family.part_of
    layers = [
        (part_of(path), layer)
        for path, layer in model.named_modules()
        if isinstance(layer, GradientCheckpointingLayer)
    ]
    blocks = [layer for part, layer in layers if part == "language"]
    wide: list[int] = []

    def count(*called: Any) -> None:
        wide.append(sum(next(b.parameters()).dtype == torch.float32 for b in blocks))

    with torch.no_grad(), frozen.in_float32(anatomy):
        for block in blocks:
            block.register_forward_pre_hook(count)
        logits = model.get_submodule(speaker)(**ids).logits
        assert logits.dtype == torch.float32
        assert torch.equal(logits, whole.get_submodule(speaker)(**ids).logits)
    assert wide and set(wide) == {1}
    assert {p.dtype for block in blocks for p in block.parameters()} == {torch.bfloat16}


def test_nothing_is_put_on_a_gpu(original: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may be there, filled by what was trained."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert compare(original, Path(original))[0].identical


def test_checkpoint_that_cannot_be_loaded(
    original: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frozen.main([original, str(tmp_path / "absent")]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and f"there is no model folder {tmp_path / 'absent'}" in shown.err


def test_failure_of_the_fresh_process_is_one_line(
    original: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen.sys, "executable", shutil.which("false"))
    with pytest.raises(UnseeError, match="can't be compared with .*: no message"):
        frozen.check(original, [original])
