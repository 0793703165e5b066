"""`unsee unlearn`: two folders in, a checkpoint out; and every input that it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import tiny
from unsee.cli.main import main
from unsee.methods.vkd import VKDTrainer

Words = Callable[..., list[str]]


@pytest.fixture
def words(checkpoint_of: dict[str, Path], folders: tuple[Path, Path]) -> Words:
    """The command line of a short run into `out`; keywords replace or add options."""
    forget, retain = folders
    usual = {"model": checkpoint_of["llava"], "forget": forget, "retain": retain, "output": "out"}
    usual |= {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 2}

    def build(**changes: Any) -> list[str]:
        options = {k: v for k, v in {**usual, **changes}.items() if v is not None}
        return ["unlearn", *(w for k, v in options.items() for w in (f"--{k}", str(v)))]

    return build


def line_of(shown: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    error = shown.readouterr().err
    assert error.startswith("unsee: error: ") and error.count("\n") == 1, error
    return error


def left() -> list[str]:
    """What a command left in the current folder."""
    return sorted(str(path) for path in Path().iterdir())


def test_two_folders_make_a_complete_checkpoint(
    words: Words, checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the guarantee checked in a fresh process, as users have it."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    assert main(words()) == 0
    assert "the same to the bit" in capsys.readouterr().out
    assert left() == ["out"]
    model, found = AutoModelForImageTextToText.from_pretrained("out", output_loading_info=True)
    assert not any(found.values()) and model.dtype == torch.bfloat16
    assert AutoProcessor.from_pretrained("out").tokenizer.eos_token == "</s>"
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["text_logits_identical"] is True and metrics["steps"] == 4
    assert metrics["seconds"] > 0 and metrics["peak_memory_mb"] >= 0
    before, after = tiny.weights(checkpoint_of["llava"]), tiny.weights(Path("out"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    seen = {n for n in before if not n.startswith("language") and "post_layernorm" not in n}
    assert changed and changed <= seen
    assert metrics["trained_parameters"] == sum(before[name].numel() for name in seen)
    config = yaml.safe_load(Path("out/config.yaml").read_text())
    assert config["method"] == "vkd" and config["trained_with"]["max_steps"] == 4
    assert config["model"] == str(checkpoint_of["llava"])


@pytest.mark.usefixtures("compare_in_process")
def test_flags_win_over_the_file(
    checkpoint_of: dict[str, Path], folders: tuple[Path, Path]
) -> None:
    options = {
        "model": str(checkpoint_of["llava"]),
        "forget": str(folders[0]),
        "retain": str(folders[1]),
        "max_steps": 3,
        "learning_rate": "1e-4",
        "per-device-train-batch-size": 2,
        "trainable": "vision",
        "save_strategy": "no",
        "bf16": False,
        "overwrite": True,
    }
    Path("run.yaml").write_text(yaml.safe_dump(options))
    flags = ["--output", "out", "--max_steps", "2", "--forget_weight", "0.5"]
    assert main(["unlearn", "--config", "run.yaml", *flags]) == 0
    with_ = yaml.safe_load(Path("out/config.yaml").read_text())["trained_with"]
    assert with_["max_steps"] == 2 and with_["forget_weight"] == 0.5
    assert with_["learning_rate"] == 1e-4 and with_["trainable"] == "vision"
    assert with_["per_device_train_batch_size"] == 2 and with_["bf16"] is False
    # the switch in the file counts; a flag may go back to a default
    assert main(["unlearn", "--config", "run.yaml", *flags, "--trainable", "projector"]) == 0
    again = yaml.safe_load(Path("out/config.yaml").read_text())["trained_with"]
    assert again["trainable"] == "projector"


@pytest.mark.usefixtures("compare_in_process")
def test_ctrl_c_and_the_same_command_again(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(output="whole")) == 0
    original = VKDTrainer.training_step

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VKDTrainer, "training_step", interrupted)
        capsys.readouterr()
        assert main(words()) == 130
    error = capsys.readouterr().err
    assert error == (
        "unsee: interrupted; run the same command again to go on from the last checkpoint\n"
    )
    assert left() == ["out.unfinished", "whole"]

    assert main(words(max_steps=5)) == 2  # other settings are not mixed in
    assert "out.unfinished is an unfinished run with other settings" in line_of(capsys)
    assert main(words()) == 0
    assert left() == ["out", "whole"]
    assert tiny.same_weights(Path("out"), Path("whole"))


@pytest.mark.usefixtures("compare_in_process")
def test_full_disk(
    words: Words, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee import checkpoints

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device", "out.unfinished/finished/model.safetensors")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        assert main(words()) == 2
    where = "on out.unfinished/finished/model.safetensors"
    assert f"no space left {where}: free some or choose another --output" in line_of(capsys)
    assert left() == ["out.unfinished"]
    assert Path("out.unfinished/checkpoint-4").is_dir()
    assert main(words()) == 0 and left() == ["out"]


@pytest.mark.usefixtures("compare_in_process")
def test_unreadable_picture_is_named_and_the_rest_is_used(
    words: Words, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    forget = Path(shutil.copytree(folders[0], "him"))
    (forget / "person0/torn.jpg").write_bytes(b"\xff\xd8\xff half a picture")
    assert main(words(forget=forget)) == 0
    shown = capsys.readouterr()
    assert "unsee: warning: left out him/person0/torn.jpg: " in shown.err
    assert "6 pictures to forget, 9 to keep" in shown.out


def picture(path: str, seed: int) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Folders to give by mistake."""
    Path("empty").mkdir()
    picture("same/1.png", 1)
    shutil.copytree("same", "again")
    picture("again/2.png", 2)
    picture("taken/3.png", 3)
    Path("bad.yaml").write_text("max_steps: [")
    for name, text in (
        ("unknown", "max_stepps: 3"),
        ("word", "max_steps: many"),
        ("list", "- max_steps"),
        ("switch", "overwrite: 3"),
        ("target", "forget_target: nobody"),
        ("folder", "output_dir: here"),
        ("schedule", "lr_scheduler_type: zigzag"),
        ("method", "method: erase"),
    ):
        Path(f"{name}.yaml").write_text(text)
    return left()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forget": "empty"}, "empty holds no picture"),
        ({"retain": "empty"}, "empty holds no picture"),
        ({"retain": "absent"}, "there is no folder absent"),
        ({"forget": "same", "retain": "again"}, "1 picture is both to be forgotten and to be"),
        ({"model": "./absent"}, "there is no model folder ./absent"),
        ({"model": "same"}, "same is not a transformers checkpoint: it has no config.json"),
        ({"output": "taken"}, "taken holds something else: choose another --output"),
        ({"output": "bad.yaml"}, "bad.yaml is a file: choose another --output"),
        ({"method": "erase"}, "no method is called 'erase'; there is "),
        ({"max_steps": "many"}, "argument --max_steps/--max-steps: invalid int value: 'many'"),
        ({"max_steps": 0}, "max_steps must be at least 1"),
        ({"learning_rate": -1}, "learning_rate must be above 0"),
        ({"trainable": "language"}, "VKDTrainer can't train 'language': it supports vision"),
        ({"trainable": "head"}, "invalid choice: 'head'"),
        ({"lr_scheduler_type": "zigzag"}, "zigzag"),
        ({"trainable": "projector", "features": "vision"}, "loss does not depend on trainable="),
        ({"max_stepps": 3}, "unrecognized arguments: --max_stepps 3"),
        ({"output_dir": "here"}, "--output_dir is taken by the run: say --output"),
        ({"model": None, "output": None}, "--model, --output missing"),
        ({"config": "absent.yaml"}, "--config absent.yaml can't be read"),
        ({"config": "bad.yaml"}, "--config bad.yaml can't be read"),
        ({"config": "list.yaml"}, "list.yaml must hold lines of the form `option: value`"),
        ({"config": "unknown.yaml"}, "unknown.yaml: there is no option 'max_stepps'"),
        ({"config": "folder.yaml"}, "folder.yaml: there is no option 'output_dir'"),
        ({"config": "word.yaml"}, "argument --max_steps/--max-steps: invalid int value: 'many'"),
        ({"config": "switch.yaml"}, "overwrite must be true or false, not 3"),
        ({"config": "target.yaml"}, "invalid choice: 'nobody'"),
        ({"config": "schedule.yaml"}, "zigzag"),
        ({"config": "method.yaml"}, "no method is called 'erase'; there is "),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    changes: dict[str, Any],
    message: str,
    words: Words,
    inputs: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(**changes)) == 2
    assert message in line_of(capsys)
    assert left() == inputs


