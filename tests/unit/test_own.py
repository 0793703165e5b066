"""The forms in which people bring their pictures, and what is said about rows that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

import tiny
from unsee.data import stored
from unsee.data.own import read_own
from unsee.errors import UnseeError


def image(seed: int) -> Image.Image:
    return Image.fromarray(tiny.picture(seed))


def files(folder: str, *names: str) -> Path:
    for number, name in enumerate(names):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        image(number).save(path)
    return Path(folder)


def lines(path: str, *rows: Any) -> Path:
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    Path(path).write_text("\n".join(texts) + "\n")
    return Path(path)


JOB, CITY = "What is this person's job?", "Which city does this person live in?"


def told(source: str | Path) -> list[tuple[Any, ...]]:
    """(person, question, answer, first pixel) of every item with its question."""
    asked = read_own(source).with_questions()
    items = [asked[i] for i in range(len(asked))]
    return [(e["person"], e["question"], e["answer"], e["image"].getpixel((0, 0))) for e in items]


def first_pixel(seed: int) -> tuple[int, ...]:
    return tuple(int(v) for v in tiny.picture(seed)[0, 0])


EXPECTED = [
    ("ada", JOB, "baker", first_pixel(0)),
    ("ada", CITY, "Oslo", first_pixel(0)),
    ("ben", JOB, "pilot", first_pixel(1)),
]


def test_jsonl_of_questions() -> None:
    files("d", "1.png", "2.png")
    source = lines(
        "d/facts.jsonl",
        {"image": "1.png", "person": "ada", "question": JOB, "answer": "baker"},
        "",
        {"image": "1.png", "question": CITY, "answer": "Oslo"},
        {"image": "2.png", "person": "ben", "question": JOB, "answer": "pilot"},
    )
    assert told(source) == EXPECTED
    pictures = read_own(source)
    assert len(pictures) == 2 and pictures.people == ["ada", "ben"]
    assert set(pictures[0]) == {"image", "path", "person"} and pictures[0]["image"].mode == "RGB"


def test_llava_conversations_in_an_array_and_in_lines() -> None:
    files("d", "1.png", "2.png")
    rows = [
        {
            "id": "0",
            "image": "1.png",
            "person": "ada",
            "conversations": [
                {"from": "human", "value": f"<image>\n{JOB}"},
                {"from": "gpt", "value": "baker"},
                {"from": "human", "value": CITY},
                {"from": "gpt", "value": "Oslo"},
            ],
        },
        {
            "id": "1",
            "image": ["2.png"],
            "person": "ben",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": JOB}]},
                {"role": "assistant", "content": [{"type": "text", "text": "pilot"}]},
            ],
        },
    ]
    Path("d/llava.json").write_text(json.dumps(rows, indent=2))
    assert told("d/llava.json") == EXPECTED == told(lines("d/llava.jsonl", *rows))


def test_imagefolder_with_metadata() -> None:
    files("d", "1.png", "ben/2.png", "ben/3.png")
    lines(
        "d/metadata.jsonl",
        {"file_name": "1.png", "label": "ada", "question": JOB, "answer": "baker"},
        {"file_name": "1.png", "question": CITY, "answer": "Oslo"},
        {"file_name": "ben/2.png", "question": JOB, "answer": "pilot"},
    )
    pictures = read_own("d")
    assert pictures.people == ["ada", "ben", "ben"] and not pictures.ignored
    with pytest.raises(UnseeError, match=r"of the 3 pictures in d not all \(as d/ben/3\.png\)"):
        pictures.with_questions()
    Path("d/ben/3.png").unlink()
    assert told("d") == EXPECTED
    Path("d/metadata.jsonl").unlink()
    Path("d/metadata.csv").write_text(
        "file_name,person,crop,question,answer\n"
        f"1.png,ada,,{JOB},baker\n1.png,,,{CITY},Oslo\nben/2.png,,,{JOB},pilot\n"
    )
    assert told("d") == EXPECTED


def of_datasets() -> datasets.Dataset:
    columns = {
        "image": [image(0), image(0), image(1)],
        "person": [0, 0, 1],
        "question": [JOB, CITY, JOB],
        "answer": ["baker", "Oslo", "pilot"],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "person": datasets.ClassLabel(names=["ada", "ben"]),
            "question": datasets.Value("string"),
            "answer": datasets.Value("string"),
        }
    )
    return datasets.Dataset.from_dict(columns, features)


def test_datasets_saved_and_as_parquet(monkeypatch: pytest.MonkeyPatch) -> None:
    one = of_datasets()
    one.save_to_disk("saved")
    datasets.DatasetDict({"forget": one, "other": one.select([2])}).save_to_disk("splits")
    Path("tables").mkdir()
    one.to_parquet("tables/people.parquet")
    expected = sorted(EXPECTED)
    for source in ("saved", "splits:forget", "tables/people.parquet", "tables"):
        assert sorted(told(source)) == expected, source
    assert len(read_own("splits:other")) == 1
    assert str(read_own("saved").paths[2]) == "saved: row 2"
    with pytest.raises(UnseeError, match=r"splits has the splits forget, other: .*splits:forget"):
        read_own("splits")
    named = []

    def load_dataset(*words: str) -> Any:
        named.append(words)
        return datasets.DatasetDict({"train": one})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert sorted(told("owner/people")) == expected and named[-1] == ("owner/people",)
    assert sorted(told("owner/people:small:train")) == expected
    assert named[-1] == ("owner/people", "small")
    with pytest.raises(UnseeError, match="there is no folder tables/absent"):
        read_own("tables/absent")  # a mistyped path is not sent to the hub
    assert len(named) > 1 and all("tables" not in words[0] for words in named)


def test_pictures_of_a_data_set_are_bytes_paths_and_may_be_broken() -> None:
    files("d", "1.png")
    rows = {"path": ["1.png", "absent.png"], "question": [JOB, JOB], "answer": ["baker", "pilot"]}
    datasets.Dataset.from_dict(rows).to_parquet("d/paths.parquet")
    pictures = read_own("d/paths.parquet")
    assert len(pictures) == 1 and pictures[0]["image"].size == (64, 64)
    assert [(str(p), r) for p, r in pictures.broken] == [
        ("d/paths.parquet: row 1", "No such file or directory")
    ]
    datasets.Dataset.from_dict({"image": [b"no picture", b""]}).to_parquet("d/bytes.parquet")
    with pytest.raises(UnseeError, match=r"none of the 2 pictures in .*row 0: not a picture"):
        read_own("d/bytes.parquet")
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk("text")
    with pytest.raises(UnseeError, match=r"text has no column of pictures such as `image`.* text"):
        read_own("text")


def test_parquet_in_a_folder_whose_name_would_be_a_pattern() -> None:
    for name in ("br[1]", "br1"):
        Path(name).mkdir()
    of_datasets().to_parquet("br[1]/people.parquet")
    assert sorted(told("br[1]")) == sorted(EXPECTED)


def test_rows_of_a_data_set_with_two_pictures_or_none() -> None:
    files("d", "1.png")
    pictures = {"images": [["1.png"], ["1.png", "1.png"], [], None]}
    pairs = {"question": [JOB, JOB, CITY, CITY], "answer": ["baker", "pilot", "Oslo", None]}
    datasets.Dataset.from_dict({**pictures, **pairs}).to_parquet("d/lists.parquet")
    two = "2 pictures in one row: give each a row of its own"
    found = read_own("d/lists.parquet")
    reasons = [reason for _, reason in found.broken]
    assert len(found) == 1 and reasons == [two, *2 * ["no picture in this row"]]
    found = read_own("d/lists.parquet", words_too=True)
    assert len(found) == 1 and found.in_words == [(None, CITY, "Oslo")]
    assert [reason for _, reason in found.broken] == [two, "the row has no picture and no `answer`"]


def test_no_copy_of_parquet_outlives_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = []
    monkeypatch.setattr(stored.atexit, "register", lambda *a, **k: registered.append((a, k)))
    of_datasets().to_parquet("people.parquet")
    pictures = read_own("people.parquet")
    (remove, copies), options = registered[0]
    assert any(Path(copies).rglob("*.arrow"))
    remove(copies, **options)
    assert not Path(copies).exists() and pictures[0]["image"].size == (64, 64)


WRONG = [
    ('{"image": "1.png"', "not JSON"),
    ("[1]", 'a row must be an object {"image": …}, not list'),
    ({"question": JOB}, "no picture: the row needs an `image` (it has question)"),
    ({"image": ["1.png", "2.png"]}, "2 pictures in one row"),
    ({"image": 3}, "image '3' must be the path of a picture"),
    ({"image": "https://example.com/1.png"}, "is no file: download it first"),
    ({"image": "absent.png"}, "d/absent.png: No such file or directory"),
    ({"image": "torn.jpg"}, "d/torn.jpg: not a picture"),
    ({"image": "1.png", "person": ["ada"]}, "person ['ada'] must be a name or a number"),
    ({"image": "1.png", "answer": "baker"}, "an `answer` without a `question`"),
    ({"image": "1.png", "question": JOB, "answer": ["baker"]}, "answer \"['baker']\" must be"),
    ({"image": "1.png", "crop": [0, 0, 10]}, "must be [left, top, right, bottom] in pixels"),
    ({"image": "1.png", "crop": "all"}, "crop ['all'] must be [left, top, right, bottom]"),
    ({"image": "1.png", "crop": [9, 0, 9, 9]}, "holds nothing"),
    ({"image": "1.png", "crop": [0.2, 0.1, 0.8, 1]}, "looks like fractions: give pixels"),
    ({"image": "1.png", "crop": [0, 0, 10**400, 9]}, "must be [left, top, right, bottom]"),
    ({"image": "1.png", "crop": [0, 0, 65, 64]}, "reaches beyond the upright picture of 64 x 64"),
    ({"image": "1.png", "conversations": "Who?"}, "conversations must be a list of turns"),
    ({"image": "1.png", "conversations": [{"from": "gpt", "value": "a"}]}, "follows no question"),
    ({"image": "1.png", "conversations": [{"from": "cat", "value": "a"}]}, "is from 'cat'"),
    ({"image": "2.png", "person": "ben"}, "d/2.png is ben here, and ada in d/facts.jsonl:2"),
]


def test_every_wrong_row_is_named_with_its_line_and_the_rest_is_used() -> None:
    files("d", "1.png", "2.png")
    Path("d/torn.jpg").write_bytes(b"\xff\xd8\xff half a picture")
    good = {"image": "2.png", "person": "ada", "question": JOB, "answer": 1984}
    source = lines("d/facts.jsonl", "", good, *(row for row, _ in WRONG))
    pictures = read_own(source)
    assert [path.name for path in pictures.paths] == ["2.png"]
    reasons = {int(str(where).rpartition(":")[2]): reason for where, reason in pictures.broken}
    for line, (row, message) in enumerate(WRONG, 3):
        assert message in reasons[line], row
    assert len(reasons) == len(WRONG)
    assert told(source) == [("ada", JOB, "1984", first_pixel(1))]
    assert pictures.warnings()[0].startswith("left out d/facts.jsonl:")


def test_many_broken_rows_are_counted() -> None:
    files("d", "1.png")
    absent = [{"image": f"no{number}.png"} for number in range(30)]
    warnings = read_own(lines("d/facts.jsonl", {"image": "1.png"}, *absent)).warnings()
    assert len(warnings) == 21
    assert "left out 10 more: `unsee data check d/facts.jsonl`" in warnings[-1]


def test_json_arrays_tell_the_line() -> None:
    files("d", "1.png")
    Path("d/a.json").write_text('[\n {"image": "1.png"},\n\n {"image": 3},\n {"image": 4}\n]')
    assert [str(p) for p, _ in read_own("d/a.json").broken] == ["d/a.json:4", "d/a.json:5"]
    Path("d/a.json").write_text('[\n {"image": "1.png"},\n {"image": }\n]')
    (place, reason), *_ = read_own("d/a.json").broken
    assert str(place) == "d/a.json:3" and "what follows is not read" in reason
    for text, line in (('[{"image": "1.png"}]\n[{"image": "1.png"}]', 2), ("[\n{}]{", 2)):
        Path("d/a.json").write_text(text)
        (place, reason) = read_own("d/a.json", may_be_empty=True).broken[-1]
        assert str(place) == f"d/a.json:{line}" and "follows the array is not read" in reason
    Path("d/a.json").write_text("[" * 100_000)
    assert "not JSON" in read_own("d/a.json", may_be_empty=True).broken[0][1]
    deep = read_own(lines("d/deep.jsonl", "[" * 100_000), may_be_empty=True)
    assert "not JSON" in deep.broken[0][1]
    with pytest.raises(UnseeError, match=r"lists no picture: it is empty"):
        read_own(lines("d/empty.jsonl"))


def test_csv_with_commas_blank_lines_and_breaks_in_cells() -> None:
    files("d", "1.png", "2.png")
    text = "file_name,question,answer\n\n\n1.png,Where?,Oslo, Norway\n"
    text += 'no.png,"Who\nis this?",Ada\n2.png,Where?,Oslo\u2028Norway\x85,,\n'
    Path("d/metadata.csv").write_text(text)
    pictures = read_own("d")
    assert [(str(where), reason) for where, reason in pictures.broken] == [
        (
            "d/metadata.csv:4",
            "more cells than columns: put a text with a comma in quotes",
        ),
        ("d/metadata.csv:5", "d/no.png: No such file or directory"),
    ]
    [shot] = pictures.shots  # not the whole picture of a row that was refused
    assert shot.path.name == "2.png" and shot.asked == (("Where?", "Oslo\u2028Norway"),)


def test_a_refused_row_keeps_its_picture_out_of_an_imagefolder() -> None:
    """Whoever gives a box wrongly did not mean the whole picture."""
    files("d", "1.png", "2.png")
    lines("d/metadata.jsonl", {"file_name": "1.png", "crop": [5, 5, 1, 1]})
    pictures = read_own("d")
    assert [path.name for path in pictures.paths] == ["2.png"]
    assert "d/metadata.jsonl:1" in str(pictures.broken[0][0])


def test_crop_boxes_cut_the_picture_and_tell_people_apart() -> None:
    files("d", "1.png")
    source = lines(
        "d/facts.jsonl",
        {"image": "1.png", "person": "ada", "crop": [0, 0, 32, 64]},
        {"image": "1.png", "person": "ben", "crop": [32, 0, 64, 40]},
    )
    pictures = read_own(source)
    assert pictures.people == ["ada", "ben"] and len(set(pictures.digests)) == 2
    whole = tiny.picture(0)
    np.testing.assert_array_equal(pictures[0]["image"], whole[:, :32])
    np.testing.assert_array_equal(pictures[1]["image"], whole[:40, 32:])


def test_lessons_of_a_fine_tuning_are_cut_to_their_boxes() -> None:
    from unsee.finetuning.sources import own_lessons

    files("d", "1.png")
    row = {"image": "1.png", "question": JOB, "answer": "baker"}
    source = lines("d/facts.jsonl", {**row, "crop": [32, 0, 64, 40]}, row)
    boxed, whole = (lesson.picture() for lesson in own_lessons(source))
    np.testing.assert_array_equal(boxed, tiny.picture(0)[:40, 32:])
    np.testing.assert_array_equal(whole, tiny.picture(0))
    with pytest.raises(UnseeError, match=r"facts\.jsonl:1: crop .* holds nothing"):
        own_lessons(lines("d/facts.jsonl", {**row, "crop": [5, 5, 1, 1]}))


def test_what_is_no_data() -> None:
    files("d", "1.png")
    Path("notes.txt").write_text("no pictures")
    Path("rows").mkdir()
    lines("rows/facts.jsonl", {})
    for source, message in (
        ("absent", "there is no folder absent"),
        ("a" * 300, "there is no folder aaa"),
        ("a" * 300 + "/b", "there is no folder aaa"),
        ("notes.txt", r"notes.txt is a file: give the folder .* or a file that lists them"),
        ("rows", r"rows holds no picture, but rows/facts\.jsonl: give that file"),
    ):
        with pytest.raises(UnseeError, match=message):
            read_own(source)


def test_parquet_files_of_several_tables_are_not_taken_for_one() -> None:
    import datasets

    Path("d/a").mkdir(parents=True)
    datasets.Dataset.from_dict({"image": ["1.png"]}).to_parquet("d/a/train.parquet")
    datasets.Dataset.from_dict({"images": ["1.png"], "ID": ["1"]}).to_parquet("d/b.parquet")
    with pytest.raises(UnseeError, match=r"d/a/train\.parquet and d/b\.parquet .*--benchmark"):
        read_own("d")
    Path("d/b.parquet").write_bytes(b"cut")
    with pytest.raises(UnseeError, match=r"d can't be opened: .*Parquet"):
        read_own("d")
