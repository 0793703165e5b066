"""The folder beside an output in which a run is under way, and what is kept there to resume it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from unsee import distributed
from unsee.checkpoints import last_checkpoint
from unsee.errors import UnseeError
from unsee.evaluation.runs import write_text
from unsee.measure import Cost

SETTINGS = "unsee.json"


def work_of(output: Path) -> Path:
    """The folder beside an output in which a run is under way."""
    return output.with_name(output.name + ".unfinished")


def prepare_output(output: Path, settings: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Checks an output folder and returns the work folder beside it.

    Raises:
        UnseeError: the folder holds something else or a finished run, or an unfinished run with
            other settings lies beside it.
    """
    work = work_of(output)
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
        ours = (work / SETTINGS).is_file()
        same = ours and (work / SETTINGS).read_text() == wanted
        if not ours and any(work.iterdir()):
            raise UnseeError(f"{work} holds something else: choose another --output")
        if not same and not overwrite and last_checkpoint(work):
            raise UnseeError(
                f"{work} is an unfinished run with other settings or data: repeat those to go on, "
                "or pass --overwrite to start anew"
            )
        if not same:
            shutil.rmtree(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / SETTINGS).write_text(wanted)
    except OSError as error:
        raise UnseeError(f"{output} can't be written: {error.strerror}") from error
    return work


@contextmanager
def nothing_without_checkpoint(work: Path) -> Iterator[None]:
    """Where a run ends before its first checkpoint, its work folder is of no use to anybody."""
    try:
        yield
    except BaseException:
        if distributed.is_first() and last_checkpoint(work) is None:
            shutil.rmtree(work, ignore_errors=True)
        raise


class SecondsSoFar(TrainerCallback):
    """Keeps the seconds of an interrupted run beside its checkpoints, for the resumed one."""

    def __init__(self, work: Path, cost: Cost) -> None:
        self.file = work / "seconds.json"
        self.cost = cost
        self.before = json.loads(self.file.read_text()) if self.file.exists() else 0.0

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        import time

        so_far = self.before + time.perf_counter() - self.cost._start
        if distributed.is_first():
            write_text(self.file, json.dumps(so_far))
