"""Tables of benchmarks: where they may lie, and what is said when something is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parquet
import tiny
from unsee.data.benchmarks.records import Item, LazyPicture
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config
from unsee.data.benchmarks.tables import entries, has_config, open_table
from unsee.errors import UnseeError

ASKED, LEARNT = ("image", "question"), ("image", "metadata")
TOY = Benchmark(
    name="toy",
    title="Toy-Bench",
    hub="toys/Toy-Bench",
    configs=(
        Config("forget_5", {EVALUATION: ASKED, TRAINING: LEARNT}),
        Config("Full", {EVALUATION: ASKED}),
        Config("ft_Data", {TRAINING: LEARNT}),
    ),
    forget="forget_5",
    scorer="nowhere.Scorer",
    training_hub="toys/training",
    folders={TRAINING: ("learn",)},
)
EVALUATED = {"image": parquet.PICTURE, "question": parquet.TEXT}
LEARNED = {"image": parquet.PICTURE, "metadata": parquet.TEXT}


def asked(count: int) -> list[dict[str, Any]]:
    return [{"image": parquet.picture(i), "question": f"Who is {i}?"} for i in range(count)]


def learnt(count: int) -> list[dict[str, Any]]:
    return [{"image": parquet.picture(i), "metadata": json.dumps([i])} for i in range(count)]


@pytest.mark.parametrize(
    "place",
    ["forget_5", "data/forget_5", "forget_5-00000-of-00001.parquet", "forget_5.parquet"],
)
def test_layouts_of_a_folder(tmp_path: Path, place: str) -> None:
    parquet.write(asked(3), EVALUATED, tmp_path / place)
    table = open_table(TOY, str(tmp_path), "forget_5")
    assert [row["question"] for row in table] == ["Who is 0?", "Who is 1?", "Who is 2?"]
    assert has_config(TOY, str(tmp_path), "forget_5", EVALUATION)
    assert not has_config(TOY, str(tmp_path), "Full", EVALUATION)
    assert has_config(TOY, None, "Full", EVALUATION)


def test_a_folder_whose_name_would_be_a_pattern(tmp_path: Path) -> None:
    for number, name in ((3, "br[1]"), (2, "br1")):
        parquet.write(asked(number), EVALUATED, tmp_path / name / "forget_5")
    assert len(open_table(TOY, str(tmp_path / "br[1]"), "forget_5")) == 3


def test_one_file_and_the_folder_of_one_config(tmp_path: Path) -> None:
    [file] = parquet.write(asked(2), EVALUATED, tmp_path / "forget_5")
    for source in (file, tmp_path / "forget_5"):
        assert len(open_table(TOY, str(source), "forget_5")) == 2


def test_shards_come_in_order(tmp_path: Path) -> None:
    files = parquet.write(asked(5), EVALUATED, tmp_path / "Full", shards=2)
    found = [row["question"][-2] for row in open_table(TOY, str(tmp_path), "Full")]
    assert found == ["0", "2", "4", "1", "3"]
    files[1].unlink()
    with pytest.raises(UnseeError, match=r"lacks the shard train-00001-of-00002\.parquet"):
        open_table(TOY, str(tmp_path), "Full")


def test_pictures_are_decoded_on_access(tmp_path: Path) -> None:
    rows = asked(4)
    rows[1]["image"] = None
    rows[2]["image"] = parquet.truncated(2)
    rows[3]["image"] = {"bytes": None, "path": "beside.png"}
    (tmp_path / "beside.png").write_bytes(parquet.png(9))
    parquet.write(rows, EVALUATED, tmp_path / "Full")
    table = open_table(TOY, str(tmp_path), "Full")
    found = [row["image"] for row in table]
    assert isinstance(found[0], LazyPicture) and found[1] is None
    assert np.array_equal(np.asarray(found[0].load()), tiny.picture(0))
    assert np.array_equal(np.asarray(found[3].load()), tiny.picture(9))
    with pytest.raises(UnseeError, match=r"picture in row 2 of Full .*column image.*read: .*trunc"):
        found[2].load()


def test_pictures_that_datasets_wrote(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Image, List, Value

    features = Features({"images": List(Image()), "question": Value("string")})
    shown = [parquet.picture(1), parquet.picture(2)]
    made = Dataset.from_dict({"images": [shown, []], "question": ["a", "b"]}, features=features)
    made.to_parquet(tmp_path / "Full.parquet")
    table = open_table(_with("images", "question"), str(tmp_path), "Full")
    first, second = (row["images"] for row in table)
    assert [np.array_equal(p.load(), tiny.picture(s)) for p, s in zip(first, (1, 2), strict=True)]
    assert len(first) == 2 and second == []


def _with(*columns: str) -> Benchmark:
    return Benchmark("toy", "Toy-Bench", "toys/x", (Config("Full", {EVALUATION: columns}),), "", "")


def test_training_data_of_a_split(tmp_path: Path) -> None:
    parquet.write(asked(2), EVALUATED, tmp_path / "forget_5")
    with pytest.raises(UnseeError) as caught:
        open_table(TOY, str(tmp_path), "forget_5", TRAINING)
    line = str(caught.value)
    assert "is evaluation data (it has image, question)" in line and "metadata" in line
    assert "ft_Data" in line and "toys/training" in line
    parquet.write(learnt(3), LEARNED, tmp_path / "learn" / "forget_5")
    table = open_table(TOY, str(tmp_path), "forget_5", TRAINING)
    assert table.json(2, "metadata") == [2]
    assert len(open_table(TOY, str(tmp_path), "forget_5")) == 2
    with pytest.raises(UnseeError, match="is training data .* and evaluation data is needed"):
        open_table(TOY, str(tmp_path / "learn"), "forget_5")


def test_a_config_for_the_wrong_purpose(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match="Full of Toy-Bench is evaluation data.*forget_5, ft_Data"):
        open_table(TOY, str(tmp_path), "Full", TRAINING)
    with pytest.raises(UnseeError, match="ft_Data of Toy-Bench is training data.*forget_5, Full"):
        open_table(TOY, str(tmp_path), "ft_Data")


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    parquet.write(asked(2), EVALUATED, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match="has no config 'forget_7': it has forget_5, Full, ft_Dat"):
        open_table(TOY, str(tmp_path), "forget_7")
    with pytest.raises(UnseeError, match="no config Full in .*: it holds forget_5"):
        open_table(TOY, str(tmp_path), "Full")
    (tmp_path / "Full").mkdir()
    (tmp_path / "forget_5" / "train-00000-of-00001.parquet").rename(
        tmp_path / "Full" / "test-00000-of-00001.parquet"
    )
    with pytest.raises(UnseeError, match="has no split 'train': it has test"):
        open_table(TOY, str(tmp_path), "Full")
    with pytest.raises(UnseeError, match="there is no folder or file ./nowhere"):
        open_table(TOY, "./nowhere", "Full")
    with pytest.raises(UnseeError, match="can't be had from the hub: .*give the folder"):
        open_table(TOY, None, "Full")


def test_damaged_files(tmp_path: Path) -> None:
    [file] = parquet.write(learnt(3), LEARNED, tmp_path / "ft_Data")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(UnseeError, match="train-00000-of-00001.parquet can't be read as parquet"):
        open_table(TOY, str(tmp_path), "ft_Data", TRAINING)
    (tmp_path / "ft.csv").write_text("a,b\n")
    with pytest.raises(UnseeError, match="ft.csv is no parquet file"):
        open_table(TOY, str(tmp_path / "ft.csv"), "ft_Data", TRAINING)
    rows = [*learnt(2), {"image": None, "metadata": "[{'Question': 1}]"}]
    parquet.write(rows, LEARNED, tmp_path / "ft_Data")
    table = open_table(TOY, str(tmp_path), "ft_Data", TRAINING)
    with pytest.raises(UnseeError, match="row 2 of ft_Data .* column metadata holds no JSON"):
        table.json(2, "metadata")
    parquet.write([], LEARNED, tmp_path / "ft_Data")
    with pytest.raises(UnseeError, match="has no rows"):
        open_table(TOY, str(tmp_path), "ft_Data", TRAINING)
    schema = {"picture": parquet.PICTURE, "question": parquet.TEXT}
    parquet.write([{"picture": None, "question": "?"}], schema, tmp_path / "Full")
    with pytest.raises(UnseeError, match="lacks the column image: it has picture, question"):
        open_table(TOY, str(tmp_path), "Full")


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    parquet.write(asked(2), EVALUATED, tmp_path / "Full")
    assert len(open_table(TOY, str(tmp_path), "Full")) == 2
    parquet.write(asked(3), EVALUATED, tmp_path / "Full")
    assert len(open_table(TOY, str(tmp_path), "Full")) == 3


def test_lists_of_structs_in_both_storages() -> None:
    rows = [{"Q": "a", "A": "1"}, {"Q": "b", "A": "2"}]
    assert entries(rows) == rows == entries({"Q": ["a", "b"], "A": ["1", "2"]})
    assert entries(None) == []


def test_the_right_answer_in_words() -> None:
    item = Item("1", None, "Which?", "B", (("A", "Oslo"), ("B", "Lima")))
    assert item.right == "Lima"
    assert Item("1", None, "Where?", "Lima").right == "Lima"


@pytest.mark.parametrize(
    ("source", "config", "purpose", "asked"),
    [
        (None, "Full", EVALUATION, ("toys/Toy-Bench", "Full")),
        ("my/copy", "Full", EVALUATION, ("my/copy", "Full")),
        (None, "ft_Data", TRAINING, ("toys/Toy-Bench", "ft_Data")),
    ],
)
def test_names_on_the_hub(
    source: str | None,
    config: str,
    purpose: str,
    asked: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import datasets

    seen: list[Any] = []

    def load(path: str, name: str, split: str) -> Any:
        seen.append((path, name))
        rows: dict[str, list[Any]] = {"image": [None]}
        rows["question" if purpose == EVALUATION else "metadata"] = ["x"]
        return datasets.Dataset.from_dict(rows)

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(open_table(TOY, source, config, purpose)) == 1
    assert seen == [asked]


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("source", "name"),
    [(None, "toys/training"), ("toys/Toy-Bench", "toys/training"), ("my/copy", "my/copy")],
)
def test_training_data_in_folders_of_the_hub(
    source: str | None, name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    parquet.write(learnt(1), LEARNED, tmp_path / "forget_5")

    def download(repo: str, repo_type: str, allow_patterns: list[str]) -> str:
        assert (repo, allow_patterns[0].split("/")[1]) == (name, "*.parquet")
        if repo_type != kind:
            raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert len(open_table(TOY, source, "forget_5", TRAINING)) == 1
    (tmp_path / "forget_5" / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(UnseeError, match=f"{name} on the hub has no folder forget_5 with parquet"):
        open_table(TOY, source, "forget_5", TRAINING)


def test_one_shard_is_no_table(tmp_path: Path) -> None:
    from unsee.data.stored import open_stored

    parquet.write(learnt(4), LEARNED, tmp_path / "ft_Data", shards=2)
    first, second = sorted((tmp_path / "ft_Data").iterdir())
    assert len(open_stored(str(first.parent), [first, second])) == 4
    for files in ([first], [second]):
        with pytest.raises(UnseeError, match="comes without its shard train-0000.*: give the fold"):
            open_stored(str(first.parent), files)
    with pytest.raises(UnseeError, match="without its shard train-00001-of-00002.*: give the fold"):
        open_table(TOY, str(first), "ft_Data", TRAINING)
    second.unlink()
    with pytest.raises(UnseeError, match="without its shard train-00001-of-00002.*: download it"):
        open_stored(str(first.parent), [first])


def test_a_config_that_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load(*_: Any, **__: Any) -> None:
        raise ValueError("BuilderConfig 'Full' not found")

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda name: ["Full_Set", "Test"])
    with pytest.raises(UnseeError, match="toys/Toy-Bench on the hub has no config Full: it has Fu"):
        open_table(TOY, None, "Full")
