"""Rows of a study in one JSON file: appended one by one, so that a study can be cut and go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError
from unsee.evaluation.runs import write_text


class Ledger:
    """The rows of a study.

    Args:
        path: JSON file `{"about": …, "rows": [...]}`; made with the first row.
        about: what the rows have in common (benchmark, pictures, command).
        keys: fields that tell rows apart.

    Raises:
        UnseeError: the file can't be read.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        self.path, self.about, self.keys = path, dict(about), keys
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            try:
                self.rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            except (ValueError, KeyError, TypeError) as error:
                raise UnseeError(f"{path} holds no rows of a study: move it away") from error

    def find(self, **wanted: Any) -> dict[str, Any] | None:
        """The row with these values of the keys, or None."""
        for row in self.rows:
            if all(row.get(key) == wanted.get(key) for key in self.keys):
                return row
        return None

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row and writes the file whole, beside itself and then in place."""
        self.rows.append(json.loads(json.dumps(row)))  # as a resumed study will read it
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join("  " + json.dumps(row) for row in self.rows)
        about = json.dumps(self.about, indent=1)
        write_text(self.path, f'{{"about": {about}, "rows": [\n{lines}\n]}}\n')
