"""The trade of an ablation: the front, and its figure."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from unsee.report.docs import main
from unsee.report.pareto import front


def test_front_is_what_nothing_beats() -> None:
    points = {"a": (0.1, 0.9), "b": (0.2, 0.95), "c": (0.2, 0.9), "d": (0.0, 0.5), "e": (0.9, 0.95)}
    assert front(points) == ["d", "a", "b"]


def test_figure_names_the_front_and_marks_everybody(tmp_path: Path) -> None:
    rows = [
        {"variant": name, "seed": seed, "forget/vqa_accuracy": x, "retain/vqa_accuracy": y}
        for name, x, y in (
            ("vanilla", 1.0, 0.98),
            ("gold", 0, 0.98),
            ("start", 0.1, 0.95),
            ("bad", 0.5, 0.4),
        )
        for seed in (0, 1)
    ]
    result = {"about": {"study": "ablation of VKD"}, "rows": rows}
    (tmp_path / "a.json").write_text(json.dumps(result))
    assert main(["draw", str(tmp_path / "a.json"), "retain", str(tmp_path / "p.svg")]) == 0
    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert {"start", "vanilla", "gold"} <= set(texts) and "bad" not in texts
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert [c.get("fill") for c in circles] == ["black", "white"]
