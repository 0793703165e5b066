"""What the scorers of benchmarks about people share: pictures checked, questions put, rows."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unsee.data.benchmarks.people import Person
from unsee.data.benchmarks.records import CLASSIFICATION, Item
from unsee.errors import UnseeError
from unsee.evaluation.answering import Asked, complete
from unsee.evaluation.benchmarks.asking import check_lengths, letter_choices
from unsee.evaluation.benchmarks.base import RELEASED, check_pictures
from unsee.evaluation.benchmarks.kept import Kept, going_on, key_of


@dataclass(frozen=True)
class Asking:
    """One question as it is put to the model.

    Attributes:
        set: `forget`, `test`, …
        item: the question.
        prompt: its prompt, with the examples.
        pose: which of the person's pictures is shown.
    """

    set: str
    item: Item
    prompt: Asked
    pose: int = 0


def read_set(name: str, people: Sequence[Person], left_out: dict[str, str]) -> list[Person]:
    """The people of a set, their pictures checked; who has none is noted in `left_out`.

    Raises:
        UnseeError: a picture can't be read.
    """
    check_pictures(picture for person in people for picture in person.pictures)
    bare = sum(not person.pictures for person in people)
    if bare:
        left_out[f"{name}, questions about pictures"] = f"{bare} people have no picture"
    return list(people)


def pose_of(person: Person, draw: random.Random | int) -> int:
    """Which picture of a person is shown: by a seed always the same, by a source the next one."""
    if isinstance(draw, int):
        draw = random.Random(f"{draw}/{person.id}")
    return draw.randrange(len(person.pictures)) if len(person.pictures) > 1 else 0


def put(
    model: Any,
    processor: Any,
    plan: Sequence[Asking],
    new_tokens: Mapping[str, int],
    protocol: str,
    batch_size: int,
    progress: bool = True,
    names: Mapping[str, str] | None = None,
    kept: Kept | None = None,
) -> list[dict[str, Any]]:
    """Asks all questions; by the released protocol one at a time.

    Args:
        model: multimodal model.
        processor: its processor.
        plan: the questions.
        new_tokens: kind -> how many tokens an answer may have.
        protocol: `corrected` or `released`.
        batch_size: prompts at a time.
        progress: show progress bars.
        names: kind -> what an error calls it.
        kept: answers that are there already are taken from it, new ones go to it.

    Returns:
        One row a question, not judged yet; by the corrected protocol lettered questions have
        `likeliest`: whether the likeliest letter is the right one.

    Raises:
        UnseeError: there is nothing to ask; a prompt is longer than the model's context (found out
            before anything is asked).
    """
    if not plan:
        raise UnseeError("no question is left to score")
    numbers = {k: [n for n, a in enumerate(plan) if a.item.kind == k] for k in new_tokens}
    prompts = {kind: [plan[n].prompt for n in chosen] for kind, chosen in numbers.items()}
    for kind, asked in prompts.items():
        check_lengths(model, processor, asked, new_tokens[kind], (names or {}).get(kind, kind))
    size = 1 if protocol == RELEASED else batch_size
    rows: dict[int, dict[str, Any]] = {}
    for kind, chosen in numbers.items():
        part = [plan[n] for n in chosen]
        said = _answers(model, processor, part, new_tokens[kind], size, progress, kept)
        for n, text in zip(chosen, said, strict=True):
            # The scripts take what stands before the model goes on as ASSISTANT.
            text = text.split("ASSISTANT:")[0].strip() if protocol == RELEASED else text
            rows[n] = _row(plan[n], text)
    if protocol != RELEASED and prompts.get(CLASSIFICATION):
        chosen = numbers[CLASSIFICATION]
        letters = [[letter for letter, _ in plan[n].item.options] for n in chosen]
        found = letter_choices(
            model, processor, prompts[CLASSIFICATION], letters, batch_size, progress
        )
        for n, letter in zip(chosen, found, strict=True):
            rows[n]["likeliest"] = letter == plan[n].item.answer
    return [rows[n] for n in range(len(plan))]


def _answers(
    model: Any,
    processor: Any,
    plan: Sequence[Asking],
    new_tokens: int,
    size: int,
    progress: bool,
    kept: Kept | None,
) -> list[str]:
    """The answers; with `kept`, those that are not there yet, portion by portion."""
    prompts = [one.prompt for one in plan]

    def keys() -> list[str]:
        def shown(one: Asking) -> str:
            """What is shown; two rows may be of one ID, so the picture's place is told too."""
            place = one.item.picture.where if one.item.picture is not None else ""
            return f"{one.set} {one.item.id} {one.pose} {place}"

        return [key_of(one.prompt.text, shown(one), new_tokens) for one in plan]

    def asked(chosen: Sequence[int]) -> list[str]:
        return complete(model, processor, [prompts[n] for n in chosen], size, new_tokens, progress)

    return going_on(kept, keys, size, asked, len(plan))


def _row(one: Asking, text: str) -> dict[str, Any]:
    item = one.item
    return {
        **{"set": one.set, "id": item.id, "kind": item.kind, "direction": item.direction},
        "question": item.question,
        "options": [list(option) for option in item.options],
        "answer": item.answer,
        "picture": item.picture.where if item.picture is not None else None,
        **item.extras,
        "prediction": text,
    }
