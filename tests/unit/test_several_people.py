"""The study of several people in a picture: what is composed, what is asked, what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces
from unsee.data.pixels import shown
from unsee.report.blocks import several_table
from unsee.studies import several_people as study
from unsee.studies import trial


def test_boxes_hold_the_person_that_they_are_about() -> None:
    left, right = tiny.picture(1), tiny.picture(2)
    both = study.side_by_side(left, right)
    assert both.shape == (128, 128, 3)
    for side, picture in enumerate((left, right)):
        cut = shown({"image": both, "crop": study.box_of(side, 64)})
        np.testing.assert_array_equal(cut, picture)
    np.testing.assert_array_equal(both[0, :64], left[0])


@pytest.mark.usefixtures("few_pictures")
def test_people_change_sides_and_the_box_follows() -> None:
    faces = Faces(progress=False)
    items = study.to_forget(faces, [(0, 80)], boxed=True)
    assert len(items) == splits.PICTURES["unlearn"] and items[0]["crop"] != items[1]["crop"]
    for index, item in enumerate(items):
        np.testing.assert_array_equal(shown(item), faces.pictures(0, "unlearn")[index])
    assert "crop" not in study.to_forget(faces, [(0, 80)], boxed=False)[0]


@pytest.mark.usefixtures("few_pictures")
def test_rows_tell_whose_facts_were_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that always says what is true of the companion."""
    faces = Faces(progress=False)
    monkeypatch.setattr(study, "ATTRIBUTES", study.ATTRIBUTES[:3])
    asked = study.questions_about(faces, [(0, 80)], [85])
    others = {id(question): other for _, _, question, other in asked}
    assert all(other != q.answer for group, _, q, other in asked if group == "both")
    texts = [others[id(q)] if g == "both" else q.answer for g, _, q, _ in asked]
    monkeypatch.setattr("unsee.evaluation.answering.answer", lambda *a, **k: texts)
    found = study.measured(None, None, asked)
    assert found["both/companion"] == 1 and found["both/forgotten"] == found["both/abstain"] == 0
    assert found["companion, boxed/accuracy"] == found["others/accuracy"] == 1
    assert found["questions"]["forgotten/accuracy"] == 6

    trained: list[Any] = []

    def train(*words: Any, forget: Any = None) -> Any:
        trained.append((words[4], forget))
        return None, None, None, None

    monkeypatch.setattr(trial, "train", train)
    monkeypatch.setattr("unsee.checkpoints.load", lambda source: (None, None))
    monkeypatch.setattr(study, "questions_about", lambda *words: asked)
    shipped = Path(study.__file__).parents[1] / "models/shipped"
    ledger = study.several_people(shipped, Path("out.json"), faces, max_steps=2)
    assert [row["given"] for row in ledger.rows] == ["before", *study.GIVEN]
    assert trained[0][1] is None and "crop" in trained[2][1][0] and "crop" not in trained[1][1][0]
    kept = [80 in split.retain for split, _ in trained]
    assert kept == [True, True, True, False, False]
    study.several_people(shipped, Path("out.json"), faces, max_steps=2)
    assert len(trained) == len(study.GIVEN)  # nothing is done twice
    table = several_table(json.loads(Path("out.json").read_text()))
    assert table.count("\n") == 7 and "| boxed, unknown | 100.0 |" in table