def test_model_without_vision_tower(words: Words, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8}
    config = LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=1)
    LlamaForCausalLM(config).save_pretrained("llama")
    capsys.readouterr()
    assert main(words(model="llama")) == 2
    assert "llama (llama) has no vision encoder" in line_of(capsys)
    assert left() == ["llama"]


@pytest.mark.usefixtures("compare_in_process")
def test_pickle_is_refused_unless_allowed(
    words: Words, checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(checkpoint_of["llava"], "pickled")
    torch.save(tiny.weights(Path("pickled")), "pickled/pytorch_model.bin")
    Path("pickled/model.safetensors").unlink()
    assert main(words(model="pickled")) == 2
    assert "pickled/pytorch_model.bin is a pickle" in line_of(capsys)
    assert left() == ["pickled"]
    assert main([*words(model="pickled"), "--allow-pickle"]) == 0
    assert main(words(output="plain")) == 0
    assert tiny.same_weights(Path("out"), Path("plain"))


@pytest.mark.usefixtures("compare_in_process")
def test_finished_output_is_replaced_only_when_asked(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words()) == 0
    first = Path("out/model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(words(seed=7, learning_rate=0.01)) == 2
    assert "out holds a finished run: choose another --output, or pass --overwrite" in (
        line_of(capsys)
    )
    assert Path("out/model.safetensors").read_bytes() == first
    assert main([*words(seed=7, learning_rate=0.01), "--overwrite"]) == 0
    assert Path("out/model.safetensors").read_bytes() != first
    assert left() == ["out"]


def test_help_has_examples_and_hides_what_is_transformers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = []
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as end:
            main(["unlearn", flag])
        assert end.value.code == 0
        shown.append(capsys.readouterr().out)
    assert "unsee unlearn --model M --forget ./him" in shown[0]
    assert "--forget_target" in shown[0] and "--weight_decay" not in shown[0]
    assert "--weight_decay" in shown[1]
