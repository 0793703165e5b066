"""The study of test numbers: what it keeps, its summary and table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from unsee.data.faces.benchmark import Faces
from unsee.data.faces.splits import make_split
from unsee.errors import UnseeError
from unsee.report.docs import filled
from unsee.studies import trial
from unsee.studies.final import final, summary

GROUPS = ("forget", "retain", "lookalike", "visible/forget", "visible/retain", "visible/stranger")


@pytest.mark.usefixtures("few_pictures")
def test_references_are_asked_once_and_the_floor_is_a_row(
    checkpoint_of: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("vanilla", "gold-test", "gold-test@1"):
        shutil.copytree(checkpoint_of["llava"], tmp_path / "models/seed0" / name)
    output = tmp_path / "final.json"
    for _ in range(2):
        final(tmp_path / "models", output, Faces(progress=False), methods=())
    rows = json.loads(output.read_text())["rows"]
    assert [row["model"] for row in rows] == ["gold", "vanilla", "gold, another seed"]
    assert "gold_gap" not in rows[0] and rows[1]["gold_gap"] == rows[2]["gold_gap"] == 0
    with pytest.raises(
        UnseeError, match="seed1/vanilla is missing: make it with `unsee faces train"
    ):
        final(tmp_path / "models", output, Faces(progress=False), (1,), methods=())


@pytest.mark.usefixtures("few_pictures")
def test_what_is_kept_is_what_was_scored(checkpoint_of: dict[str, Path], tmp_path: Path) -> None:
    source, keep = str(checkpoint_of["llava"]), tmp_path / "kept"
    faces, split = Faces(progress=False), make_split("3,17")
    options: dict[str, Any] = {
        "max_steps": 1,
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "statistics_pictures": 4,
    }
    found, rows = trial.attempt(source, "vkd", options, faces, split, "test", 1, 4, keep=keep)
    assert not tiny.same_weights(keep, checkpoint_of["llava"])
    again, same = trial.ask(str(keep), faces, split, "test")
    assert [r["prediction"] for r in rows] == [r["prediction"] for r in same]
    assert found["by_person"] == again["by_person"] and "text_kl" not in found


def row(model: str, seed: int, right: int, **more: Any) -> dict[str, Any]:
    people = {group: {"1": [10, 10], "2": [10, 10]} for group in GROUPS}
    people["forget"] = {"1": [right, 10], "2": [right, 10]}
    shares = {f"{g}/vqa_accuracy": 1.0 for g in ("retain", "lookalike", "visible")}
    shares |= {"forget/vqa_accuracy": right / 10, "forget/text_accuracy": 1.0}
    found = {"model": model, "seed": seed, "by_person": people, "forget/abstain_rate": 0.5}
    found["stranger/abstain_rate"] = 0.9
    return {**found, **shares, **more}


def test_summary_is_over_the_seeds_that_have_a_gold(tmp_path: Path) -> None:
    rows = [row("gold", 0, 1), row("gold", 1, 1)]
    rows += [row("vkd", 0, 2, seconds=10.0), row("vkd", 1, 4, seconds=20.0), row("vkd", 2, 9)]
    gold, vkd = summary(rows)
    assert "gap" not in gold and vkd["seeds"] == 2
    assert vkd["gap"][0] == pytest.approx(20) and 9.9 < vkd["gap"][1] <= vkd["gap"][2] < 30.1
    assert vkd["forget/vqa_accuracy"] == pytest.approx(0.3) and vkd["text_kl"] is None
    (tmp_path / "f.json").write_text(json.dumps({"rows": rows}))
    page = filled("<!-- begin final f.json -->\n<!-- end -->\n", tmp_path)
    assert "| vkd | 2 | 20.0 [" in page and "| 30.0 | 100.0 | 100.0 | 100.0 | 50.0 | 90.0 |" in page
    assert page.count("| – | 15 |") == 1
