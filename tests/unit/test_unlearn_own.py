"""`unsee unlearn` on the user's own data: every form, for methods with and without questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from PIL import Image

import tiny
from unsee.cli.main import main

Words = Callable[..., list[str]]
FAST = {"max_steps": 1, "per_device_train_batch_size": 2, "save_strategy": "no", "warmup_steps": 0}


@pytest.fixture
def words(checkpoint_of: dict[str, Path]) -> Words:
    """The command line of one step into `out`."""

    def build(**options: Any) -> list[str]:
        options = {"model": checkpoint_of["llava"], "output": "out", **FAST, **options}
        return ["unlearn", *(w for k, v in options.items() for w in (f"--{k}", str(v)))]

    return build


def rows(folder: str, people: int, first: int, **further: Any) -> list[dict[str, Any]]:
    """Two pictures of each person in a folder, and rows about them."""
    tiny.write_folder(Path(folder), people, 2, first)
    return [
        {
            "image": str(path.relative_to(folder)),
            "person": path.parent.name,
            "question": tiny.JOB,
            "answer": "baker",
            **further,
        }
        for path in sorted(Path(folder).rglob("*.png"))
    ]


def listed(folder: str, found: list[dict[str, Any]]) -> str:
    path = Path(folder, "facts.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


@pytest.mark.usefixtures("compare_in_process")
@pytest.mark.parametrize("method", ["graddiff", "idk", "two_sided"])
def test_methods_on_answers_take_the_questions_of_the_records(
    method: str, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    forget, retain = listed("him", rows("him", 1, 0)), "others.json"
    conversations = [
        {
            "image": f"others/{row['image']}",
            "conversations": [
                {"from": "human", "value": "<image>\nWho is this?"},
                {"from": "gpt", "value": "Ada Belberg"},
                {"from": "human", "value": tiny.JOB},
                {"from": "gpt", "value": "pilot"},
            ],
        }
        for row in rows("others", 2, 10)
    ]
    Path(retain).write_text(json.dumps(conversations))
    further = {"strangers": tiny.write_folder(Path("strangers"), 2, 2, 20)}
    if method != "two_sided":
        further = {}
    command = words(method=method, forget=forget, retain=retain, **further)
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "2 pictures to forget, 2 questions; 4 to keep, 8 questions" in shown
    assert yaml.safe_load(Path("out/config.yaml").read_text())["forget"] == forget


@pytest.mark.usefixtures("compare_in_process")
def test_vkd_takes_every_form_and_looks_at_the_box_alone(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows("him", 1, 0, crop=[0, 0, 32, 40])
    him = listed("him", found)
    Path("him/metadata.jsonl").write_text(
        "".join(json.dumps({**r, "file_name": r.pop("image")}) + "\n" for r in rows("him", 1, 0))
    )
    pictures = [Image.open(path) for path in sorted(Path("him").rglob("*.png"))]
    boxes = [image.crop((0, 0, 32, 40)) for image in pictures]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": boxes}, features).save_to_disk("saved")
    others = tiny.write_folder(Path("others"), 2, 2, 10)
    assert main(words(forget=him, retain=others, output="boxes")) == 0
    assert "2 pictures to forget, 4 to keep\n" in capsys.readouterr().out
    assert main(words(forget="saved", retain=others, output="cut")) == 0
    assert main(words(forget="him", retain=others, output="whole")) == 0
    assert tiny.same_weights(Path("boxes"), Path("cut"))
    assert not tiny.same_weights(Path("boxes"), Path("whole"))


@pytest.mark.usefixtures("compare_in_process")
def test_questions_in_words_reach_the_method(
    words: Words, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.methods.mmunlearner import MMUnlearnerTrainer

    sides = {"forget": listed("him", rows("him", 1, 0)), "retain": listed("o", rows("o", 2, 10))}
    given: list[Any] = []
    began = MMUnlearnerTrainer.__init__

    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        given.append(kwargs["text_dataset"])
        began(self, *args, **kwargs)

    monkeypatch.setattr(MMUnlearnerTrainer, "__init__", begin)
    Path("t.jsonl").write_text(json.dumps({"question": tiny.JOB, "answer": "pilot"}) + "\n")
    assert main(words(method="mmunlearner", **sides, texts="t.jsonl")) == 0
    assert given == [[{"image": None, "question": tiny.JOB, "answer": "pilot"}]]
    assert yaml.safe_load(Path("out/config.yaml").read_text())["texts"] == "t.jsonl"

    Path("half.jsonl").write_text(json.dumps({"question": tiny.JOB}) + "\n")
    capsys.readouterr()
    for texts, message in (
        (sides["forget"], "give questions with answers and no pictures"),
        ("half.jsonl", "--texts: half.jsonl:1: "),
        ("nowhere.jsonl", "nowhere.jsonl"),
    ):
        command = words(method="mmunlearner", **sides, texts=texts, output="other")
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error
    assert not Path("other").exists()


def test_missing_questions_are_named(words: Words, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows("him", 1, 0)
    others = tiny.write_folder(Path("others"), 2, 2, 10)
    asked = listed("him", found)
    del found[1]["answer"]
    half = Path("him/half.jsonl")
    half.write_text("".join(json.dumps(row) + "\n" for row in found))
    for method, options in (("npo", {}), ("vkd", {"output_loss": "npo"})):
        for forget, message in (
            (asked, "of the 4 pictures in others none have a `question` and an `answer`"),
            (half, "of the 2 pictures in him/half.jsonl not all (as him/person0/01.png) have"),
        ):
            assert main(words(method=method, forget=forget, retain=others, **options)) == 2
            error = capsys.readouterr().err
            assert error.count("\n") == 1 and message in error
            assert f"{method} needs a `question`" in error and "choose vkd" in error
    assert not Path("out").exists()


@pytest.mark.usefixtures("compare_in_process")
def test_wrong_rows_are_named_and_the_rest_is_used(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [*rows("him", 1, 0), {"image": "absent.png"}, {"question": tiny.JOB}]
    others = listed("others", rows("others", 2, 10))
    strangers = tiny.write_folder(Path("strangers"), 1, 2, 20)
    (strangers / "torn.png").write_bytes(b"torn")
    forget = listed("him", found)
    main(words(forget=forget, retain=others, strangers=strangers))
    error = capsys.readouterr().err
    assert "left out him/facts.jsonl:3: him/absent.png: No such file or directory" in error
    assert "left out him/facts.jsonl:4: no picture: the row needs an `image`" in error
    assert "left out strangers/torn.png: not a picture" in error
    assert main(words(forget=forget, retain=forget, output="same")) == 2
    assert "2 pictures are both to be forgotten and to be retained" in capsys.readouterr().err
