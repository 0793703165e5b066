"""W in 8 or 4 bits: refusals where it can't be, and what is saved where it can."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from unsee import checkpoints
from unsee.anatomy import anatomy_of
from unsee.cli.main import main
from unsee.errors import UnseeError
from unsee.quantised import with_language_of


def words(source: Path, folders: tuple[Path, Path], *more: str) -> list[str]:
    usual = ["unlearn", "--model", str(source), "--forget", str(folders[0])]
    usual += ["--retain", str(folders[1]), "--output", "out", "--max_steps", "2"]
    return [*usual, "--per_device_train_batch_size", "2", *more]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--quantize", "4bit"), "this needs bitsandbytes: pip install 'unsee[quantize]'"),
        (("--quantize", "2bit"), "quantize='2bit' is not offered; choose 8bit, 4bit"),
    ],
)
def test_refused(
    more: tuple[str, ...],
    message: str,
    checkpoint_of: dict[str, Path],
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    assert main(words(checkpoint_of["llava"], folders, *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("unsee: error: ") and error.count("\n") == 1 and message in error
    assert not list(Path().iterdir())
    with pytest.raises(UnseeError, match="this needs bitsandbytes"):
        checkpoints.load(str(checkpoint_of["llava"]), quantize="8bit")


def test_methods_that_change_the_language_model(checkpoint_of: dict[str, Path]) -> None:
    from unsee.methods.run import unlearn

    source = str(checkpoint_of["llava"])
    people = tiny.asked(tiny.examples(2, 2), "baker")
    with pytest.raises(UnseeError, match="trainable=all changes the language model: leave --quant"):
        unlearn(source, people, people, Path("out"), "graddiff", quantize="4bit")
    if not importlib.util.find_spec("bitsandbytes"):
        options = {"trainable": "vision+projector"}
        with pytest.raises(UnseeError, match="this needs bitsandbytes"):
            unlearn(source, people, people, Path("out"), "graddiff", options, quantize="4bit")
    assert not list(Path().iterdir())


def test_what_is_saved_has_the_stored_language_model(processing: Any) -> None:
    trained, stored = (tiny.llava(processing, seed=seed) for seed in (0, 1))
    language = {n: t.clone() for n, t in anatomy_of(stored).language_tensors().items()}
    made = with_language_of(stored, trained)
    assert all(made.state_dict()[name].equal(tensor) for name, tensor in language.items())
    for name, parameter in anatomy_of(trained).parameters("vision", "projector"):
        assert made.get_parameter(name).equal(parameter)


@pytest.mark.usefixtures("compare_in_process")
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.filterwarnings("ignore")  # bitsandbytes casts on the CPU and says so
def test_with_bitsandbytes(
    bits: str, checkpoint_of: dict[str, Path], folders: tuple[Path, Path]
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    source = checkpoint_of["llava"]
    model, _ = checkpoints.load(str(source), quantize=bits)
    kinds = {
        part: {p.dtype for name, p in anatomy_of(model).parameters(part) if "proj.weight" in name}
        for part in ("vision", "language")
    }
    assert kinds["vision"] == {torch.float32}
    assert kinds["language"] == {torch.int8 if bits == "8bit" else torch.uint8}
    plain, quantised = words(source, folders), words(source, folders, "--quantize", bits)
    quantised[quantised.index("out")] = "few-bits"
    assert main(plain) == main(quantised) == 0  # with the check that W is the same to the bit
    assert tiny.same_weights(Path("out"), Path("few-bits"))  # for VKD does not run W
