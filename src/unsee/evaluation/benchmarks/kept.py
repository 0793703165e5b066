"""Answers kept as they come, so that an evaluation of hours goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = "answers.partial"
"""The file in a run's folder; it is gone when the run is finished."""
PORTION = 128
"""Answers after which they are kept."""


class Kept:
    """A file of answers, or of likelihoods, one JSON object a line, headed by what they are of.

    Args:
        file: where it is, or will be when the first answer comes.
        run: all that the answers depend on beside the prompt. Answers of another run are dropped.
    """

    def __init__(self, file: Path, run: Mapping[str, Any]) -> None:
        self.file = file
        self.head = json.dumps(dict(run), sort_keys=True, default=str)
        self.found = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            head, *lines = self.file.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            return {}
        found: dict[str, Any] = {}
        if head != self.head:
            return found
        for line in lines:
            try:  # the last line may have been cut off
                found |= json.loads(line)
            except (ValueError, TypeError):
                continue
        return found

    def add(self, answers: Mapping[str, Any]) -> None:
        """Appends answers, by the key of their prompt."""
        self.found |= answers
        if len(self.found) == len(answers):  # nothing of this run was there
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(self.head + "\n", encoding="utf-8")
        with self.file.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(dict(answers), ensure_ascii=False) + "\n")

    def drop(self) -> None:
        """Removes the file: the run is finished."""
        self.file.unlink(missing_ok=True)


def going_on(
    kept: Kept | None,
    keys: Callable[[], Sequence[str]],
    size: int,
    work: Callable[[Sequence[int]], Sequence[Any]],
    count: int,
) -> list[Any]:
    """What `work` finds for `count` prompts; what is kept already is not asked again, and what is
    new is kept portion by portion.

    Args:
        kept: where; None: all at once, nothing is kept.
        keys: gives the key of each prompt.
        size: prompts in a batch.
        work: finds something for the prompts of these numbers, in their order.
        count: how many prompts there are.
    """
    if kept is None:
        return list(work(range(count)))
    names = keys()
    missing = [n for n, key in enumerate(names) if key not in kept.found]
    # In their order: the questions about a picture follow one another, and share it in a portion.
    portion = max(PORTION // size, 1) * size
    for start in range(0, len(missing), portion):
        chosen = missing[start : start + portion]
        found = work(chosen)
        kept.add({names[n]: one for n, one in zip(chosen, found, strict=True)})
    return [kept.found[key] for key in names]


def key_of(text: str, pictures: str, wanted: object) -> str:
    """A prompt's key: its words, what its pictures are called, what is wanted of it: how many
    tokens at most, or how likely which options are."""
    whole = "\0".join((text, pictures, str(wanted)))
    return hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()


def state_of(source: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files of a local folder, its sub-folders included, or of a
    file; of a name on the hub nothing."""
    path = Path(source)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]
