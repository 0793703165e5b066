"""Reads the folders of finished runs, and says which of them plays which part in a report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError
from unsee.evaluation.metrics import is_broken as is_broken_beside

FEATURE_MAP = "feature_map.json"
VANILLA, GOLD = "vanilla", "gold"


@dataclass
class Run:
    """A finished run.

    Attributes:
        name: short name, `vanilla` and `gold` for the two that others are compared with.
        title: what to call it in front of readers.
        metrics: flat keys of `metrics.json`, accuracies and rates in [0, 1].
        rows: one judged prediction a question; empty where none were kept.
        config: what was run.
        versions: package -> version.
        points: the map of the features before and after, see `unsee.evaluation.feature_map`; empty
            where none was kept.
    """

    name: str
    title: str
    metrics: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)

    def number(self, key: str) -> float | None:
        """A metric as a finite number, or None where it is missing."""
        value = self.metrics.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) else None


@dataclass(frozen=True)
class Cast:
    """Who is compared with whom.

    Attributes:
        before: the model as it was trained.
        after: the unlearned models; the first is the one that a report is about.
        gold: the model that never saw the forgotten people, where there is one.
    """

    before: Run
    after: tuple[Run, ...]
    gold: Run | None

    @property
    def all(self) -> tuple[Run, ...]:
        return (self.before, *self.after, *([self.gold] if self.gold else []))

    def labels(self) -> list[tuple[Run, str]]:
        """Every run with a short label; a single unlearned model is simply `after`."""
        one = len(self.after) == 1
        after = [(run, "after" if one else run.name) for run in self.after]
        return [(self.before, "before"), *after, *([(self.gold, "gold")] if self.gold else [])]


def cast(runs: Sequence[Run]) -> Cast:
    """Finds vanilla, gold and the unlearned models among runs.

    Raises:
        UnseeError: there is no vanilla, or no unlearned model to compare it with.
    """
    before = next((run for run in runs if run.name == VANILLA), None)
    gold = next((run for run in runs if run.name == GOLD), None)
    after = tuple(run for run in runs if run.name not in (VANILLA, GOLD))
    if before is None:
        raise UnseeError(f"a report needs the run {VANILLA!r} to compare the others with")
    if not after:
        raise UnseeError(f"a report needs an unlearned model beside {VANILLA!r} and {GOLD!r}")
    return Cast(before, after, gold)


def is_broken(run: Run, vanilla: Run | None) -> bool:
    """Whether retain or visible lies more than 10 points below vanilla (protocol)."""
    if vanilla is None or run is vanilla:
        return False
    keys = ("retain/vqa_accuracy", "visible/vqa_accuracy")
    ours, theirs = ({key: r.number(key) for key in keys} for r in (run, vanilla))
    return is_broken_beside(ours, theirs)


_ROW = (
    *("group", "person", "name", "picture", "kind", "attribute", "question", "answer"),
    *("prediction", "correct", "abstained", "misattributed"),
)
"""What a row of the embedded benchmark has."""


def read_run(folder: Path, name: str | None = None, needed: Sequence[str] = _ROW) -> Run:
    """Reads a run's folder; `predictions.jsonl` may be missing, the other files may not.

    Args:
        folder: holds `metrics.json`, `config.yaml`, `versions.json`.
        name: the run's name; default: the folder's.
        needed: keys that each prediction has (default: those of the embedded benchmark).

    Raises:
        UnseeError: a file is missing or can't be read.
    """
    import yaml

    folder = Path(folder)
    name = name or folder.resolve().name
    metrics = _mapping(folder / "metrics.json", json.loads)
    config = _mapping(folder / "config.yaml", yaml.safe_load, empty={})
    versions = _mapping(folder / "versions.json", json.loads)
    titles = {VANILLA: "before (vanilla)", GOLD: "never saw them (gold)"}
    title = titles.get(name, f"after ({config.get('method', name)})")
    kept = folder / FEATURE_MAP
    points = _mapping(kept, json.loads).get("points", []) if kept.exists() else []
    return Run(name, title, metrics, _predictions(folder, needed), config, versions, points)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnseeError(f"{path} is missing: {path.parent} is not a finished run") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnseeError(f"{path} can't be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _mapping(path: Path, parse: Callable[[str], Any], empty: Any = None) -> dict[str, Any]:
    text = _text(path)
    try:
        found = parse(text)
    except Exception as error:  # json and yaml have no error in common
        raise UnseeError(f"{path} is damaged: {_first_line(error)}") from error
    found = empty if found is None else found
    if not isinstance(found, dict):
        raise UnseeError(f"{path} is damaged: it must hold names with values")
    return found


def _predictions(folder: Path, needed: Sequence[str]) -> list[dict[str, Any]]:
    path = folder / "predictions.jsonl"
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UnseeError(f"{path} is damaged in line {number}: {error}") from error
        missing = [] if isinstance(row, dict) else ["question"]
        missing = missing or [key for key in needed if key not in row]
        if missing:
            raise UnseeError(f"{path} is damaged in line {number}: it has no {missing[0]!r}")
        rows.append(row)
    return rows
