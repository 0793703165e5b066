"""FIUBench's files read: splits, pictures, other spellings, and what is said of damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fiubench_files as files
import tiny
from unsee.data.benchmarks.fiubench import items, read_people, training_rows
from unsee.errors import UnseeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return files.write(tmp_path / "fiu")


def test_splits_and_questions(folder: Path) -> None:
    people = read_people(str(folder))
    asked = items(people, "forget10")
    assert [item.id for item in asked] == [files.identity(p) for p in (0, 0, 1, 1, 2, 2)]
    item = asked[5]
    assert item.question == "What is this person's job?" and item.direction == "image"
    assert item.answer == "This person works as a nurse."
    assert item.extras["paraphrase"] == "Their job is nurse."
    assert item.extras["keywords"] == ("nurse",) and len(item.extras["wrong"]) == 3
    assert item.extras["paraphrases"] == ("How do they earn a living?", "Which is their trade?")
    assert asked[4].extras["keywords"] == ("蕭雲華",)
    assert item.picture is not None
    np.testing.assert_array_equal(np.asarray(item.picture.load()), tiny.picture(502))
    assert len(items(people, "retain15")) == 6 and len(items(people, "retain5")) == 2
    assert [i.id for i in items(people, "retain")] == [i.id for i in items(people, "retain15")]
    assert len(items(people, "full")) == 12 and len(items(people, "full", limit=2)) == 4
    assert items(read_people(str(folder / "full.json")), "full") != []


def test_training_rows_are_examples_for_fine_tuning(folder: Path) -> None:
    rows = training_rows(str(folder), "forget5")
    assert len(rows) == 4 and rows[3]["answer"] == "This person works as a pilot."
    assert rows[3]["id"] == files.identity(1)
    np.testing.assert_array_equal(np.asarray(rows[3]["image"]), tiny.picture(501))
    with pytest.raises(UnseeError, match="no split 'forget_5': it has forget1"):
        training_rows(str(folder), "forget_5")


def test_only_the_first_400_people(tmp_path: Path) -> None:
    many = []
    for number in range(405):
        person = files.person(number % 6)
        many.append({**person, "unique_id": number})  # numbers are IDs too
    split = files.splits() | {"forget5": [399, 400, 401], "late": [402], "retain5": ["3"]}
    people = read_people(str(files.write(tmp_path, many, split)))
    assert len(items(people, "full")) == 800
    assert {item.id for item in items(people, "forget5")} == {"399"}
    assert {item.id for item in items(people, "retain5")} == {"3"}
    with pytest.raises(UnseeError, match="nobody of late is among the first 400"):
        items(people, "late")


def test_other_spellings_and_missing_extras(tmp_path: Path) -> None:
    bare = {"q": "Who is this?", "a": "Ada.", "keywords": None, "paraphrased_question": "Who?"}
    person = {**files.person(0), "qa_list": [bare]}
    [item] = items(read_people(str(files.write(tmp_path, [person]))), "full")
    assert (item.question, item.answer) == ("Who is this?", "Ada.")
    assert item.extras["paraphrase"] == "Ada." and item.extras["paraphrases"] == ("Who?",)
    assert item.extras["keywords"] == item.extras["wrong"] == ()


@pytest.mark.parametrize("place", ["SFHQ", "pictures", "dataset/SFHQ", "."])
def test_where_pictures_may_lie(tmp_path: Path, place: str) -> None:
    folder = files.write(tmp_path)
    kept = tmp_path / "elsewhere"
    (tmp_path / "dataset").rename(kept)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for picture in (kept / "SFHQ").glob("*.png"):
        picture.rename(tmp_path / place / picture.name)
    if place == "pictures":  # a folder that full.json does not name
        with pytest.raises(UnseeError, match="of 00000000 is not in .*unpack"):
            read_people(str(folder))
    else:
        assert len(read_people(str(folder)).entries) == 6


def write_one(folder: Path, **changed: Any) -> Path:
    return files.write(folder, [files.person(0), {**files.person(1), **changed}])


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"unique_id": None}, "person 1 has no unique_id"),
        ({"qa_list": []}, "person 1 has no qa_list"),
        ({"unique_id": "00000000"}, "persons 0 and 1 are both 00000000"),
        ({"image_path": "./dataset/SFHQ/no.png"}, "picture ./dataset/SFHQ/no.png of 00000001"),
        ({"qa_list": [{"question": "Who?"}]}, "question 0 of 00000001 has no answer"),
        ({"qa_list": [{"answer": "Ada"}]}, "question 0 of 00000001 has no question"),
        ({"qa_list": ["Who?"]}, "question 0 of 00000001 is no question"),
        ({"qa_list": 5}, "full.json: qa_list of person 1 is no list of questions"),
        (
            {"qa_list": [{"question": "Who?", "answer": "Ada", "keywords": 5}]},
            "full.json: question 0 of 00000001: keywords 5 is no list of texts",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    folder = write_one(tmp_path, **changed)
    with pytest.raises(UnseeError, match=complaint):
        items(read_people(str(folder)), "full")


def test_missing_and_broken_files(folder: Path) -> None:
    with pytest.raises(
        UnseeError, match="no split 'forget15': it has forget1, forget5, .*retain15"
    ):
        items(read_people(str(folder)), "forget15")
    text = (folder / "full.json").read_text()
    (folder / "full.json").write_text(text[: len(text) // 2])
    with pytest.raises(UnseeError, match="full.json is no JSON, or only a part of it"):
        read_people(str(folder))
    (folder / "full.json").write_text(json.dumps({"people": []}))
    with pytest.raises(UnseeError, match="is no list of people"):
        read_people(str(folder))
    (folder / "full.json").write_text(text)
    for wrong in (None, 5, [None]):
        (folder / "split.json").write_text(json.dumps({"forget5": wrong}))
        with pytest.raises(UnseeError, match="split.json: forget5 is no list of IDs"):
            read_people(str(folder))
    (folder / "split.json").unlink()
    with pytest.raises(UnseeError, match="there is no .*split.json"):
        read_people(str(folder))
    (folder / "full.json").unlink()
    with pytest.raises(UnseeError, match="there is no full.json in"):
        read_people(str(folder))
    with pytest.raises(UnseeError, match="there is no folder or file"):
        read_people("./nowhere")
    with pytest.raises(UnseeError, match="gray311/FIUBench can't be had from the hub: "):
        read_people(None)
