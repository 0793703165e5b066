"""People of the benchmarks that describe people: pictures, and three kinds of questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unsee.data.benchmarks.records import TEXT, Item, LazyPicture
from unsee.data.benchmarks.tables import Table
from unsee.errors import UnseeError


@dataclass(frozen=True)
class Person:
    """One row of an evaluation config.

    Attributes:
        id: the benchmark's ID, such as `093`.
        pictures: one; in MLLMU-Bench's Test_Set all poses; empty where the row has none.
        questions: all of the person's questions, without picture.
        table: where the row is.
        row: which row.
    """

    id: str
    pictures: tuple[LazyPicture, ...]
    questions: tuple[Item, ...] = field(repr=False)
    table: Table = field(repr=False, compare=False)
    row: int = field(compare=False)

    def items(self, kind: str, direction: str, pose: int = 0) -> list[Item]:
        """The person's questions of a kind, those about the picture with the picture.

        Args:
            kind: `classification`, `cloze` or `generation`.
            direction: `image` or `text`.
            pose: which of the pictures.

        Returns:
            The questions in their order; none about a picture that there is not.
        """
        chosen = [q for q in self.questions if q.kind == kind and q.direction == direction]
        if direction == TEXT:
            return chosen
        if not self.pictures:
            return []
        return [replace(q, picture=self.pictures[pose]) for q in chosen]

    def biography(self) -> dict[str, Any]:
        """The biography by heading; the colons that its keys carry are taken off.

        Raises:
            UnseeError: it is no JSON text.
        """
        column = next(c for c in self.table.columns if c.lower() == "biography")
        found = self.table.json(self.row, column)
        if not isinstance(found, Mapping):
            raise UnseeError(f"{self.table.where(self.row, column)} holds no JSON object")
        return {str(key).strip().rstrip(":").strip(): value for key, value in found.items()}


def identity(table: Table, row: int, read: Mapping[str, Any]) -> str:
    """The ID of a row that was read.

    Raises:
        UnseeError: it has none.
    """
    if read["ID"] is None or not str(read["ID"]).strip():
        raise UnseeError(f"{table.where(row)} has no ID")
    return str(read["ID"])


def picture_to_learn(table: Table, row: int, value: Any) -> LazyPicture:
    """The picture of a training row.

    Raises:
        UnseeError: it has none.
    """
    if value is None:
        raise UnseeError(f"{table.where(row)} has no picture")
    return value
