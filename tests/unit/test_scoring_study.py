"""The study of scoring: what it measures, how it goes on, and what the docs make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unsee.report.docs import filled
from unsee.studies import scoring as study
from unsee.studies.scoring import WAYS, scoring, speed_ups


def row(way: str, repeat: int, seconds: float, differ: int = 0) -> dict[str, Any]:
    found = {"way": way, "repeat": repeat, "seconds": seconds, "seconds_of_options": seconds / 2}
    found |= {"questions": 100, "options": 9, "pictures": 3}
    return {**found, "answers_that_differ": differ, "options_differ_by": 1e-6}


def test_speed_ups_are_ratios_of_medians() -> None:
    rows = [row("one by one", r, s) for r, s in enumerate((10.0, 12.0, 100.0))]
    rows += [row("in batches", r, s, r) for r, s in enumerate((2.0, 3.0, 4.0))]
    first, second = speed_ups(rows)
    assert first["seconds/times"] == 1
    assert second["seconds/times"] == 4
    assert second["answers_that_differ"] == 2


def test_the_table_tells_answers_that_differ(tmp_path: Path) -> None:
    rows = [row("one by one", 0, 10.0), row("in batches", 0, 4.0, 7)]
    (tmp_path / "s.json").write_text(json.dumps({"about": {}, "rows": rows}))
    made = filled("<!-- begin scoring s.json -->\n<!-- end -->\n", tmp_path)
    assert "| in batches | 2.5 × | 7 of 100 | 2.5 × | 1e-06 | 1 |" in made


@pytest.mark.usefixtures("few_pictures")
def test_ways_take_turns_and_rows_are_kept(
    checkpoint_of: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.data.faces.benchmark import Faces

    everything = Faces.evaluation
    monkeypatch.setattr(
        Faces, "evaluation", lambda *args, **kwargs: everything(*args, **kwargs)[:30]
    )
    monkeypatch.setattr(study, "WEIGHED", 2)
    source, output = str(checkpoint_of["llava"]), tmp_path / "scoring.json"
    rows = scoring(source, output, repeats=1, per_person=1).rows
    assert [(r["way"], r["repeat"]) for r in rows] == [(way, 0) for way in WAYS]
    assert all(r["questions"] == 30 and r["seconds"] > 0 for r in rows)
    assert all(r["options_differ_by"] < 1e-2 for r in rows)
    kept = output.read_text()
    assert scoring(source, output, repeats=1, per_person=1).rows == rows
    assert output.read_text() == kept
