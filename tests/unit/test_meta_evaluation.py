"""The study of metrics: its pool, its references, and its verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from unsee.data.faces.benchmark import Faces
from unsee.errors import UnseeError
from unsee.report.docs import filled
from unsee.studies.metrics import aucs, meta_evaluation, pool


def folder_of(models: Path, *names: str) -> Path:
    for name in names:
        (models / "seed0" / name).mkdir(parents=True)
        (models / "seed0" / name / "config.json").touch()
    return models


def test_who_knows_whom(tmp_path: Path) -> None:
    names = ("vanilla", "gold-test", "gold-test@1", "gold-test-15", "gold-test+30", "tower")
    found = list(pool(folder_of(tmp_path, *names, "gold-validation"), 0))
    assert found == [
        ("validation", "gold-test", True, 0),
        ("validation", "gold-test+30", True, 0),  # it was taught them
        ("validation", "gold-test-15", True, 0),
        ("validation", "gold-test@1", True, 0),
        ("validation", "gold-validation", False, 0),
        ("validation", "vanilla", True, 0),
        ("test", "gold-test", False, 0),
        ("test", "gold-test+30", True, 30),
        ("test", "gold-test@1", False, 0),
        ("test", "gold-validation", True, 0),
        ("test", "vanilla", True, 0),
    ]


def test_auc_of_each_metric_and_its_direction(tmp_path: Path) -> None:
    def row(knows: bool, accuracy: float, ratio: float, **more: Any) -> dict[str, Any]:
        found = {"knows": knows, "forget/vqa_accuracy": accuracy, "forget/truth_ratio": ratio}
        return {**found, **more}

    rows = [row(True, 0.9, 0.1, gold_gap=9.0), row(True, 0.4, 0.2), row(False, 0.5, 3.0)]
    rows.append(row(False, 0.1, 2.0, gold_gap=1.0))
    rows.append(row(True, 0.3, 2.5, exposure=30))
    assert aucs(rows) == {
        "gap to gold": (1.0, 1, 1),
        "accuracy, exact match": (0.75, 2, 2),
        "truth ratio, per question": (1.0, 2, 2),
    }
    assert aucs(rows, 30) == {
        "accuracy, exact match": (0.5, 1, 2),
        "truth ratio, per question": (0.5, 1, 2),
    }
    (tmp_path / "m.json").write_text(json.dumps({"rows": rows}))
    page = filled("<!-- begin metrics m.json -->\n<!-- end -->\n", tmp_path)
    assert "| metric | taught | exposed for 30 steps | models that know | that do not |" in page
    assert "| accuracy, exact match | 0.750 | 0.500 | 2 + 1 | 2 |" in page
    assert "| gap to gold | 1.000 | – | 1 + 0 | 1 |" in page
    titles = [line.split(" | ")[0] for line in page.splitlines()[3:-1]]
    assert titles == ["| truth ratio, per question", "| gap to gold", "| accuracy, exact match"]


@pytest.mark.usefixtures("few_pictures")
def test_a_gold_is_never_its_own_reference(checkpoint_of: dict[str, Path], tmp_path: Path) -> None:
    for name in ("vanilla", "gold-test"):
        shutil.copytree(checkpoint_of["llava"], tmp_path / "models/seed0" / name)
    for _ in range(2):
        rows = meta_evaluation(
            tmp_path / "models", tmp_path / "m.json", Faces(progress=False), (0,)
        ).rows
    assert [(row["model"], row["knows"]) for row in rows] == [
        ("gold-test", False),
        ("vanilla", True),
    ]
    assert "gold_gap" not in rows[0] and rows[1]["gold_gap"] == 0
    assert "forget/rougeL" in rows[0] and "forget_quality/ks_distance" in rows[1]
    with pytest.raises(UnseeError, match="holds no gold"):
        meta_evaluation(tmp_path / "none", tmp_path / "x.json", Faces(progress=False), (0,))
