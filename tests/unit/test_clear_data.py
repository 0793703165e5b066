"""CLEAR's files read: every config, awkward rows, and what is said when something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clear_files
import parquet
import tiny
from unsee.data.benchmarks import clear
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, get_benchmark
from unsee.errors import UnseeError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clear_files.write(tmp_path_factory.mktemp("clear"))


def test_every_config_of_the_hub_is_known_and_opens(folder: Path) -> None:
    names = get_benchmark("clear").names()
    assert sorted(names) == sorted(clear_files.tables()) and len(names) == 20
    for name in names:
        training = name.partition("+")[0] in clear.PARTS
        table = clear.open_config(str(folder), name, TRAINING if training else EVALUATION)
        assert len(table) == len(clear_files.tables()[name])


def test_captions_keep_names_of_all_scripts(folder: Path) -> None:
    items = list(clear.caption_items(clear.open_config(str(folder), "forget10_perturbed")))
    assert [item.id for item in items[::2]] == ["Ada Belberg", "Jaime Vásquez", "蕭雲華"]
    item = items[5]
    assert item.answer == clear_files.caption(2, 1) and item.direction == "image"
    assert item.extras["paraphrase"] == "Picture 1: 蕭雲華, Cairo"
    assert item.extras["wrong"][1] == "Jaime Vásquez in Cairo"
    assert item.extras["wrong_names"] == ("Ada Belberg", "Jaime Vásquez", "Николай Абилов")
    assert item.picture is not None and item.question in clear.CAPTION_QUESTIONS
    np.testing.assert_array_equal(np.asarray(item.picture.load()), tiny.picture(201))


def test_the_true_name_is_at_a_seeded_place(folder: Path) -> None:
    items = list(clear.caption_items(clear.open_config(str(folder), "forget10_perturbed")))
    places = set()
    for seed in range(6):
        for item in items:
            asked = clear.lettered(item, seed)
            assert asked == clear.lettered(item, seed) and asked.kind == "classification"
            assert [letter for letter, _ in asked.options] == list("ABCD")
            assert sorted(text for _, text in asked.options) == sorted(
                [item.id, *item.extras["wrong_names"]]
            )
            assert asked.right == item.id and asked.question == clear.NAME_QUESTION
            places.add(asked.answer)
    assert places == set("ABCD")


def test_the_truth_among_the_wrong_is_not_offered_twice(tmp_path: Path) -> None:
    row = clear_files.perturbed(0, 0)
    row["perturbed_names"] = ["Bo Okoye", " ada  belberg", "Bo Okoye"]
    folder = clear_files.write(tmp_path, forget01_perturbed=[row])
    [item] = clear.caption_items(clear.open_config(str(folder), "forget01_perturbed"))
    assert item.extras["wrong_names"] == ("Bo Okoye",)
    assert len(clear.lettered(item).options) == 2


def test_more_options_than_letters(tmp_path: Path) -> None:
    row = clear_files.perturbed(0, 0) | {"perturbed_names": [f"Al {i}" for i in range(40)]}
    folder = clear_files.write(tmp_path, forget01_perturbed=[row])
    [item] = clear.caption_items(clear.open_config(str(folder), "forget01_perturbed"))
    for seed in range(20):
        asked = clear.lettered(item, seed)
        assert len(asked.options) == 26 and asked.right == "Ada Belberg"


def test_what_everybody_knows(folder: Path) -> None:
    faces = list(clear.real_items(clear.open_config(str(folder), "real_faces")))
    assert faces[1].question == clear.NAME_QUESTION and faces[1].answer == "Star 2"
    assert faces[1].extras["wrong"] == ("Star 1", "Star 3", "Star 4")
    [world, _] = clear.real_items(clear.open_config(str(folder), "real_world"))
    assert world.question == "What is in the picture?" and world.answer == "a tower"
    assert clear.lettered(world).question == "What is in the picture?"


def test_training_items_are_captions_and_questions_in_words(folder: Path) -> None:
    items = list(clear.training_items(clear.open_config(str(folder), "forget05+tofu", TRAINING)))
    assert [item.picture is None for item in items] == [False, False, True] * 2
    assert items[2].question == "Where does Ada Belberg live?" and items[2].direction == "text"
    assert items[2].answer == "In Oslo." and items[3].answer == clear_files.caption(1, 0)
    plain = list(clear.training_items(clear.open_config(str(folder), "retain90", TRAINING)))
    assert len(plain) == 6 and {item.id for item in plain} == set(clear_files.NAMES[3:])


def test_training_rows_are_examples_for_fine_tuning(folder: Path) -> None:
    rows = clear.training_rows(str(folder), "forget05+tofu")
    assert len(rows) == 6 and [row["image"] is None for row in rows] == [False, False, True] * 2
    np.testing.assert_array_equal(np.asarray(rows[4]["image"]), tiny.picture(101))
    assert rows[4]["answer"] == clear_files.caption(1, 1) and rows[4]["question"]
    assert len(clear.training_rows(str(folder), "forget05+tofu", "image")) == 4
    assert [r["id"] for r in clear.training_rows(str(folder), "forget01")] == ["Ada Belberg"] * 2
    with pytest.raises(UnseeError, match="real_world of CLEAR is evaluation data, and training"):
        clear.training_rows(str(folder), "real_world")
    with pytest.raises(UnseeError, match="no row of direction 'text'"):
        clear.training_rows(str(folder), "full", "text")


@pytest.mark.parametrize(
    ("config", "purpose", "complaint"),
    [
        ("forget05", EVALUATION, "forget05 of CLEAR is training data.*forget05_perturbed"),
        ("full+tofu", EVALUATION, "training data, and evaluation data is needed"),
        ("forget05_perturbed", TRAINING, "evaluation data, and training data.*forget05\\+tofu"),
        ("real_faces", TRAINING, "real_faces of CLEAR is evaluation data"),
        ("retain95_perturbed", EVALUATION, "does not exist on the hub.*retain_perturbed"),
        ("forget20", EVALUATION, "CLEAR has no config 'forget20': it has full, forget01"),
    ],
)
def test_a_config_of_the_other_purpose(
    folder: Path, config: str, purpose: str, complaint: str
) -> None:
    with pytest.raises(UnseeError, match=complaint):
        clear.open_config(str(folder), config, purpose)


def test_files_of_the_other_purpose_and_a_missing_shard(tmp_path: Path) -> None:
    rows = clear_files.tables()["forget10"]
    [file] = clear_files.write_table(tmp_path / "other", rows)
    with pytest.raises(UnseeError, match="is training data.*evaluation data is needed"):
        clear.open_config(str(file), "forget10_perturbed")
    shards = clear_files.write_table(tmp_path / "real_faces", clear_files.tables()["real_faces"], 2)
    shards[1].unlink()
    with pytest.raises(UnseeError, match="lacks the shard train-00001-of-00002.parquet"):
        clear.open_config(str(tmp_path), "real_faces")
    (tmp_path / "real_world").mkdir()
    shards[0].rename(tmp_path / "real_world" / "test-00000-of-00001.parquet")
    with pytest.raises(UnseeError, match="no split 'train': it has test"):
        clear.open_config(str(tmp_path), "real_world")


def changed(**cells: Any) -> dict[str, Any]:
    return clear_files.perturbed(1, 0) | cells


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (changed(image=None), "row 1 of forget01_perturbed .*column image holds no picture"),
        (changed(caption=None), "row 1 .*column caption is empty"),
        (changed(name="  "), "row 1 .*column name is empty"),
        (changed(perturbed_names=None), "row 1 .*perturbed_names offers nothing but the truth"),
        (changed(perturbed_captions=[None]), "row 1 .*column perturbed_captions is empty"),
    ],
)
def test_empty_cells_are_named(tmp_path: Path, row: dict[str, Any], complaint: str) -> None:
    rows = [clear_files.perturbed(0, 0), row]
    folder = clear_files.write(tmp_path, forget01_perturbed=rows)
    with pytest.raises(UnseeError, match=complaint):
        list(clear.caption_items(clear.open_config(str(folder), "forget01_perturbed")))


def test_awkward_training_rows(tmp_path: Path) -> None:
    neither = {**clear_files.tofu(0)[2], "answer": None}
    folder = clear_files.write(tmp_path, forget01_tofu=[*clear_files.tofu(0), neither])
    with pytest.raises(UnseeError, match="row 3 of forget01\\+tofu .*column answer is empty"):
        list(clear.training_items(clear.open_config(str(folder), "forget01+tofu", TRAINING)))
    bare = {**clear_files.plain(0, 0), "image": None}
    folder = clear_files.write(tmp_path, forget01=[bare])
    with pytest.raises(UnseeError, match="row 0 .*no picture; only rows of the \\+tofu configs"):
        list(clear.training_items(clear.open_config(str(folder), "forget01", TRAINING)))


def test_a_truncated_picture_is_named(tmp_path: Path) -> None:
    rows = [clear_files.perturbed(0, 0), changed(image=parquet.truncated(3))]
    folder = clear_files.write(tmp_path, forget01_perturbed=rows)
    items = list(clear.caption_items(clear.open_config(str(folder), "forget01_perturbed")))
    assert items[1].picture is not None
    with pytest.raises(UnseeError, match="the picture in row 1 of forget01_perturbed"):
        items[1].picture.load()
