"""A run from folder to folder: resumed as if nothing had happened, and W untouched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import FAMILIES, has_adapters, methods, methods_and_families, soon, trains

import tiny
from unsee.errors import UnseeError
from unsee.evaluation import frozen
from unsee.methods.registry import Method, get_method, list_methods
from unsee.methods.run import unlearn

OPTIONS = {"max_steps": 6, "save_steps": 3, "per_device_train_batch_size": 2}
OPTIONS |= {"learning_rate": 1e-2, "warmup_steps": 1}
each_method, each_trained = methods(), methods(trains)
Run = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("compare_in_process")


class Asked:
    """Pictures with a question about each, for methods that run the language model."""

    def __init__(self, pictures: Any) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict[str, Any]:
        answer = ("baker", "pilot", "nurse")[index % 3]
        return {**self.pictures[index], "question": "What is this person's job?", "answer": answer}


@pytest.fixture(scope="module")
def run(checkpoint_of: dict[str, Path], folders: tuple[Path, Path]) -> Run:
    from unsee.data.pictures import read_pictures

    forget, retain = (Asked(read_pictures(folder)) for folder in folders)

    def start(method: Method, family: str, output: Path, **options: Any) -> dict[str, Any]:
        chosen = {**OPTIONS, **options}
        source = str(checkpoint_of[family])
        return unlearn(source, forget, retain, output, method.name, chosen)

    return start


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Method, str], Path]:
    """The result of an uninterrupted run, made once for each method and family."""
    made: dict[tuple[str, str], Path] = {}

    def result(method: Method, family: str) -> Path:
        key = (method.name, family)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("whole") / "out"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(frozen, "check", frozen.compare)
                run(method, family, made[key])
        return made[key]

    return result


def cut(patch: pytest.MonkeyPatch, method: Method, step: int, error: BaseException) -> None:
    """Ends training when `step` steps have been made."""
    trainer_class, _ = method.classes()
    original = trainer_class.training_step

    def training_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == step:
            raise error
        return original(self, *args, **kwargs)

    patch.setattr(trainer_class, "training_step", training_step)


@pytest.mark.parametrize(
    ("method", "family", "step"),
    [
        pytest.param(m, f, step, id=f"{m.name}-{f}-{step}", marks=() if first else soon(m))
        for m in list_methods()
        if trains(m)
        for f in FAMILIES
        for step in (2, 4, 5)
        for first in [f == FAMILIES[0] and step == 4]
    ],
)
def test_killed_and_resumed_is_the_same_as_uninterrupted(
    method: Method, family: str, step: int, run: Run, whole: Any, tmp_path: Path
) -> None:
    output, work = tmp_path / "out", tmp_path / "out.unfinished"
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, method, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(method, family, output)
    assert not output.exists()
    assert [p.name for p in work.glob("checkpoint-*")] == (["checkpoint-3"] if step > 3 else [])
    assert work.exists() == (step > 3)

    metrics = run(method, family, output)

    assert metrics["steps"] == 6 and not work.exists()
    assert tiny.same_weights(output, whole(method, family))


@each_trained
def test_varied_pictures_are_resumed_in_a_later_epoch(
    method: Method, run: Run, tmp_path: Path
) -> None:
    options = {"augment": True, "max_steps": 12, "save_steps": 10}
    run(method, "llava", tmp_path / "whole", **options)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, method, 11, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(method, "llava", tmp_path / "out", **options)
    state = json.loads((tmp_path / "out.unfinished/checkpoint-10/trainer_state.json").read_text())
    assert state["epoch"] > 1
    assert run(method, "llava", tmp_path / "out", **options)["steps"] == 12
    assert tiny.same_weights(tmp_path / "out", tmp_path / "whole")


@methods(has_adapters)
def test_adapters_are_resumed_and_merged_too(method: Method, run: Run, tmp_path: Path) -> None:
    from unsee import checkpoints

    run(method, "llava", tmp_path / "whole", lora_rank=2)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, method, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(method, "llava", tmp_path / "out", lora_rank=2)
    with pytest.MonkeyPatch.context() as patch:  # all steps made, and then nothing saved
        patch.setattr(checkpoints, "save", lambda *args: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            run(method, "llava", tmp_path / "out", lora_rank=2)
    assert run(method, "llava", tmp_path / "out", lora_rank=2)["steps"] == 6
    assert tiny.same_weights(tmp_path / "out", tmp_path / "whole")


@each_trained
def test_checkpoint_cut_off_while_it_was_written_is_not_used(
    method: Method, run: Run, whole: Any, tmp_path: Path
) -> None:
    work = tmp_path / "out.unfinished"
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, method, 5, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(method, "llava", tmp_path / "out")
    torn = shutil.copytree(work / "checkpoint-3", work / "checkpoint-5")
    (torn / "trained.safetensors").write_bytes(b"half")
    (torn / "trainer_state.json").unlink()
    assert run(method, "llava", tmp_path / "out")["steps"] == 6
    assert tiny.same_weights(tmp_path / "out", whole(method, "llava"))


@each_trained
def test_full_disk_at_the_end_keeps_the_work(
    method: Method, run: Run, whole: Any, tmp_path: Path
) -> None:
    from unsee import checkpoints

    def full(model: Any, processor: Any, folder: Path, dtype: Any) -> None:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        with pytest.raises(OSError, match="No space left"):
            run(method, "llava", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.unfinished/checkpoint-6").exists()

    with pytest.MonkeyPatch.context() as patch:  # no step is made again
        cut(patch, method, 6, AssertionError("trained again"))
        run(method, "llava", tmp_path / "out")
    assert tiny.same_weights(tmp_path / "out", whole(method, "llava"))


@each_trained
def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    method: Method, run: Run, whole: Any, tmp_path: Path
) -> None:
    trainer_class, _ = method.classes()
    sides = {side: getattr(trainer_class, f"{side}_loss") for side in trainer_class.uses}

    def broken(side: str) -> Any:
        def loss_of(self: Any, *args: Any) -> torch.Tensor:
            loss = sides[side](self, *args)
            return loss * float("nan") if self.state.global_step >= 4 else loss

        return loss_of

    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        for side in sides:
            patch.setattr(trainer_class, f"{side}_loss", broken(side))
        with pytest.raises(UnseeError, match=r"the loss is nan at step 4: lower the learning rate"):
            run(method, "llava", output)
    assert not output.exists()
    kept = tiny.weights(tmp_path / "out.unfinished/checkpoint-3")
    assert kept and all(torch.isfinite(tensor).all() for tensor in kept.values())
    run(method, "llava", output)
    assert tiny.same_weights(output, whole(method, "llava"))


@pytest.mark.parametrize("name", ["vkd", "graddiff"])
def test_no_checkpoint_is_written_of_weights_that_are_not_finite(
    name: str, run: Run, whole: Any, tmp_path: Path
) -> None:
    method = get_method(name)
    trainer_class, _ = method.classes()
    original = trainer_class.forget_loss

    def broken(self: Any, *args: Any) -> torch.Tensor:
        loss = original(self, *args)
        if self.state.global_step < 5:
            return loss
        trained = self.model.get_parameter(self.trained[0])
        return loss + (0 * trained.sum()).sqrt()  # 0, and its gradient is nan

    output = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_class, "forget_loss", broken)
        complaint = "is not finite at step 6: lower the .* checkpoint is .*checkpoint-3"
        with pytest.raises(UnseeError, match=complaint):
            run(method, "llava", output)
    kept = tiny.weights(tmp_path / "out.unfinished/checkpoint-3")
    assert kept and all(torch.isfinite(tensor).all() for tensor in kept.values())
    run(method, "llava", output)
    assert tiny.same_weights(output, whole(method, "llava"))


@each_method
def test_weights_that_are_not_finite_are_not_saved(
    method: Method, run: Run, tmp_path: Path
) -> None:
    trainer_class, _ = method.classes()
    original = trainer_class.train

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        dict(self.model.named_parameters())[self.adapted[0]].data[0] = float("inf")
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_class, "train", poisoned)
        with pytest.raises(UnseeError, match="is not finite: nothing was saved"):
            run(method, "llava", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@methods_and_families()
def test_language_model_on_disk_is_the_original_to_the_bit(
    method: Method, family: str, whole: Any, checkpoint_of: dict[str, Path], tmp_path: Path
) -> None:
    output, original = whole(method, family), checkpoint_of[family]
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["text_logits_identical"] is not method.touches_language
    before, after = tiny.weights(original), tiny.weights(output)
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(before[name].dtype == after[name].dtype for name in before)
    if not method.touches_language:
        assert not [name for name in changed if "language_model" in name]


@each_method
def test_method_that_breaks_its_promise_leaves_no_output(
    method: Method, run: Run, tmp_path: Path
) -> None:
    if method.touches_language:
        pytest.skip("it makes no such promise")
    trainer_class, _ = method.classes()
    original = trainer_class.train

    def careless(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        self.model.model.language_model.norm.weight.data[0] += 1
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_class, "train", careless)
        with pytest.raises(UnseeError, match=r"must leave the language model alone, but \S*norm"):
            run(method, "llava", tmp_path / "out")
    assert not (tmp_path / "out").exists()
