"""Rows of a study in one JSON file: appended one by one, so that a study can be cut and go on."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from unsee.errors import UnseeError
from unsee.evaluation.runs import write_text


def fingerprint(source: str) -> str:
    """Tells checkpoints apart: a hash of the weights, or the name of what is on the hub."""
    files = sorted(Path(source).glob("*.safetensors"))
    if not files:
        return source
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()[:16]


class Ledger:
    """The rows of a study.

    Args:
        path: JSON file `{"about": …, "rows": [...]}`; made with the first row.
        about: what the rows have in common (benchmark, pictures, command).
        keys: fields that tell rows apart.

    Raises:
        UnseeError: the file can't be read or written, or its rows are about something else.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        self.path, self.about, self.keys = path, dict(about), keys
        self.rows: list[dict[str, Any]] = []
        try:
            if path.exists():
                kept = json.loads(path.read_text(encoding="utf-8"))
                self.rows, about_kept = kept["rows"], kept["about"]
            else:
                write_text(path, "")  # so that a place that can't be written to is found now
                path.unlink()
                about_kept = json.loads(json.dumps(self.about))
        except OSError as error:
            raise UnseeError(f"{path} can't be used: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UnseeError(f"{path} holds no rows of a study: move it away") from error
        if self.rows and about_kept != json.loads(json.dumps(self.about)):
            raise UnseeError(
                f"{path} holds rows of a study with other settings: move it away, or choose "
                "another file"
            )

    def same_model(self, name: str, source: str, **wanted: Any) -> str:
        """The fingerprint of a checkpoint, to be kept in its rows as `checkpoint`.

        Args:
            name: of the model, for the message.
            source: its folder, or its name on the hub.
            wanted: values of fields of the rows that are about it.

        Raises:
            UnseeError: those rows are about another checkpoint.
        """
        found = fingerprint(source)
        for row in self.rows:
            ours = all(row.get(key) == value for key, value in wanted.items())
            if ours and row.get("checkpoint", found) != found:
                raise UnseeError(
                    f"{self.path} holds rows of another {name} than {source}: move it away, or "
                    "choose another file"
                )
        return found

    def find(self, **wanted: Any) -> dict[str, Any] | None:
        """The newest row with these values of the keys, or None."""
        for row in reversed(self.rows):
            if all(row.get(key) == wanted.get(key) for key in self.keys):
                return row
        return None

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row and writes the file whole, beside itself and then in place. Rows that another
        command has added meanwhile (another seed, say) are kept."""
        with _alone(self.path):
            if self.path.exists():
                self.rows = json.loads(self.path.read_text(encoding="utf-8"))["rows"]
            self.rows.append(json.loads(json.dumps(row)))  # as a resumed study will read it
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = ",\n".join("  " + json.dumps(row) for row in self.rows)
            about = json.dumps(self.about, indent=1)
            write_text(self.path, f'{{"about": {about}, "rows": [\n{lines}\n]}}\n')


def _alone(path: Path) -> FileLock:
    """Keeps other processes of this machine from writing that file; no file is left beside it."""
    told = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"unsee-{told}.lock")
