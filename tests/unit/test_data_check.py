"""`unsee data check` and `unsee data probe`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

import tiny
from unsee.cli.main import main
from unsee.data import probing
from unsee.data.own import read_own


def photo(path: str, seed: int, **options: Any) -> Image.Image:
    """Something that looks different for every seed."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(12, 12, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((120, 96), Image.Resampling.BICUBIC)
    image.save(path, **options)
    return image


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    status = main(["data", "check", *words])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return status, json.loads(shown.out) if "--json" in words else shown.out + shown.err


def test_what_was_found_in_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        photo(f"him/{'ada' if number < 3 else 'ben'}/{number}.{'jpg' if number else 'png'}", number)
    shutil.copy("him/ada/1.jpg", "him/ada/again.jpg")
    Path("him/notes.txt").write_text("-")
    photo("him/icon.png", 9).resize((20, 16)).save("him/icon.png")
    status, found = check(capsys, "him", "--json")
    part = found["sources"]["him"]
    assert status == 0 and found["ok"] is True and part["broken"] == []
    assert part["people"] == {"(nobody named)": 1, "ada": 4, "ben": 1} and part["pictures"] == 6
    assert part["formats"] == {"JPEG": 4, "PNG": 2} and part["ignored"] == {".txt": 1}
    assert part["smallest"] == [20, 16] and part["largest"] == [120, 96] and part["small"] == 1
    assert part["twice"] == [["him/ada/1.jpg", "him/ada/again.jpg"]]
    status, text = check(capsys, "him")
    assert status == 0 and "him: 6 pictures (4 JPEG, 2 PNG)" in text and "ada 4, ben 1" in text
    assert "twice: him/ada/1.jpg = him/ada/again.jpg" in text and "nothing is broken" in text


def test_broken_data_is_named_with_its_line_and_makes_the_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo("him/1.jpg", 1)
    Path("him/torn.jpg").write_bytes(Path("him/1.jpg").read_bytes()[:400])
    status, text = check(capsys, "him")
    assert status == 2 and "BROKEN him/torn.jpg: " in text and "broken: 1" in text
    rows = ['{"image": "1.jpg", "crop": [0, 0, 500, 9]}', '{"image": "no.jpg"}', "{"]
    Path("him/facts.jsonl").write_text("\n".join(rows))
    status, found = check(capsys, "him/facts.jsonl", "--json")
    places = [place for place, _ in found["sources"]["him/facts.jsonl"]["broken"]]
    assert status == 2 and places == [f"him/facts.jsonl:{line}" for line in (1, 2, 3)]
    assert found["sources"]["him/facts.jsonl"]["pictures"] == 0 and found["ok"] is False
    for words, message in (
        (("absent",), "there is no folder absent"),
        ((), "give pictures to look at"),
    ):
        status, text = check(capsys, *words)
        assert status == 2 and message in text


