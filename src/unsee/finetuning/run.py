"""One teaching from checkpoint to checkpoint: resumable, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unsee import __version__, checkpoints, distributed
from unsee.checkpoints import last_checkpoint
from unsee.errors import UnseeError
from unsee.evaluation.benchmarks.kept import state_of
from unsee.evaluation.runs import write_run
from unsee.finetuning.config import FinetuneConfig, taught_with
from unsee.finetuning.lessons import Lessons
from unsee.finetuning.trainer import FinetuneTrainer
from unsee.measure import Cost, resident
from unsee.methods import run as runs
from unsee.methods import work as works


def configured(output: Path, options: Mapping[str, Any]) -> FinetuneConfig:
    """The configuration of a run into `output`.

    Raises:
        UnseeError: an option that is none, or a value that makes no sense.
    """
    return runs.configure(FinetuneConfig, works.work_of(output), options)


def _state(lessons: Lessons, sources: Sequence[str], work: Path) -> str:
    """A hash of all that is learnt, and of the files that it is read from, but for this run's."""
    told = [
        (one.person, one.question, one.answer, one.picture is not None) for one in lessons.lessons
    ]
    files = [file for source in sources for file in state_of(source)]
    others = [one for one in files if not Path(one[0]).resolve().is_relative_to(work.resolve())]
    return hashlib.blake2b(json.dumps([told, others]).encode(), digest_size=16).hexdigest()


def finetune(
    model_source: str,
    lessons: Lessons,
    output: Path,
    options: Mapping[str, Any] | None = None,
    describe: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Teaches a model and leaves a complete checkpoint in `output`, with its metrics.

    Args:
        model_source: checkpoint to start from: a folder or a name on the hub.
        lessons: what it is taught.
        output: folder of the new checkpoint; written beside and moved there when whole.
        options: fields of `FinetuneConfig` that differ from its defaults.
        describe: what else belongs into `config.yaml` (benchmark, data, …); a run with other
            descriptions, options, lessons or files does not go on from this one's checkpoints.
        overwrite: replace a finished run in `output`, or an unfinished one with other settings.
        allow_pickle: load `pytorch_model.bin`.
        revision: branch, tag or commit, where the model is a name on the hub.
        trust_remote_code: run code that comes with the model.

    Returns:
        What is in `metrics.json`: `loss` (mean of a token, over lessons at even distances, after
        the training), `lessons`, `people`, `people_pictured`, `seconds`, `peak_memory_mb`,
        `trained_parameters`, `steps`.

    Raises:
        UnseeError: bad input.
    """
    if distributed.processes() > 1:
        raise UnseeError("models are taught in one process so far: start it without a launcher")
    loading: dict[str, Any] = {"allow_pickle": allow_pickle, "revision": revision}
    loading["trust_remote_code"] = trust_remote_code
    dtype = checkpoints.stored_dtypes(model_source, **loading)
    if output.is_symlink() or output.name in ("", ".."):
        output = output.resolve()
    args = configured(output, options or {})
    settings = {"model": model_source, **(describe or {}), **(options or {})}
    settings |= {"revision": revision} if revision else {}
    resolved = {**taught_with(args), "unsee": __version__, "lessons": len(lessons)}
    sources = [str(source) for source in (model_source, (describe or {}).get("data")) if source]
    resolved["learnt"] = _state(lessons, sources, works.work_of(output))
    work = works.prepare_output(output, {**settings, "resolved": resolved}, overwrite)
    with works.nothing_without_checkpoint(work):
        baseline = resident()
        model, processor = checkpoints.load(model_source, **loading)
        with Cost(baseline) as cost:
            so_far = works.SecondsSoFar(work, cost)
            trainer = FinetuneTrainer(model, args, lessons, processor, callbacks=[so_far])
            last = last_checkpoint(work)
            if not runs.restored(trainer, last):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
    metrics: dict[str, Any] = {
        "loss": round(trainer.mean_loss(), 5),
        "lessons": len(lessons),
        "people": len(lessons.people),
        "people_pictured": len(lessons.pictured),
        "seconds": round(so_far.before + cost.seconds, 2),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
        "trained_parameters": trainer.trained_parameters,
        "steps": trainer.state.global_step,
    }
    partial = work / "finished"
    shutil.rmtree(partial, ignore_errors=True)
    checkpoints.save(trainer.anatomy.model, processor, partial, dtype)
    write_run(partial, metrics, {**settings, "taught_with": taught_with(args)})
    if output.exists():
        shutil.rmtree(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(output)
    shutil.rmtree(work, ignore_errors=True)
    return metrics
