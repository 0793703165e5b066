"""Ten profiles of MLLMU-Bench with its own text and splits, a face drawn for each: plumbing only.

The text is not part of this repository: `../shared/data/mllmu_bench`. The pictures are ours, and
the model is random, so that no score here says anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mllmu_files
import parquet
import tiny
from unsee.cli.main import main
from unsee.data.benchmarks.mllmu import MLLMU, read_people, training_rows
from unsee.data.benchmarks.tables import open_table

TEXT = Path(__file__).resolve().parents[3] / "shared" / "data" / "mllmu_bench"
pytestmark = pytest.mark.skipif(
    not (TEXT / "profiles.jsonl").exists(), reason=f"no text of MLLMU-Bench in {TEXT}"
)
FORGOTTEN, RETAINED = 4, 6


def split(name: str) -> list[str]:
    return json.loads((TEXT / "splits" / f"{name}.json").read_text(encoding="utf-8"))


def profiles() -> dict[str, list[dict[str, str]]]:
    lines = (TEXT / "profiles.jsonl").read_text(encoding="utf-8").splitlines()
    return {read["ID"]: read["metadata"] for read in map(json.loads, lines)}


def face(number: int, female: bool, view: int) -> dict[str, Any]:
    """A drawn face: a woman's without beard and with hair, a man's hair is not long."""
    from PIL import Image

    from unsee.data.faces.drawing import draw
    from unsee.data.faces.person import sample_person, sample_view

    drawn = sample_person(np.random.default_rng([7, number]))
    if female:
        drawn = replace(drawn, beard="none", hair_style="long")
    elif drawn.hair_style in ("long", "bun", "bob"):
        drawn = replace(drawn, hair_style="short")
    pixels = draw(drawn, sample_view(np.random.default_rng([8, number, view])), 64)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return {"bytes": buffer.getvalue(), "path": f"{number:03d}_{view}.png"}


def is_female(pairs: list[dict[str, str]]) -> bool:
    said = " ".join(pair["Answer"] for pair in pairs).lower()
    return bool(re.search(r"\b(female|woman|she|her)\b", said))


def evaluated(identity: str, people: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    """Questions of the real schema about the first facts of a person: the options are what the
    others answer in the same place; the cloze blanks the last words of an answer."""
    pairs = people[identity]
    name = pairs[0]["Answer"].rstrip(".").split(" is ")[-1]
    born = pairs[1]["Answer"].rstrip(".")
    others = [o[1]["Answer"].rstrip(".") for i, o in people.items() if i != identity]
    options = list(dict.fromkeys([born, *others]))[:4]
    place = int(identity) % 4
    options = [*options[1 : place + 1], options[0], *options[place + 1 :]]
    choice = {
        "Correct_Answer": "ABCD"[place],
        "Options": dict(zip("ABCD", options, strict=True)),
        "Question": pairs[1]["Question"],
    }
    named = re.sub(r"[Tt]his person", name, pairs[1]["Question"])
    stem, _, filling = born.rpartition(" in ")
    task = mllmu_files.task
    return {
        "ID": identity,
        "Directory": name,
        "biography": json.dumps({"Name:": name, "Born:": born}, ensure_ascii=False),
        "question": pairs[0]["Question"],
        "answer": pairs[0]["Answer"],
        "Classification_Task": {
            "Image_Textual_Questions": [choice],
            "Pure_Text_Questions": [{**choice, "Question": named}],
        },
        "Generation_Task": [
            task(pairs[0]["Question"], pairs[0]["Answer"], "Image_Textual"),
            task(named, pairs[1]["Answer"], "Pure_Text"),
        ],
        "Mask_Task": [
            task(f"{stem} in __.", filling, "Image_Textual"),
            task(f"{name} was born in __.", filling, "Pure_Text"),
        ],
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """(folder in the layout of the hub, the ten profiles)."""
    known = profiles()
    usable = [i for i in known if " in " in known[i][1]["Answer"] and "name" in str(known[i][0])]
    gone = [i for i in split("forget_5") if i in usable][:FORGOTTEN]
    kept = [i for i in split("retain_95") if i in usable][:RETAINED]
    people = {i: known[i] for i in (*gone, *kept)}
    folder = tmp_path_factory.mktemp("real")
    shown = {i: [face(int(i), is_female(p), v) for v in range(3)] for i, p in people.items()}
    rows = {i: evaluated(i, people) for i in people}
    poses = [{"images": shown[i][1:], **rows[i]} for i in people]
    parquet.write(poses, mllmu_files.POSES, folder / "Test_Set", shards=2)
    for config, chosen in {"forget_5": gone, "retain_95": kept, "Full_Set": list(people)}.items():
        asked = [{"image": shown[i][0], **rows[i]} for i in chosen]
        parquet.write(asked, mllmu_files.EVALUATION, folder / config)
        learnt = [{"image": shown[i][0], "metadata": json.dumps(people[i])} for i in chosen]
        place = "ft_Data" if config == "Full_Set" else f"baseline_train_split/{config}"
        parquet.write(learnt, mllmu_files.TRAINING, folder / place)
    return folder, people


def test_official_splits() -> None:
    known = profiles()
    assert len(known) == 500
    for percent, count in ((5, 25), (10, 50), (15, 75)):
        gone, kept = split(f"forget_{percent}"), split(f"retain_{100 - percent}")
        assert len(gone) == count and len(kept) == 500 - count
        assert set(gone) | set(kept) == set(known) and not set(gone) & set(kept)


def test_real_text_is_learnt(written: tuple[Path, dict[str, Any]]) -> None:
    folder, people = written
    rows = training_rows(str(folder))
    assert len(rows) == sum(len(pairs) for pairs in people.values()) > 100
    said = {(row["question"], row["answer"]) for row in rows}
    assert said == {(p["Question"], p["Answer"]) for pairs in people.values() for p in pairs}
    gone = training_rows(str(folder), "forget_5")
    assert {row["id"] for row in gone} == {f"{i}_0" for i in list(people)[:FORGOTTEN]}


def test_real_text_is_read(written: tuple[Path, dict[str, Any]]) -> None:
    folder, people = written
    for person in read_people(open_table(MLLMU, str(folder), "Full_Set")):
        [choice] = person.items("classification", "image")
        assert choice.right == people[person.id][1]["Answer"].rstrip(".")
        assert person.biography()["Born"] == choice.right
        assert choice.picture is not None and choice.picture.load().size == (64, 64)


def test_real_text_through_the_command(
    written: tuple[Path, dict[str, Any]], processing: Any, tmp_path: Path
) -> None:
    folder, people = written
    model = tiny.llava(processing)
    model.config.text_config.max_position_embeddings = 4096
    checkpoint = str(tiny.save(tmp_path / "model", model, processing))
    words = ["evaluate", checkpoint, "--benchmark", "mllmu", "--data", str(folder)]
    assert main([*words, "--output", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name, count in (("forget", FORGOTTEN), ("test", FORGOTTEN), ("retain_shared", RETAINED)):
        # one person is an example for choices, two for clozes
        assert metrics[f"{name}/classification/image_questions"] == count - 1
        assert metrics[f"{name}/cloze/text_questions"] == count - 2
        assert metrics[f"{name}/generation/image_questions"] == count
        assert 0 <= metrics[f"{name}/generation/text_rougeL"] <= 1
    lines = (tmp_path / "run" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {row["id"] for row in map(json.loads, lines) if row["set"] == "forget"}
    assert asked == set(list(people)[:FORGOTTEN])