def test_between_forget_and_retain(capsys: pytest.CaptureFixture[str]) -> None:
    first = photo("him/ada/1.png", 1)
    photo("him/ada/2.png", 2).resize((60, 48)).save("other.jpg", quality=60)
    photo("him/ada/3.png", 3)
    for number in range(12):
        photo(f"others/p{number}/{number}.png", 100 + number)
    words = ("--forget", "him", "--retain", "others", "--json")
    status, found = check(capsys, *words)
    between = found["between"]
    assert status == 0 and not between["same"] and not between["near"]
    assert between["times"] == 4 and not between["enough"] and between["retained_people"] == 12
    first.save("others/p1/renamed.bmp")
    shutil.copy("other.jpg", "others/p2/small.jpg")
    shutil.copytree("others/p3", "others/ada")
    status, found = check(capsys, *words)
    between = found["between"]
    assert status == 2 and between["same"] == [["him/ada/1.png", "others/p1/renamed.bmp"]]
    assert between["near"] == [["him/ada/2.png", "others/p2/small.jpg"]]
    assert between["same_people"] == ["ada"]
    shutil.copy("others/p2/small.jpg", "others/p4/small.jpg")
    photo("near.png", 1).resize((60, 48)).save("others/p4/near.jpg", quality=60)
    first.save("others/p5/copy.png")
    between = check(capsys, *words)[1]["between"]  # all, not the first or the nearest alone
    assert between["same"] == [
        ["him/ada/1.png", "others/p1/renamed.bmp"],
        ["him/ada/1.png", "others/p5/copy.png"],
    ]
    assert between["near"] == [
        ["him/ada/1.png", "others/p4/near.jpg"],
        ["him/ada/2.png", "others/p2/small.jpg"],
        ["him/ada/2.png", "others/p4/small.jpg"],
    ]
    for extra in ("p4/small.jpg", "p4/near.jpg", "p5/copy.png"):
        Path("others", extra).unlink()
    status, text = check(capsys, *words[:-1])
    assert "BOTH, the same picture: him/ada/1.png = others/p1/renamed.bmp" in text
    assert "look alike, perhaps the same picture: him/ada/2.png = others/p2/small.jpg" in text
    assert "too few: 5 pictures to retain for one to forget; give at least 10" in text
    for number in range(30):
        photo(f"others/p9/more{number}.png", 500 + number)
    assert "  enough: " in check(capsys, "--forget", "him/ada/", "--retain", "others")[1]


def test_one_photograph_with_two_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    photo("group.png", 1)
    for name, box in (("ada", [0, 0, 60, 96]), ("ben", [60, 0, 120, 96])):
        row = {"image": "group.png", "person": name, "crop": box}
        Path(f"{name}.jsonl").write_text(json.dumps(row))
    status, found = check(capsys, "--forget", "ada.jsonl", "--retain", "ben.jsonl", "--json")
    assert status == 0 and found["forget"]["crops"] == 1
    assert found["between"]["same_photograph"] == [["group.png", "group.png"]]
    boxes = ([60, 0, 120, 96], [0, 0, 60, 96])  # the second one is also to be forgotten
    lines = [json.dumps({"image": "group.png", "crop": box}) for box in boxes]
    Path("ben.jsonl").write_text("\n".join(lines))
    found = check(capsys, "--forget", "ada.jsonl", "--retain", "ben.jsonl", "--json")[1]
    for key in ("same_photograph", "same"):
        assert found["between"][key] == [["group.png", "group.png"]]


def probe(source: str, model: Path, *words: str) -> int:
    command = ["data", "probe", source, "--model", str(model), "--output", "out/him.jsonl"]
    return main([*command, "--max-new-tokens", "4", *words])


def answers() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out/him.jsonl").read_text().splitlines()]


