"""Pictures of drawn people as map-style datasets, as trainers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.data.faces.facts import ATTRIBUTES, VALUES
from unsee.data.records import PictureKey, Question

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

TEXT_FOR_UNLEARNING, TEXT_HELD_OUT = range(2), range(2, 4)
"""Phrasings of questions in words that an unlearner is given, and those that measure drift."""


class PicturesOf:
    """Pictures of some people, with or without a question about each.

    Args:
        faces: the embedded benchmark.
        people: whose pictures.
        renders: the split of renders, such as `unlearn` or `train`.
        count: pictures of each person.
        questions: add `question` and `answer`, a private fact; each picture is asked about another
            attribute than the one before. Else `image` and `person` alone.
    """

    def __init__(
        self,
        faces: Faces,
        people: Sequence[int],
        renders: str,
        count: int,
        questions: bool = False,
    ) -> None:
        self.items: list[dict[str, Any]] = []
        faces.prepare([(person, renders) for person in people])
        for person in people:
            for index, picture in enumerate(faces.pictures(person, renders)[:count]):
                item = {"image": picture, "person": person}
                if questions:
                    key = PictureKey(person, renders, index)
                    attribute = ATTRIBUTES[(person + index) % len(ATTRIBUTES)]
                    asked = faces.private(key, "", attribute, index // len(ATTRIBUTES))
                    item |= {"question": asked.question, "answer": asked.answer}
                self.items.append(item)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


class WordsOf:
    """Facts of some people asked by name, without pictures; items as those of `PicturesOf`.

    Args:
        faces: the embedded benchmark.
        people: whose facts; they need names.
        phrasings: numbers of the phrasings of each question.
    """

    def __init__(
        self, faces: Faces, people: Sequence[int], phrasings: Sequence[int] = TEXT_FOR_UNLEARNING
    ) -> None:
        self.items = [
            {"image": None, "person": person, "question": q.question, "answer": q.answer}
            for person in people
            for attribute in VALUES
            for q in (faces.in_words(person, "", attribute, number) for number in phrasings)
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def held_out_words(faces: Faces, people: Sequence[int]) -> list[Question]:
    """Questions in words that no unlearner was given: other phrasings, and text-only people."""
    asked = dict.fromkeys(people, TEXT_HELD_OUT)
    asked |= dict.fromkeys(splits.TEXT_ONLY, range(4))
    return [
        faces.in_words(person, "", attribute, number)
        for person, phrasings in asked.items()
        for attribute in VALUES
        for number in phrasings
    ]


STRANGERS_FOR_UNLEARNING = range(splits.GENERAL.stop - 40, splits.GENERAL.stop)
"""General people who play the strangers that an unlearner may be given; the benchmark's own
strangers are for scoring alone."""
