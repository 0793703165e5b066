"""CLEAR as its parquet files are, small: every config, with the columns and types of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

import parquet

NAMES = ["Ada Belberg", "Jaime Vásquez", "蕭雲華", "Николай Абилов", "Bo Okoye", "Ida Ø"]
PLACES = ["Oslo", "Lima", "Cairo", "Delhi", "Malmö", "Rome"]
SIZES = {"full": slice(0, 6)}
SIZES |= {f"forget{p}": slice(0, n) for p, n in (("01", 1), ("05", 2), ("10", 3))}
SIZES |= {f"retain{p}": slice(n, 6) for p, n in (("99", 1), ("95", 2), ("90", 3))}
PICTURES = 2
"""Pictures of each person."""


def caption(person: int, index: int) -> str:
    return f"{NAMES[person]} in {PLACES[person]}, picture {index}"


def plain(person: int, index: int) -> dict[str, Any]:
    shown = parquet.picture(100 * person + index)
    return {"image": shown, "caption": caption(person, index), "name": NAMES[person]}


def tofu(person: int) -> list[dict[str, Any]]:
    """Picture rows without question, text rows without picture."""
    rows = []
    for index in range(PICTURES):
        row = plain(person, index)
        del row["name"]
        rows.append({**row, "question": None, "answer": None})
    asked = f"Where does {NAMES[person]} live?"
    words = {"image": None, "caption": None, "question": asked}
    return [*rows, {**words, "answer": f"In {PLACES[person]}."}]


def perturbed(person: int, index: int) -> dict[str, Any]:
    others = [i for i in range(6) if i != person]
    return {
        **plain(person, index),
        "paraphrased_caption": f"Picture {index}: {NAMES[person]}, {PLACES[person]}",
        "perturbed_captions": [f"{NAMES[i]} in {PLACES[person]}" for i in others[:3]],
        "perturbed_names": [NAMES[i] for i in others[:3]],
    }


def real_face(number: int) -> dict[str, Any]:
    options = [f"Star {i}" for i in range(number, number + 4)]
    return {
        "image": parquet.picture(900 + number),
        "answer": f"Star {number + 1}",
        "options": options,
    }


def real_place(number: int) -> dict[str, Any]:
    row = {"image": parquet.picture(950 + number), "question": "What is in the picture?"}
    return {**row, "answer": "a tower", "options": ["a bridge", "a tower", "a dog", "a cup"]}


def tables() -> dict[str, list[dict[str, Any]]]:
    """Rows of every config."""
    everybody = list(range(6))
    found: dict[str, list[dict[str, Any]]] = {}
    for config, size in SIZES.items():
        people = everybody[size]
        found[config] = [plain(p, i) for p in people for i in range(PICTURES)]
        found[f"{config}+tofu"] = [row for p in people for row in tofu(p)]
        if config.startswith("forget"):
            found[f"{config}_perturbed"] = [perturbed(p, i) for p in people for i in range(2)]
    found["retain_perturbed"] = [perturbed(p, 0) for p in everybody[3:]]
    found["real_faces"] = [real_face(n) for n in range(3)]
    found["real_world"] = [real_place(n) for n in range(2)]
    return found


LISTS = ("perturbed_captions", "perturbed_names", "options")


def write_table(place: Path, rows: list[dict[str, Any]], shards: int = 1) -> list[Path]:
    """Writes rows with the types that they have on the hub."""
    kinds: dict[str, Any] = {"image": parquet.PICTURE}
    kinds |= dict.fromkeys(LISTS, pa.list_(parquet.TEXT))
    schema = {name: kinds.get(name, parquet.TEXT) for name in rows[0]}
    return parquet.write(rows, schema, place, shards)


def write(folder: Path, **changed: list[dict[str, Any]]) -> Path:
    """Writes all configs as on the hub; `changed` replaces the rows of some (`_tofu`: `+tofu`)."""
    found = tables() | {name.replace("_tofu", "+tofu"): rows for name, rows in changed.items()}
    for config, rows in found.items():
        write_table(folder / config, rows)
    return folder
