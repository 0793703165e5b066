"""One unlearning run from checkpoint to checkpoint: resumable, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from unsee import checkpoints
from unsee.errors import UnseeError
from unsee.evaluation import frozen
from unsee.evaluation.runs import write_run
from unsee.measure import Cost, resident
from unsee.methods.registry import get_method

SETTINGS = "unsee.json"


class _SecondsSoFar(TrainerCallback):
    """Keeps the seconds of an interrupted run beside its checkpoints, for the resumed one."""

    def __init__(self, work: Path, cost: Cost) -> None:
        self.file = work / "seconds.json"
        self.cost = cost
        self.before = json.loads(self.file.read_text()) if self.file.exists() else 0.0

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        import time

        self.file.write_text(json.dumps(self.before + time.perf_counter() - self.cost._start))


def prepare_output(output: Path, settings: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Checks an output folder and returns the work folder beside it.

    Raises:
        UnseeError: the folder holds something else or a finished run, or an unfinished run with
            other settings lies beside it.
    """
    work = output.with_name(output.name + ".unfinished")
    wanted = json.dumps(dict(settings), indent=2, sort_keys=True, default=str)
    if output.exists() and not output.is_dir():
        raise UnseeError(f"{output} is a file: choose another --output")
    if output.is_dir() and any(output.iterdir()):
        ours = (output / "metrics.json").exists() and (output / "config.yaml").exists()
        if not ours:
            raise UnseeError(f"{output} holds something else: choose another --output")
        if not overwrite:
            raise UnseeError(
                f"{output} holds a finished run: choose another --output, or pass --overwrite"
            )
    if work.exists():
        same = (work / SETTINGS).exists() and (work / SETTINGS).read_text() == wanted
        if not same and not overwrite:
            raise UnseeError(
                f"{work} is an unfinished run with other settings: repeat those to go on, or pass "
                "--overwrite to start anew"
            )
        if not same:
            shutil.rmtree(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / SETTINGS).write_text(wanted)
    except OSError as error:
        raise UnseeError(f"{output} can't be written: {error.strerror}") from error
    return work


def unlearn(
    model_source: str,
    forget: Any,
    retain: Any,
    output: Path,
    method: str = "vkd",
    options: Mapping[str, Any] | None = None,
    describe: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    allow_pickle: bool = False,
) -> dict[str, Any]:
    """Runs a method and leaves a complete checkpoint in `output`, with its metrics.

    Args:
        model_source: checkpoint to start from: a folder or a name on the hub.
        forget: dataset of pictures to forget, each item with an `image`.
        retain: the same of people to keep.
        output: folder of the new checkpoint; written beside and moved there when whole.
        method: name of the method.
        options: fields of the method's configuration that differ from its defaults.
        describe: what else belongs into `config.yaml` (where the pictures are from, …).
        overwrite: replace a finished run in `output`, or an unfinished one with other settings.
        allow_pickle: load `pytorch_model.bin`.

    Returns:
        What is in `metrics.json`: `seconds`, `peak_memory_mb`, `trained_parameters`,
        `text_logits_identical`.

    Raises:
        UnseeError: bad input, or a broken promise of the method to leave W untouched.
    """
    entry = get_method(method)
    trainer_class, config_class = entry.classes()
    settings = {"method": method, "model": model_source, **(describe or {}), **(options or {})}
    dtype = checkpoints.stored_dtypes(model_source, allow_pickle)
    work = prepare_output(output, settings, overwrite)
    args = config_class(output_dir=str(work), **(options or {}))
    baseline = resident()
    model, processor = checkpoints.load(model_source, allow_pickle=allow_pickle)
    with Cost(baseline) as cost:
        so_far = _SecondsSoFar(work, cost)
        trainer = trainer_class(model, args, forget, retain, processor, callbacks=[so_far])
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work)))
    metrics: dict[str, Any] = {
        "seconds": round(so_far.before + cost.seconds, 2),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
        "trained_parameters": trainer.trained_parameters,
        "steps": trainer.state.global_step,
    }
    partial = work / "finished"
    shutil.rmtree(partial, ignore_errors=True)
    checkpoints.save(trainer.accelerator.unwrap_model(trainer.model), processor, partial, dtype)
    verdict = frozen.check(model_source, [str(partial)], allow_pickle)[0]
    metrics["text_logits_identical"] = verdict.identical
    if not entry.touches_language and not verdict.identical:
        what = verdict.changed[0] if verdict.changed else "the logits of text-only prompts"
        raise UnseeError(f"{method} must leave the language model alone, but {what} changed: a bug")
    config = {**settings, "trained_with": _plain(args)}
    write_run(partial, metrics, config)
    if output.exists():
        shutil.rmtree(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(output)
    shutil.rmtree(work, ignore_errors=True)
    return metrics


def _plain(args: Any) -> dict[str, Any]:
    """The fields of a configuration that are a method's own or govern the optimisation."""
    wanted = {
        *("trainable forget_weight retain_weight learning_rate max_steps num_train_epochs").split(),
        *("per_device_train_batch_size gradient_accumulation_steps lr_scheduler_type").split(),
        *("warmup_steps weight_decay max_grad_norm seed bf16").split(),
    }
    from transformers import TrainingArguments

    own = type(args).__dataclass_fields__.keys() - TrainingArguments.__dataclass_fields__.keys()
    found = {name: getattr(args, name) for name in sorted(own | wanted)}
    return {k: getattr(v, "value", v) for k, v in found.items()}
