"""Answers kept as they come, so that an evaluation of hours goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "answers.partial"
"""The file in a run's folder; it is gone when the run is finished."""


class Kept:
    """A file of answers, one JSON object a line, headed by what they are answers to.

    Args:
        file: where it is, or will be when the first answer comes.
        run: all that the answers depend on beside the prompt. Answers of another run are dropped.
    """

    def __init__(self, file: Path, run: Mapping[str, Any]) -> None:
        self.file = file
        self.head = json.dumps(dict(run), sort_keys=True, default=str)
        self.found = self._read()

    def _read(self) -> dict[str, str]:
        try:
            head, *lines = self.file.read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            return {}
        found: dict[str, str] = {}
        if head != self.head:
            return found
        for line in lines:
            try:  # the last line may have been cut off
                found |= json.loads(line)
            except (ValueError, TypeError):
                continue
        return found

    def add(self, answers: Mapping[str, str]) -> None:
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


def key_of(text: str, pictures: str, new_tokens: int) -> str:
    """A prompt's key: its words, what its pictures are called, how long the answer may be."""
    whole = "\0".join((text, pictures, str(new_tokens)))
    return hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()


def state_of(source: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of the files of a local folder, its sub-folders included, or of a
    file; of a name on the hub nothing."""
    path = Path(source)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]
