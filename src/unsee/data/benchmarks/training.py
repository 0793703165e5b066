"""Items of a benchmark as what a model is taught by, or is to forget or retain, by fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unsee.data.benchmarks.records import Item


@dataclass(frozen=True)
class ItemRows:
    """A map-style dataset of `{"image": PIL.Image | None, "question", "answer", "id"}`.

    A picture is decoded when its row is asked for; None stands for a question in words alone.

    Attributes:
        items: the questions.
    """

    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.items[index]
        return {
            "image": None if item.picture is None else item.picture.load(),
            "question": item.question,
            "answer": item.answer,
            "id": item.id,
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))
