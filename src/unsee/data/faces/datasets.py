"""Pictures of drawn people as map-style datasets, as trainers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.data.faces.facts import ATTRIBUTES
from unsee.data.records import PictureKey

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces


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


STRANGERS_FOR_UNLEARNING = range(splits.GENERAL.stop - 40, splits.GENERAL.stop)
"""General people who play the strangers that an unlearner may be given; the benchmark's own
strangers are for scoring alone."""
