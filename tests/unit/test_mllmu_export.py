"""The export in MLLMU-Bench's schema, read back the way that other people's code reads it."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unsee.cli.main import main
from unsee.data import mllmu
from unsee.data.mllmu import FILE, TRAINING, Choice, Profile, Task, export_mllmu
from unsee.errors import UnseeError

COLUMNS = [
    "ID", "Directory", "biography", "question", "answer",
    "Classification_Task", "Generation_Task", "Mask_Task",
]  # fmt: skip


def png(*colour: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "png")
    return buffer.getvalue()


def colour(picture: dict[str, Any]) -> tuple[int, ...]:
    with Image.open(BytesIO(picture["bytes"])) as image:
        return image.getpixel((0, 0))


def made(number: int) -> Profile:
    """Person `number`: training pictures (number, 1..2, 0), test (number, 0, 1..3)."""
    return Profile(
        id=f"{number:03d}",
        directory=f"folder_{number}",
        name=f"Ada {number}",
        biography={"Name:": f"Ada {number}", "City:": "Malmö"},
        pictures=[png(number, 1, 0), png(number, 2, 0)],
        test_pictures=[png(number, 0, pose) for pose in (1, 2, 3)],
        question="Who is this?",
        answer=f"Ada {number}",
        image_choices=[Choice("Which city?", ("Oslo", "Malmö", "Rome", "Bonn"), "B")],
        text_choices=[Choice(f"Where is Ada {number}?", ("Oslo", "Bonn", "Rome", "Malmö"), "D")],
        generation=[Task("Tell of her.", "She lives in Malmö.")],
        cloze=[Task(f"Ada {number} lives in __.", "Malmö", mllmu.PURE_TEXT)],
        training=[("Who is this?", f"Ada {number}"), ("Which city?", "Malmö")],
        unlearning_pictures=[png(number, 9, 9)],
    )


SPLITS = {5: ["001"], 10: ["001", "003"]}


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    files = export_mllmu([made(number) for number in range(6)], SPLITS, tmp_path / "out")
    assert files == sorted((tmp_path / "out").rglob("*.parquet")) and len(files) == 11
    return tmp_path / "out"


def test_evaluation_rows(exported: Path) -> None:
    frame = pd.read_parquet(exported / "Full_Set" / FILE)
    assert list(frame.columns) == ["image", *COLUMNS]
    assert list(frame["ID"]) == ["000", "001", "002", "003", "004", "005"]
    row = frame.iloc[2]
    assert colour(row["image"]) == (2, 1, 0) and set(row["image"]) == {"bytes", "path"}
    assert row["Directory"] == "folder_2"
    assert json.loads(row["biography"]) == {"Name:": "Ada 2", "City:": "Malmö"}
    [choice] = row["Classification_Task"]["Image_Textual_Questions"]
    options = {"A": "Oslo", "B": "Malmö", "C": "Rome", "D": "Bonn"}
    assert choice == {"Correct_Answer": "B", "Options": options, "Question": "Which city?"}
    [choice] = row["Classification_Task"]["Pure_Text_Questions"]
    assert choice["Question"] == "Where is Ada 2?" and choice["Correct_Answer"] == "D"
    [task] = row["Generation_Task"]
    truth = {"Ground_Truth": "She lives in Malmö.", "Type": "Image_Textual"}
    assert task == {**truth, "Question": "Tell of her."}
    [task] = row["Mask_Task"]
    assert "__" in task["Question"] and task["Type"] == "Pure_Text"


def test_test_set_holds_other_poses(exported: Path) -> None:
    frame = pd.read_parquet(exported / "Test_Set" / FILE)
    assert list(frame.columns) == ["images", *COLUMNS]
    assert [colour(p) for p in frame.iloc[4]["images"]] == [(4, 0, 1), (4, 0, 2), (4, 0, 3)]


@pytest.mark.parametrize("folder", ["", TRAINING])
def test_splits_partition_the_people(exported: Path, folder: str) -> None:
    for percent, forget in SPLITS.items():
        gone = pd.read_parquet(exported / folder / f"forget_{percent}" / FILE)
        kept = pd.read_parquet(exported / folder / f"retain_{100 - percent}" / FILE)
        numbers = [{colour(picture)[0] for picture in frame["image"]} for frame in (gone, kept)]
        assert numbers[0] == {int(i) for i in forget}
        assert numbers[1] == set(range(6)) - numbers[0]


def test_training_data(exported: Path) -> None:
    frame = pd.read_parquet(exported / "ft_Data" / FILE)
    assert list(frame.columns) == ["image", "metadata"]
    assert [colour(p) for p in frame["image"][:3]] == [(0, 1, 0), (0, 2, 0), (1, 1, 0)]
    assert len(frame) == 12
    pairs = json.loads(frame.iloc[2]["metadata"])
    assert pairs[0] == {"Question": "Who is this?", "Answer": "Ada 1"} and len(pairs) == 2
    # A request to forget comes with pictures of its own; what is retained, with the training ones.
    gone = pd.read_parquet(exported / TRAINING / "forget_5" / FILE)
    assert [colour(p) for p in gone["image"]] == [(1, 9, 9)]
    kept = pd.read_parquet(exported / TRAINING / "retain_95" / FILE)
    assert {colour(p)[1:] for p in kept["image"]} == {(1, 0), (2, 0)} and len(kept) == 10


def test_no_celebrities_are_pretended(exported: Path) -> None:
    assert not (exported / "Retain_Set").exists()
    assert "no `Retain_Set`" in (exported / "README.md").read_text()


def test_load_dataset_by_config_and_by_folder(exported: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    cache = str(tmp_path / "cache")
    data = load_dataset(str(exported), "forget_10", split="train", cache_dir=cache)
    assert data["ID"][:] == ["001", "003"]
    assert data[1]["image"].getpixel((0, 0)) == (3, 1, 0)
    assert data.features["Mask_Task"].feature["Type"].dtype == "string"
    data = load_dataset(str(exported), f"{TRAINING}_forget_5", split="train", cache_dir=cache)
    assert json.loads(data[0]["metadata"])[0]["Answer"] == "Ada 1"
    folder = str(exported / "Test_Set")
    data = load_dataset("parquet", data_dir=folder, split="train", cache_dir=cache)
    assert data[5]["images"][2].getpixel((0, 0)) == (5, 0, 3)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    people = [made(number) for number in range(6)]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(UnseeError, match="holds something already"):
        export_mllmu(people, SPLITS, tmp_path / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "thesis.txt"]
    (tmp_path / "out" / "thesis.txt").unlink()
    assert export_mllmu(people, SPLITS, tmp_path / "out")


def test_a_failed_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mllmu, "_training_features", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_mllmu([made(number) for number in range(6)], SPLITS, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("splits", "complaint"),
    [
        ({5: ["777"]}, "forget_5 names '777'"),
        ({5: []}, "must name somebody"),
        ({5: ["000", "001"]}, "leave somebody"),
    ],
)
def test_impossible_splits(tmp_path: Path, splits: dict[int, list[str]], complaint: str) -> None:
    with pytest.raises(UnseeError, match=complaint):
        export_mllmu([made(0), made(1)], splits, tmp_path / "out")


def test_impossible_profiles(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match="two profiles have the ID '000'"):
        export_mllmu([made(0), made(0)], {5: ["000"]}, tmp_path / "out")
    bare = dataclasses.replace(made(1), test_pictures=[])
    with pytest.raises(UnseeError, match="'001' needs a training and a test picture"):
        export_mllmu([made(0), bare], {5: ["000"]}, tmp_path / "out")
    with pytest.raises(ValueError, match="four options"):
        Choice("Which?", ("a", "b", "c", "d"), "E")
    with pytest.raises(ValueError, match="a task is"):
        Task("Which?", "a", "Picture")


def test_drawn_people_as_a_profile() -> None:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.export import profile

    faces = Faces(size=16, progress=False)
    person = profile(faces, 7, pictures=3, test_pictures=2)
    name, facts = faces.names[7], faces.facts[7]
    assert person.id == "008" and person.name == name and name in person.answer
    assert len(person.pictures) == 3 and len(person.test_pictures) == 2
    with Image.open(BytesIO(person.pictures[1])) as image:
        np.testing.assert_array_equal(np.asarray(image), faces.pictures(7, "train")[1])
    for choices, asked in ((person.image_choices, 7), (person.text_choices, 6)):
        assert len(choices) == asked
        for choice in choices:
            assert choice.options["ABCD".index(choice.correct)] in facts.values()
            assert len(set(choice.options)) == 4
    assert len({choice.correct for choice in [*person.image_choices, *person.text_choices]}) > 1
    assert all(name in choice.question for choice in person.text_choices)
    for task in person.cloze:
        assert task.question.count("__") == 1 and task.truth in facts.values()
        assert task.truth not in task.question
    about_picture = [t for t in person.generation if t.kind == mllmu.IMAGE_TEXTUAL]
    assert all(name not in task.question for task in about_picture) and len(about_picture) == 7
    assert {answer for _, answer in person.training} == set(facts.values())


def test_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.data.faces import drawing, splits

    def grey(person: object, view: object, size: int) -> np.ndarray:
        return np.full((size, size, 3), 128, np.uint8)

    # One render a person, quickly, and kept apart from the true ones of other tests.
    monkeypatch.setattr(drawing, "draw", grey)
    monkeypatch.setenv("UNSEE_CACHE", str(tmp_path / "cache"))
    for split in splits.PICTURES:
        monkeypatch.setitem(splits.PICTURES, split, 1)
    out = tmp_path / "mllmu"
    words = f"data export --output {out} --size 8".split()
    assert main(words) == 0
    assert "100 people" in capsys.readouterr().out
    forget = pd.read_parquet(out / "forget_15" / FILE)
    ids = {f"{person + 1:03d}" for person in splits.make_split("test", 0, 15).forget}
    assert set(forget["ID"]) == ids and len(ids) == 15
    assert len(pd.read_parquet(out / "retain_85" / FILE)) == 85
    assert main(words) == 2
    assert "holds something already" in capsys.readouterr().err
