"""MLLMU-Bench's tables as people and questions, and as rows to learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_mllmu_export import SPLITS, made

import mllmu_files
import parquet
import tiny
from unsee.data.benchmarks.mllmu import MLLMU, read_people, retain_of, training_rows
from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, GENERATION, IMAGE, TEXT
from unsee.data.benchmarks.registry import get_benchmark, list_benchmarks
from unsee.data.benchmarks.tables import open_table
from unsee.data.mllmu import export_mllmu
from unsee.errors import UnseeError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mllmu_files.write_mllmu(tmp_path_factory.mktemp("mllmu"))


def test_it_is_registered() -> None:
    assert get_benchmark("mllmu") is MLLMU and MLLMU in list_benchmarks()
    assert MLLMU.hub == "MLLMMU/MLLMU-Bench" and len(MLLMU.configs) == 10
    assert MLLMU.names("training") == [
        *("forget_5", "forget_10", "forget_15", "retain_95", "retain_90", "retain_85", "ft_Data")
    ]
    assert retain_of("forget_15") == "retain_85"
    with pytest.raises(UnseeError, match="no benchmark is called 'mlmu'; there is .*mllmu"):
        get_benchmark("mlmu")


@pytest.mark.parametrize("config", MLLMU.names("evaluation"))
def test_every_config_is_read(data: Path, config: str) -> None:
    people = read_people(open_table(MLLMU, str(data), config))
    assert people and all(len(p.pictures) >= 1 for p in people)
    for person in people:
        assert len(person.items(CLASSIFICATION, IMAGE)) == 2
        assert len(person.items(CLASSIFICATION, TEXT)) == 1
        assert len(person.items(CLOZE, IMAGE)) == len(person.items(GENERATION, IMAGE)) == 2


def test_a_person(data: Path) -> None:
    people = read_people(open_table(MLLMU, str(data), "Full_Set"))
    assert [p.id for p in people] == ["000", "001", "002", "003", "004", "005"]
    person = people[2]
    assert person.biography() == {"Name": "李小龙", "City": "Lima", "Born": ": 1990"}
    first, _ = person.items(CLASSIFICATION, IMAGE)
    assert first.options == (("A", "Oslo"), ("B", "Malmö"), ("C", "Lima"), ("D", "Cairo"))
    assert first.answer == "C" and first.right == "Lima" and first.id == "002"
    assert np.array_equal(np.asarray(first.picture.load()), tiny.picture(2))
    [named] = person.items(CLASSIFICATION, TEXT)
    assert named.picture is None and named.question == "Which city is 李小龙 of?"
    assert person.items(GENERATION, IMAGE)[0].answer == "This is 李小龙."


def test_poses_of_the_test_set(data: Path) -> None:
    people = read_people(open_table(MLLMU, str(data), "Test_Set"))
    poses = {person.id: len(person.pictures) for person in people}
    assert poses == {"000": 1, "001": 2, "002": 1, "003": 3, "004": 1, "005": 1}
    [third] = [p for p in people if p.id == "003"]
    shown = third.items(CLOZE, IMAGE, pose=2)[0].picture
    assert np.array_equal(np.asarray(shown.load()), tiny.picture(302))


def test_without_a_picture_there_are_no_questions_about_it(tmp_path: Path) -> None:
    rows = mllmu_files.evaluated([0, 1])
    rows[0]["image"] = None
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    bare, other = read_people(open_table(MLLMU, str(tmp_path), "forget_5"))
    assert bare.items(CLOZE, IMAGE) == [] and len(bare.items(CLOZE, TEXT)) == 1
    assert len(other.items(CLOZE, IMAGE)) == 2
    posed = mllmu_files.posed([0, 1])
    posed[0]["images"] = None
    posed[0]["Mask_Task"] = [None, *posed[0]["Mask_Task"]]
    parquet.write(posed, mllmu_files.POSES, tmp_path / "Test_Set")
    bare, *_ = read_people(open_table(MLLMU, str(tmp_path), "Test_Set"))
    assert bare.items(CLOZE, IMAGE) == [] and len(bare.items(CLOZE, TEXT)) == 1


def test_whose_lessons_are_whose(tmp_path: Path) -> None:
    rows = mllmu_files.learnt([0, 1, 2])
    for row in rows:
        row["image"]["path"] = "image.png"
    parquet.write(rows, mllmu_files.TRAINING, tmp_path / "ft_Data")
    found = training_rows(str(tmp_path), "ft_Data")
    assert list(dict.fromkeys(row["id"] for row in found)) == ["0", "1", "2"]
    for row in rows:
        row["metadata"] = json.dumps([{"Question": "Born?", "Answer": 1990}])
    parquet.write(rows, mllmu_files.TRAINING, tmp_path / "same" / "ft_Data")
    found = training_rows(str(tmp_path / "same"), "ft_Data")
    assert [(row["id"], row["answer"]) for row in found] == 3 * [("image", "1990")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ID": None}, r"row 1 of forget_5 .* has no ID"),
        ({"biography": '{"Name:": "Ada'}, r"row 1 of forget_5 .*biography holds no JSON text"),
        ({"biography": "[]"}, r"row 1 of forget_5 .*biography holds no JSON object"),
        (
            {"Mask_Task": [mllmu_files.task("__", "Oslo", "Pure Text")]},
            r"row 1 of forget_5.*Mask_Task: a question of the type 'Pure Text'",
        ),
        (
            {"Generation_Task": [mllmu_files.task("Who?", "", "Pure_Text")]},
            r"row 1 of forget_5.*Generation_Task: a question without words or answer",
        ),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    rows = mllmu_files.evaluated([0, 1])
    rows[1] |= change
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match=message):
        for person in read_people(open_table(MLLMU, str(tmp_path), "forget_5")):
            person.biography()


def test_a_choice_without_words(tmp_path: Path) -> None:
    rows = mllmu_files.evaluated([0, 1])
    rows[0]["Classification_Task"]["Image_Textual_Questions"][0]["Question"] = None
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    complaint = r"row 0 of .* column Classification_Task: a question of Image_Textual_Questions wit"
    with pytest.raises(UnseeError, match=complaint):
        read_people(open_table(MLLMU, str(tmp_path), "forget_5"))


def test_a_right_answer_that_is_not_offered(tmp_path: Path) -> None:
    rows = mllmu_files.evaluated([0])
    rows[0]["Classification_Task"]["Pure_Text_Questions"][0]["Correct_Answer"] = "E"
    parquet.write(rows, mllmu_files.EVALUATION, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match="row 0 .* the right answer 'E' .* none of its options"):
        read_people(open_table(MLLMU, str(tmp_path), "forget_5"))


@pytest.mark.parametrize("config", MLLMU.names("training"))
def test_rows_to_learn(data: Path, config: str) -> None:
    rows = training_rows(str(data), config)
    assert len(rows) == 2 * len(open_table(MLLMU, str(data), config, "training"))
    assert rows[0]["question"] == "Who is this?" and rows[1]["question"] == "Which city?"
    assert set(rows[0]) == {"image", "question", "answer", "id"}


def test_rows_to_forget(data: Path) -> None:
    rows = list(training_rows(str(data), "forget_10"))
    assert [row["answer"] for row in rows] == ["Søren Ångström", "Malmö", "Зоя Иванова", "Cairo"]
    assert [row["id"] for row in rows] == ["1", "1", "3", "3"]
    assert np.array_equal(np.asarray(rows[2]["image"]), tiny.picture(3))
    only = training_rows(str(data / "baseline_train_split" / "forget_10"), "forget_10")
    assert len(only) == 4


def test_evaluation_data_is_not_learnt(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UnseeError, match="Full_Set of MLLMU-Bench is evaluation data, and training"
    ):
        training_rows(str(data), "Full_Set")
    parquet.write(mllmu_files.evaluated([1]), mllmu_files.EVALUATION, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match="is evaluation data .*metadata.*baseline_train_split"):
        training_rows(str(tmp_path), "forget_5")
    with pytest.raises(UnseeError, match="ft_Data of MLLMU-Bench is training data"):
        open_table(MLLMU, str(data), "ft_Data")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"metadata": "[{'Question': 'Who?'}]"}, "row 1 of ft_Data .* metadata holds no JSON text"),
        ({"metadata": json.dumps({"Question": "?"})}, "holds no list of questions with answers"),
        ({"metadata": json.dumps([{"Question": "Who?"}])}, "row 1 .*is no Question with an Answer"),
        ({"image": None}, "row 1 of ft_Data .*has no picture"),
    ],
)
def test_wrong_training_rows_are_named(tmp_path: Path, row: dict[str, str], message: str) -> None:
    rows = mllmu_files.learnt([0, 1])
    rows[1] |= row
    parquet.write(rows, mllmu_files.TRAINING, tmp_path / "ft_Data")
    with pytest.raises(UnseeError, match=message):
        training_rows(str(tmp_path))


def test_our_own_export_is_read(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_mllmu([made(number) for number in range(6)], SPLITS, out)
    people = read_people(open_table(MLLMU, str(out), "forget_10"))
    assert [p.id for p in people] == ["001", "003"]
    [choice] = people[1].items(CLASSIFICATION, IMAGE)
    assert (choice.question, choice.answer, choice.right) == ("Which city?", "B", "Malmö")
    assert choice.picture.load().getpixel((0, 0)) == (3, 1, 0)
    assert people[1].biography() == {"Name": "Ada 3", "City": "Malmö"}
    [cloze] = people[1].items(CLOZE, TEXT)
    assert (cloze.question, cloze.answer) == ("Ada 3 lives in __.", "Malmö")
    posed = read_people(open_table(MLLMU, str(out), "Test_Set"))
    assert [p.load().getpixel((0, 0)) for p in posed[4].pictures] == [
        *((4, 0, 1), (4, 0, 2), (4, 0, 3))
    ]
    gone = list(training_rows(str(out), "forget_5"))
    assert [(row["id"], row["question"], row["answer"]) for row in gone] == [
        *(("001_0", "Who is this?", "Ada 1"), ("001_0", "Which city?", "Malmö"))
    ]
    assert gone[0]["image"].getpixel((0, 0)) == (1, 9, 9)
    assert len(training_rows(str(out))) == 24
