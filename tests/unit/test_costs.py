"""Costs side by side: medians, ratios, what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsee.report.docs import filled
from unsee.studies import costs
from unsee.studies.ledger import Ledger

SECONDS = {"one": [2.0, 9.0, 2.2], "other": [4.4, 4.0, 30.0]}


def test_ratios_are_those_of_medians(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "costs.json", {}, ("run", "repeat"))
    for repeat in range(3):
        for run, seconds in SECONDS.items():
            row = {"run": run, "repeat": repeat, "seconds": seconds[repeat]}
            ledger.add({**row, "peak_memory_mb": 100.0, "trained_parameters": 1_500_000})
    first, second = costs.medians(ledger.rows)
    assert first["seconds"] == 2.2 and first["seconds/ratio"] == 1
    assert second["seconds/ratio"] == pytest.approx(4.4 / 2.2)
    page = filled("<!-- begin costs costs.json -->\n<!-- end -->\n", tmp_path)
    assert "| other | 2.00 × | 1.00 × | 1.50 M | 3 |" in page


def test_every_run_is_a_valid_configuration() -> None:
    from unsee.methods.registry import get_method

    for method, options in costs.RUNS.values():
        _, config = get_method(method).classes()
        assert config(output_dir="work", max_steps=costs.STEPS, **options).max_steps == costs.STEPS


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    rows = [{"run": name, "repeat": 0, "seconds": 1.0} for name in costs.RUNS]
    about = {"study": "costs", "steps": costs.STEPS}
    path.write_text(json.dumps({"about": about, "rows": rows}))
    assert costs.costs("no-such-model", path, repeats=1).rows == rows
