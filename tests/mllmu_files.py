"""MLLMU-Bench and UMU-Bench as parquet files: every config, the true columns, awkward rows too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

import parquet

TEXT = parquet.TEXT
CHOICE = pa.struct(
    {
        "Correct_Answer": TEXT,
        "Options": pa.struct(dict.fromkeys("ABCD", TEXT)),
        "Question": TEXT,
    }
)
TASK = pa.list_(pa.struct({"Ground_Truth": TEXT, "Question": TEXT, "Type": TEXT}))
COLUMNS = {
    **dict.fromkeys(("ID", "Directory", "biography", "question", "answer"), TEXT),
    "Classification_Task": pa.struct(
        {
            "Image_Textual_Questions": pa.list_(CHOICE),
            "Pure_Text_Questions": pa.list_(CHOICE),
        }
    ),
    "Generation_Task": TASK,
    "Mask_Task": TASK,
}
EVALUATION = {"image": parquet.PICTURE, **COLUMNS}
POSES = {"images": pa.list_(parquet.PICTURE), **COLUMNS}
TRAINING = {"image": parquet.PICTURE, "metadata": TEXT}

NAMES = ["Ada Belberg", "Søren Ångström", "李小龙", "Зоя Иванова", "محمد علي", "Bo Ek"]
CITIES = ["Oslo", "Malmö", "Lima", "Cairo"]
IMAGE, WORDS = "Image_Textual", "Pure_Text"
PEOPLE = 6
SPLITS = {5: ["001"], 10: ["001", "003"], 15: ["001", "003", "004"]}


def city(number: int) -> str:
    return CITIES[number % len(CITIES)]


def choice(number: int, question: str) -> dict[str, Any]:
    letters = dict(zip("ABCD", CITIES, strict=True))
    return {"Correct_Answer": "ABCD"[number % 4], "Options": letters, "Question": question}


def task(question: str, truth: str, kind: str) -> dict[str, str]:
    return {"Ground_Truth": truth, "Question": question, "Type": kind}


def person(number: int, celebrity: bool = False) -> dict[str, Any]:
    """A row without its picture: two questions of a kind about the picture, one in words."""
    name, home = NAMES[number % len(NAMES)], city(number)
    return {
        "ID": f"{number:03d}" if not celebrity else f"c{number}",
        "Directory": f"folder_{number}",
        "biography": json.dumps({"Name:": name, "City: ": home, "Born": ": 1990"}),
        "question": "Who is this?",
        "answer": name,
        "Classification_Task": {
            "Image_Textual_Questions": [
                choice(number, "Which city?"),
                choice(number, "Where does this person live?"),
            ],
            "Pure_Text_Questions": [choice(number, f"Which city is {name} of?")],
        },
        "Generation_Task": [
            task("Who is this?", f"This is {name}.", IMAGE),
            task("Where is the home of this person?", f"The person lives in {home}.", IMAGE),
            task(f"Where does {name} live?", f"{name} lives in {home}.", WORDS),
        ],
        "Mask_Task": [
            task("This person lives in __.", home, IMAGE),
            task("The name of this person is ____.", name, IMAGE),
            task(f"{name} lives in __.", home, WORDS),
        ],
    }


def evaluated(numbers: list[int], celebrity: bool = False) -> list[dict[str, Any]]:
    return [{"image": parquet.picture(n), **person(n, celebrity)} for n in numbers]


def posed(numbers: list[int]) -> list[dict[str, Any]]:
    """Test_Set: everybody in other poses; person 1 in two, person 3 in three."""
    poses = {1: 2, 3: 3}
    return [
        {"images": [parquet.picture(100 * n + p) for p in range(poses.get(n, 1))], **person(n)}
        for n in numbers
    ]


def learnt(numbers: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "image": parquet.picture(n),
            "metadata": json.dumps(
                [
                    {"Question": "Who is this?", "Answer": NAMES[n % len(NAMES)]},
                    {"Question": "Which city?", "Answer": city(n)},
                ]
            ),
        }
        for n in numbers
    ]


def write_mllmu(folder: Path, people: int = PEOPLE) -> Path:
    """Every config in the layout of the hub, and the training folders beside them."""
    everybody = list(range(people))
    write = parquet.write
    write(evaluated(everybody), EVALUATION, folder / "Full_Set")
    write(posed(everybody), POSES, folder / "Test_Set", shards=2)
    write(evaluated([0, 1, 2], celebrity=True), EVALUATION, folder / "Retain_Set")
    write(learnt(everybody), TRAINING, folder / "ft_Data")
    for percent, ids in SPLITS.items():
        gone = [int(i) for i in ids]
        kept = [n for n in everybody if n not in gone]
        for name, numbers in ((f"forget_{percent}", gone), (f"retain_{100 - percent}", kept)):
            write(evaluated(numbers), EVALUATION, folder / name)
            write(learnt(numbers), TRAINING, folder / "baseline_train_split" / name)
    return folder
