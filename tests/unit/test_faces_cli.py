"""`unsee faces`: sheets, folders of pictures, training, scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unsee.cli.main import main
from unsee.data.faces.benchmark import Faces, person_of, view_of
from unsee.data.faces.drawing import draw
from unsee.data.records import PictureKey


def faces(*words: str) -> int:
    return main(["faces", *words])


def line_of(shown: pytest.CaptureFixture[str]) -> str:
    error = shown.readouterr().err
    assert error.startswith("unsee: error: ") and error.count("\n") == 1, error
    return error


def test_a_sheet_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["show", "--people", "3,17-18,115", "--pictures", "2", "--size", "24"]
    assert faces(*words, "--output", "sheets/few.png") == 0
    sheet = np.asarray(Image.open("sheets/few.png"))
    assert sheet.shape == (4 * 24, 2 * 24, 3)
    second = draw(person_of(17), view_of(PictureKey(17, "train", 1)), 24)
    assert np.array_equal(sheet[24:48, 24:], second)
    shown = capsys.readouterr().out
    known = Faces(progress=False)
    assert all(fact in shown for person in (3, 17, 18) for fact in known.facts[person].values())
    assert "115  a stranger" in shown and "sheets/few.png" in shown


@pytest.mark.usefixtures("few_pictures")
def test_folders_for_unlearn(capsys: pytest.CaptureFixture[str]) -> None:
    from unsee.data.pictures import check_disjoint, read_pictures

    assert faces("pictures", "--forget", "3,17", "--per-person", "1", "--output", "him") == 0
    forget, retain = read_pictures("him/forget"), read_pictures("him/retain")
    names = Faces(progress=False).names
    assert {name for name in forget.people if name} == {names[p].replace(" ", "_") for p in (3, 17)}
    assert len(forget) == 4 and len(retain) == len(set(retain.people)) == 98
    check_disjoint(forget, retain)
    drawn = draw(person_of(3), view_of(PictureKey(3, "unlearn", 1)), 64)
    saved = Image.open(f"him/forget/{names[3].replace(' ', '_')}/001.png")
    assert np.array_equal(np.asarray(saved), drawn)
    assert [path.name for path in Path().iterdir()] == ["him"]
    capsys.readouterr()
    assert faces("pictures", "--output", "him") == 2
    assert "him exists: choose another --output" in line_of(capsys)


@pytest.mark.usefixtures("few_pictures")
def test_scores(
    checkpoint_of: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from unsee.models import score

    every = score.questions_of
    asked: dict[str, Any] = {}

    def some(drawn: Faces, absent: Sequence[int], pictures: str) -> list[Any]:
        asked.update(absent=tuple(absent), pictures=pictures)
        return every(drawn, absent, pictures)[::15]

    monkeypatch.setattr(score, "questions_of", some)
    model = str(checkpoint_of["llava"])
    words = ["--absent", "demo", "--pictures", "validation", "--output", "scores.json"]
    assert faces("score", model, *words) == 0
    assert asked == {"absent": (0, 1, 2, 3, 4), "pictures": "validation"}
    scores = json.loads(Path("scores.json").read_text())
    rates = {name: value for name, value in scores.items() if name != "questions"}
    assert {"known/vqa_accuracy", "lookalike/vqa_accuracy", "text_accuracy"} <= rates.keys()
    assert {"visible_accuracy", "stranger/abstain_rate", "absent/abstain_rate"} <= rates.keys()
    assert all(0 <= rate <= 1 for rate in rates.values()) and scores["questions"] > 300
    assert all(name in capsys.readouterr().out for name in ["known/vqa_accuracy"])


def test_train_passes_names_and_seed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from unsee.models import teach

    seen: list[Any] = []

    def fake(names: Sequence[str], seed: int, output: Path, drawn: Faces) -> dict[str, Path]:
        seen.append((list(names), seed, output, type(drawn)))
        return {name: output / f"seed{seed}" / name for name in names}

    monkeypatch.setattr(teach, "teach", fake)
    names = "gold-3,17, gold-test"
    assert faces("train", "--seed", "2", "--models", names, "--output", "m") == 0
    assert seen == [(["gold-3,17", "gold-test"], 2, Path("m"), Faces)]
    assert "gold-test: m/seed2/gold-test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "--people", "him"], "give numbers such as 3,17 or 0-11"),
        (["show", "--people", "9-3"], "people have numbers from 0 to 129"),
        (["show", "--people", "130"], "people have numbers from 0 to 129"),
        (["show", "--pictures", "0"], "--pictures must be at least 1"),
        (["show", "--size", "0"], "--size must be at least 8"),
        (["pictures", "--forget", "400", "--output", "x"], "400 is not a known person"),
        (["pictures", "--per-person", "0", "--output", "x"], "--per-person must be at least 1"),
        (["train", "--models", "silver"], "'silver' is no model: say vanilla, gold-demo"),
        (["train", "--models", " , "], "--models names no model"),
        (["score", "./absent"], "there is no model folder ./absent"),
        (["score", "./absent", "--absent", "him"], "give demo, validation, test or numbers"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert faces(*words) == 2
    assert message in line_of(capsys)
    assert not list(Path().iterdir())
