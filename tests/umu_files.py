"""UMU-Bench as parquet files: every config, the true columns, text as JSON or as Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import parquet
from mllmu_files import CITIES, NAMES, city

COLUMNS = {
    "ID": parquet.TEXT,
    "image": parquet.PICTURE,
    **dict.fromkeys(
        ("Biography", "MM_QA", "UM_QA", "Classify", "Cloze", "Generation"), parquet.TEXT
    ),
}
SPLITS = {5: [1], 10: [1, 3], 15: [1, 3, 4]}
LETTERS = dict(zip("ABCD", CITIES, strict=True))


def person(number: int) -> dict[str, Any]:
    """A row; odd people's text is a Python literal, as the released code reads it."""
    name, home = NAMES[number % len(NAMES)], city(number)
    write = repr if number % 2 else lambda value: json.dumps(value, ensure_ascii=False)
    letter = "ABCD"[number % 4]

    def sides(shown: Any, named: Any) -> str:
        return write({"unimodal": {"city": named}, "muitimodal": {"city": shown}})

    def asked(question: str, answer: str, **more: Any) -> dict[str, Any]:
        return {"question": question, "answer": answer, **more}

    return {
        "ID": f"{number:03d}",
        "image": parquet.picture(number),
        "Biography": f"{name} lives in {home}.",
        "MM_QA": write({"question": {"city": "Which city?"}, "answer": {"city": home}}),
        "UM_QA": write({"question": {"city": f"{name}'s city?"}, "answer": {"city": home}}),
        "Classify": sides(
            asked("Which city?", f"{letter}. {home}", options=LETTERS),
            asked(f"Which city is {name} of?", letter, options=LETTERS),
        ),
        "Cloze": sides(
            asked("This person lives in __.", f"{home}."), asked(f"{name} lives in", f"{home}.")
        ),
        "Generation": sides(
            asked("Where is this?", f"The home is {home}."),
            asked(f"Where does {name} live?", f"{name} lives in {home}."),
        ),
    }


def write_umu(folder: Path, people: int = 6) -> Path:
    """Every config in the layout of the hub."""
    everybody = [person(n) for n in range(people)]
    parquet.write(everybody, COLUMNS, folder / "Full_Set")
    parquet.write(everybody[:2], COLUMNS, folder / "Real_Person_Set")
    for percent, gone in SPLITS.items():
        parquet.write([everybody[n] for n in gone], COLUMNS, folder / f"forget_{percent}")
        kept = [row for n, row in enumerate(everybody) if n not in gone]
        parquet.write(kept, COLUMNS, folder / f"retain_{100 - percent}")
    return folder
