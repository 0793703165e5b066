"""Several people in a picture: what forgetting one of them does to the others.

    python -m unsee.studies.several_people MODELS docs/results/several_people.json

`MODELS` is a folder with `seed0/vanilla`, such as the shipped `src/unsee/models/shipped`. Each of
the demo's people stands beside a companion, somebody to be kept, in one picture. VKD forgets the
people from pictures

- `alone`: of them alone,
- `whole`: of both, as they are,
- `boxed`: of both, with a crop box around the one to forget,

and the last two once more where nobody has pictures of the companions to retain (`unknown`). Then
it is asked about test pictures of everybody alone, about either one in pictures of both by crop
box, and about pictures of both as they are, where an answer may be what is true of the one or of
the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsee.data.faces import splits
from unsee.data.faces.facts import ATTRIBUTES
from unsee.data.pixels import shown
from unsee.data.records import PictureKey, Question
from unsee.evaluation.metrics import abstains, normal
from unsee.methods.config import own_options
from unsee.methods.vkd_config import VKDConfig
from unsee.studies import trial
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

COMPANIONS = range(80, 85)
"""Who stands beside each of the five; they resemble nobody in particular."""
OTHERS = range(85, 90)
"""Retained people who are in no picture with anybody."""
GIVEN = ("alone", "whole", "boxed", "whole, unknown", "boxed, unknown")
"""Which pictures the unlearner is given of the people to forget."""
STEPS = 200
"""Steps of each unlearning: a third of VKD's default, for the study is a small one."""
PICTURES = 10
"""Test pictures of each person, or of both."""


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures of S x S as one of 2S x 2S, the space above and below filled by their edges.

    Args:
        left: uint8 [S, S, 3].
        right: the same.
    """
    both = np.concatenate([left, right], axis=1)
    above = len(left) // 2
    return np.pad(both, ((above, len(left) - above), (0, 0), (0, 0)), mode="edge")


def box_of(side: int, size: int) -> tuple[int, int, int, int]:
    """Crop box of the left (0) or right (1) person in a picture of `side_by_side`."""
    return side * size, size // 2, (side + 1) * size, size // 2 + size


def together(faces: Faces, pair: tuple[int, int], renders: str, index: int) -> dict[str, Any]:
    """A picture of both with the boxes of the first and the second, who change sides.

    Returns:
        `image` uint8 [2S, 2S, 3], `boxes`.
    """
    side = index % 2
    pictures = [faces.pictures(person, renders)[index] for person in pair]
    image = side_by_side(*(pictures[::-1] if side else pictures))
    return {"image": image, "boxes": (box_of(side, faces.size), box_of(1 - side, faces.size))}


def to_forget(faces: Faces, pairs: Sequence[tuple[int, int]], boxed: bool) -> list[dict[str, Any]]:
    """Pictures of both for the unlearner; `boxed`: with a box around the first."""
    items = []
    for pair in pairs:
        for index in range(splits.PICTURES["unlearn"]):
            found = together(faces, pair, "unlearn", index)
            item = {"image": found["image"], "person": pair[0]}
            items.append({**item, "crop": found["boxes"][0]} if boxed else item)
    return items


def questions_about(
    faces: Faces, pairs: Sequence[tuple[int, int]], others: Sequence[int]
) -> list[tuple[str, Any, Question, str]]:
    """(group, picture, question, what is true of who stands beside) of all that is asked."""
    asked: list[tuple[str, Any, Question, str]] = []

    def ask(group: str, person: int, index: int, picture: Any, beside: int | None = None) -> None:
        key = PictureKey(person, "test", index)
        for number, attribute in enumerate(ATTRIBUTES):
            question = faces.private(key, group, attribute, index + number)
            other = "" if beside is None else faces.facts[beside][attribute]
            if normal(other) != normal(question.answer):  # who is meant has to be clear
                asked.append((group, picture, question, other))

    for index in range(min(PICTURES, splits.PICTURES["test"])):
        for first, second in pairs:
            both = together(faces, (first, second), "test", index)
            boxes = [shown({"image": both["image"], "crop": box}) for box in both["boxes"]]
            ask("forgotten", first, index, faces.picture(PictureKey(first, "test", index)))
            ask("companion", second, index, faces.picture(PictureKey(second, "test", index)))
            ask("forgotten, boxed", first, index, boxes[0])
            ask("companion, boxed", second, index, boxes[1])
            ask("both", first, index, both["image"], second)
        for person in others:
            ask("others", person, index, faces.picture(PictureKey(person, "test", index)))
    return asked


def measured(
    model: Any, processor: Any, asked: Sequence[tuple[str, Any, Question, str]]
) -> dict[str, Any]:
    """Shares of answers, in [0, 1], and how many questions there are of each group.

    Returns:
        `GROUP/accuracy` of everybody whom a picture shows alone; of pictures of both
        `both/forgotten`, `both/companion` (what is true of that one) and `both/abstain`.
    """
    from unsee.evaluation.answering import answer

    pictures = {PictureKey(0, "shown", i): picture for i, (_, picture, _, _) in enumerate(asked)}
    keyed = [replace(q, picture=k) for k, (_, _, q, _) in zip(pictures, asked, strict=True)]
    said = answer(model, processor, keyed, pictures.__getitem__, progress=False)
    found: dict[str, list[bool]] = {}
    for (group, _, question, other), text in zip(asked, said, strict=True):
        right = normal(text) == normal(question.answer)
        if group == "both":
            found.setdefault("both/forgotten", []).append(right)
            found.setdefault("both/companion", []).append(normal(text) == normal(other))
            found.setdefault("both/abstain", []).append(abstains(text))
        else:
            found.setdefault(f"{group}/accuracy", []).append(right)
    shares: Mapping[str, Any] = {key: round(float(np.mean(v)), 4) for key, v in found.items()}
    return {**shares, "questions": {key: len(values) for key, values in found.items()}}


def several_people(
    models: Path, output: Path, faces: Faces, seed: int = 0, **options: Any
) -> Ledger:
    """Unlearns from each kind of pictures that is missing from the result file.

    Rows hold `given` (`before` is the model before) and what `measured` returns.
    """
    from unsee.checkpoints import load

    split = splits.make_split("demo", seed)
    pairs = list(zip(split.forget, COMPANIONS, strict=False))
    (source,) = trial.models_of(models, seed, "vanilla")
    about: dict[str, Any] = {"study": "several people", "people": "demo", "pictures": "test"}
    about |= {"pairs": [list(pair) for pair in pairs]}
    about |= {"vkd": own_options(VKDConfig(output_dir="", **options))}
    ledger = Ledger(output, about, ("given", "seed"))
    checkpoint = ledger.same_model("vanilla", source, seed=seed)
    asked = questions_about(faces, pairs, OTHERS)

    def add(given: str, model: Any, processor: Any) -> None:
        row = {"given": given, "seed": seed, "checkpoint": checkpoint}
        ledger.add({**row, **measured(model, processor, asked)})
        print(f"{given}: companions {ledger.rows[-1]['companion/accuracy']:.1%}", flush=True)

    if not ledger.find(given="before", seed=seed):
        add("before", *load(source))
    for given in GIVEN:
        if ledger.find(given=given, seed=seed):
            continue
        pictures = None
        if given != "alone":
            pictures = to_forget(faces, pairs, given.startswith("boxed"))
        kept = split
        if given.endswith("unknown"):
            kept = replace(split, retain=tuple(p for p in split.retain if p not in COMPANIONS))
        model, _, _, processor = trial.train(source, "vkd", options, faces, kept, forget=pictures)
        add(given, model, processor)
    return ledger


def _main(models: str, output: str) -> None:
    from unsee.data.faces.benchmark import Faces

    several_people(Path(models), Path(output), Faces(), max_steps=STEPS)


if __name__ == "__main__":
    command(__doc__, 2, _main)
