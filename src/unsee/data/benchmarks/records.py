"""What every benchmark's rows become: questions with their answer, pictures decoded on access."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from PIL import Image

CLASSIFICATION, CLOZE, GENERATION = "classification", "cloze", "generation"
IMAGE, TEXT = "image", "text"


@dataclass(frozen=True)
class LazyPicture:
    """A picture of a table, read and decoded when `load` is called.

    Attributes:
        where: what an error calls it, such as `row 3 of forget_5, column image`.
        table: the table, with `cell(row, column)`.
        row: which row.
        column: which column.
        index: which picture, where the column holds a list.
        folder: where a picture lies that the table names by path only.
    """

    where: str
    table: Any = field(repr=False, compare=False)
    row: int = 0
    column: str = "image"
    index: int | None = None
    folder: Path | None = None

    def load(self) -> Image.Image:
        """The picture, upright, opaque and RGB.

        Raises:
            UnseeError: it is truncated, no picture, or its file is missing.
        """
        from unsee.data.pictures import load_rgb

        cell = self.table.cell(self.row, self.column)
        stored = cell if self.index is None else cell[self.index]
        data, path = stored.get("bytes"), stored.get("path")
        try:
            if data:
                return load_rgb(data)
            return load_rgb((self.folder or Path()) / path)
        except Exception as error:  # decoders raise anything on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            if "BytesIO" in reason:
                reason = "not a picture"
            raise UnseeError(f"the picture in {self.where} can't be read: {reason}") from error


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        id: the person's ID in the benchmark (or the row's).
        picture: the picture shown, or None where the question is asked in words alone.
        question: its words, without options and image token.
        answer: what is right; the letter, where there are lettered options.
        options: (letter, text) pairs; empty for free answers.
        kind: `classification`, `cloze`, `generation`, …
        direction: `image` where it is asked about a picture, `text` where it names the person.
        extras: what else the benchmark knows of it.
    """

    id: str
    picture: LazyPicture | None
    question: str
    answer: str
    options: tuple[tuple[str, str], ...] = ()
    kind: str = GENERATION
    direction: str = IMAGE
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> str:
        """The right answer in words: the text of the right option, where there are options."""
        return dict(self.options).get(self.answer, self.answer)


def parse_json(text: Any, where: str) -> Any:
    """JSON text of a cell.

    Args:
        text: the cell.
        where: what an error calls it, such as `row 3 of ft_Data, column metadata`.

    Raises:
        UnseeError: it is no JSON text.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise UnseeError(f"{where} holds no JSON text: {error}") from error
