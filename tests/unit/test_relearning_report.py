"""Relearning curves: which learning rate counts, table and figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from unsee.report.docs import filled, main
from unsee.report.relearning import interval, worst


def row(model: str, rate: float, end: float, retain: float = 0.9, **other: Any) -> dict[str, Any]:
    curve = [
        {"step": 0, "attacked": 0.1, "other": 0.1, "retain": 0.9, "people": [0.1, 0.1]},
        {"step": 20, "attacked": 0.5, "other": 0.3, "retain": 0.9, "people": [0.3, 0.3]},
        {"step": 40, "attacked": 1.0, "other": end, "retain": retain, "people": [end, end]},
    ]
    fixed = {"people": "forget", "access": "vision", "share": 0.05, "seed": 0}
    return {"model": model, "learning_rate": rate, "curve": curve, **fixed, **other}


ROWS = [
    row("vkd", 1e-4, 0.6),
    row("vkd", 3e-4, 0.8, retain=0.5),
    row("vkd", 1e-5, 0.2),
    row("gold", 1e-4, 0.25),
    row("vkd", 1e-4, 0.15, people="text_only"),
]


def test_worst_rate_counts_among_attacks_that_keep_the_others() -> None:
    found = {(line["model"], line["people"]): line for line in worst(ROWS)}
    assert found["vkd", "forget"]["learning_rate"] == 1e-4
    assert not found["vkd", "forget"]["broken"]
    only = worst([row("vkd", 1e-3, 0.9, retain=0.1)])[0]
    assert only["broken"] and only["learning_rate"] == 1e-3


def test_worst_is_the_largest_excess_over_gold_under_the_same_attack() -> None:
    rows = [row("vkd", 1e-4, 0.6), row("vkd", 3e-4, 0.7), row("gold", 1e-4, 0.2)]
    rows += [
        row("gold", 3e-4, 0.6),
        row("gold", 3e-4, 0.0, share=1.0),
        row("vkd", 3e-4, 0.9, share=1.0),
    ]
    found = {(x["model"], x["share"]): x for x in worst(rows)}
    assert found["vkd", 0.05]["learning_rate"] == 1e-4
    assert abs(found["vkd", 0.05]["excess"] - 0.4) < 1e-9
    assert abs(found["vkd", 1.0]["excess"] - 0.9) < 1e-9
    alone = worst([row("vkd", 1e-4, 0.6), row("vkd", 3e-4, 0.7)])[0]
    assert alone["learning_rate"] == 3e-4 and alone["excess"] is None


def test_attacks_that_cost_more_than_vanilla_allows_are_left_out() -> None:
    """Retained people of an unlearned model may begin lower: vanilla's level decides."""
    rows = [row("vkd", 1e-4, 0.6, retain=0.82), row("vkd", 3e-4, 0.8, retain=0.78)]
    assert worst(rows)[0]["learning_rate"] == 1e-4
    better = row("vanilla", 1e-4, 1.0)
    better["curve"][0] = {**better["curve"][0], "retain": 0.99}
    assert next(x for x in worst([*rows, better]) if x["model"] == "vkd")["broken"]


def test_seeds_are_averaged() -> None:
    lines = worst([row("vkd", 1e-4, 0.6), row("vkd", 1e-4, 0.2, seed=1)])
    assert len(lines) == 1 and lines[0]["seeds"] == 2
    end = lines[0]["curve"][-1]
    assert abs(end["other"] - 0.4) < 1e-9 and sorted(end["people"]) == [0.2, 0.2, 0.6, 0.6]
    low, high = interval(end)
    assert 0.2 <= low < 0.4 < high <= 0.6


def test_table_and_figure(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"about": {}, "rows": ROWS}))
    page = filled("<!-- begin relearning r.json -->\n<!-- end -->\n", tmp_path)
    assert (
        "| vkd | vision | 5% | 10.0 | 30.0 | 60.0 [60.0, 60.0] | +35.0 | 100.0 | 90.0 | 15.0 |"
        in page
    )
    assert "| gold | vision | 5% | 10.0 | 30.0 | 25.0 [25.0, 25.0] | +0.0 |" in page
    assert main(["draw", str(path), "vision", str(tmp_path / "r.svg")]) == 0
    drawn = ElementTree.parse(tmp_path / "r.svg").getroot()
    lines = [e for e in drawn.iter() if e.tag.endswith("polyline")]
    labels = [e.text for e in drawn.iter() if e.tag.endswith("text")]
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    assert "vkd 60%" in labels and "gold 25%" in labels