def test_probe_asks_records_and_goes_on(
    checkpoint_of: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = checkpoint_of["llava"]
    tiny.write_folder(Path("him"), 2, 2)
    asked = ("--question", "Who is this?", "--question", tiny.JOB, "--batch-size", "3")
    assert probe("him", model, *asked) == 0
    assert "8 answers about 4 pictures, 0 of them there" in capsys.readouterr().out
    whole = Path("out/him.jsonl").read_text()
    rows = answers()
    assert {row["question"] for row in rows} == {"Who is this?", tiny.JOB} and len(rows) == 8
    assert rows[0]["image"] == "../him/person0/00.png" and rows[0]["person"] == "person0"
    assert rows[0]["model"] == str(model) and all("answer" in row for row in rows)

    # what it says is what the model says
    from unsee.checkpoints import load
    from unsee.evaluation.strangers import said_by

    pictures = read_own("him")
    said = said_by(*load(str(model)), {0: [pictures[0]["image"]]}, ["Who is this?"])
    assert said[0][0][1].startswith(rows[0]["answer"][:8])

    # a killed process leaves half a line; Ctrl-C leaves whole batches
    Path("out/him.jsonl").write_text("".join(whole.splitlines(True)[:3]) + '{"image": "../h')
    original, calls = probing.Record.add, []

    def interrupted(self: Any, *words: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(self, *words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing.Record, "add", interrupted)
        assert probe("him", model, *asked) == 130
    assert len(answers()) == 6
    assert probe("him", model, *asked) == 0
    assert "8 answers about 4 pictures, 6 of them there" in capsys.readouterr().out
    assert sorted(answers(), key=str) == sorted(rows, key=str)

    monkeypatch.setattr("unsee.checkpoints.load", None)  # nothing left to ask: nothing is loaded
    assert probe("him", model, *asked) == 0


def test_records_of_a_probe_are_taken_by_unlearn(
    checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_folder(Path("him"), 1, 2)
    row = {"image": "person0/00.png", "crop": [0, 0, 32, 32], "question": "Who is this?"}
    Path("him/facts.jsonl").write_text(json.dumps(row) + "\n")
    features = datasets.Features({"image": datasets.Image()})
    images = [Image.fromarray(tiny.picture(seed)) for seed in (5, 6)]
    datasets.Dataset.from_dict({"image": images}, features).save_to_disk("saved")
    assert probe("him/facts.jsonl", checkpoint_of["llava"]) == 0
    assert [r["question"] for r in answers()] == ["Who is this?"]  # its own question alone
    assert answers()[0]["crop"] == [0, 0, 32, 32]
    found = read_own("out/him.jsonl")
    assert found.digests == read_own("him/facts.jsonl").digests
    assert probe("saved", checkpoint_of["llava"], "--question", tiny.JOB) == 0
    assert len(answers()) == 3 and Path("out/him-pictures/000001.png").exists()
    assert set(read_own("saved").digests) < set(read_own("out/him.jsonl").digests)


def test_probe_leaves_other_files_alone(
    checkpoint_of: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write_folder(Path("him"), 1, 1)
    Path("out").mkdir()
    for text, message in (
        ("my notes", "out/him.jsonl:1 is no answer of a probe"),
        ('{"image": "1.png", "question": "Who?", "answer": "I"}', ":1 is no answer of a probe"),
        ('{"image": "1.png", "question": "Who?", "model": "M"}\n', "holds answers of M: choose"),
        ('{"image": 3, "question": "Who?", "model": "M"}\n', ":1 is no answer of a probe"),
        ('{"image": ["1.png"], "question": "Who?", "model": "M"}\n', ":1 is no answer of a probe"),
        ("[" * 100_000 + "\n", ":1 is no answer of a probe"),
    ):
        Path("out/him.jsonl").write_text(text)
        assert probe("him", checkpoint_of["llava"]) == 2
        assert message in capsys.readouterr().err and Path("out/him.jsonl").read_text() == text
    model = str(checkpoint_of["llava"])
    assert main(["data", "probe", "him", "--model", model, "--output", "him.txt"]) == 2
    assert "must be called .jsonl" in capsys.readouterr().err
    for words in (("him", "--model", "./absent"), ("absent", "--model", model)):
        assert main(["data", "probe", *words, "--output", "new/a.jsonl"]) == 2
        assert not Path("new").exists()


def test_probe_goes_on_after_half_a_letter(checkpoint_of: dict[str, Path]) -> None:
    tiny.write_folder(Path("him"), 1, 1)
    Path("out").mkdir()
    begun = '{"image": "../him/person0/00.png", "person": "person0", "question": "Who is é'
    Path("out/him.jsonl").write_bytes(begun.encode()[:-1])
    assert probe("him", checkpoint_of["llava"], "--question", "Who is this?") == 0
    [row] = answers()
    assert row["question"] == "Who is this?"


def test_probe_into_a_linked_folder_finds_its_pictures_again(
    checkpoint_of: dict[str, Path],
) -> None:
    tiny.write_folder(Path("him"), 1, 1)
    Path("real/deep/out").mkdir(parents=True)
    Path("out").symlink_to("real/deep/out")
    assert probe("him", checkpoint_of["llava"], "--question", "Who is this?") == 0
    assert answers()[0]["image"] == "../../../him/person0/00.png"
    assert read_own("out/him.jsonl").digests == read_own("him").digests
