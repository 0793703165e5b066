"""Pictures that were read, as datasets that decode on access.

`data/pictures.py` and `data/own.py` make them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.pixels import Box, load_rgb, reason_of
from unsee.errors import UnseeError

if TYPE_CHECKING:
    from PIL import Image

WARNINGS = 20
"""Pictures that are named one by one, when many are left out."""


@dataclass(frozen=True)
class Shot:
    """One picture of a set, not decoded.

    Attributes:
        path: its file; for a picture inside a data set, what it is called in messages.
        source: where its bytes come from.
        person: who is on it, None if nobody says so.
        crop: the part of the upright picture that counts; None: all of it.
        asked: questions about it with their answers.
        unanswered: questions about it without an answer.
        where: the line that names it, `facts.jsonl:3`, where a file lists the pictures.
        digest: hash of its RGB pixels, those within the crop box.
        look: see `data/looks.py`.
        format: `JPEG`, `PNG`, …
        size: width and height, within the crop box and at most `LARGEST`.
    """

    path: Path
    source: Path | Callable[[], bytes | Path]
    person: str | None = None
    crop: Box | None = None
    asked: tuple[tuple[str, str], ...] = ()
    unanswered: tuple[str, ...] = ()
    where: Path | None = None
    digest: str = ""
    look: bytes = b""
    format: str = ""
    size: tuple[int, int] = (0, 0)

    def load(self) -> Image.Image:
        """The picture, RGB; raises whatever decoders raise."""
        return load_rgb(self.stored(), self.crop)

    def stored(self) -> bytes | Path:
        """Its bytes or its file, as they are stored."""
        return self.source if isinstance(self.source, Path) else self.source()


@dataclass(frozen=True)
class PictureSet:
    """The readable pictures of a folder or a file, as a map-style dataset that decodes on access.

    Items are `{"image": PIL.Image, "path": str, "person": str | None}`, one a picture, cut to its
    crop box; see `with_questions` for items that hold a question and an answer.

    Attributes:
        folder: the folder or file that was read.
        shots: the pictures.
        broken: what should be a picture and cannot be read, each with the reason.
        ignored: how many files of each other suffix were passed over.
        in_words: (person, question, answer) of questions without a picture, where these are
            wanted.
    """

    folder: Path
    shots: list[Shot]
    broken: list[tuple[Path, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    in_words: list[tuple[str | None, str, str]] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Where the pictures are."""
        return [shot.path for shot in self.shots]

    @property
    def people(self) -> list[str | None]:
        """Who is on each picture."""
        return [shot.person for shot in self.shots]

    @property
    def digests(self) -> list[str]:
        """A hash of the RGB pixels of each picture."""
        return [shot.digest for shot in self.shots]

    def __len__(self) -> int:
        return len(self.shots)

    def __getitem__(self, index: int) -> dict[str, Any]:
        shot = self.shots[index]
        try:
            image = shot.load()
        except Exception as error:
            raise UnseeError(f"{shot.path} can no longer be read: {reason_of(error)}") from error
        return {"image": image, "path": str(shot.path), "person": shot.person}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def with_questions(self) -> AskedSet:
        """The same pictures with the questions about them, an item a question.

        Raises:
            UnseeError: a picture has no question with an answer.
        """
        bare = [shot for shot in self.shots if not shot.asked]
        if bare:
            count = "none" if len(bare) == len(self) else f"not all (as {bare[0].path})"
            raise UnseeError(
                f"of the {len(self)} pictures in {self.folder} {count} have a `question` and an "
                "`answer`"
            )
        return AskedSet(self)

    def warnings(self) -> list[str]:
        """One line for each picture that was left out; one for all files of other kinds."""
        lines = [f"left out {path}: {reason}" for path, reason in self.broken]
        if len(lines) > WARNINGS:
            more = len(lines) - WARNINGS
            lines[WARNINGS:] = [f"left out {more} more: `unsee data check {self.folder}` lists all"]
        if self.ignored:
            lines.append(f"ignored in {self.folder}: {tally(self.ignored)} (unknown as pictures)")
        return lines


class AskedSet:
    """Pictures with a question and its answer, as a map-style dataset that decodes on access.

    Items are those of the set with `question` and `answer`, one for every question.

    Args:
        pictures: every one of them with a question at least.
    """

    def __init__(self, pictures: PictureSet) -> None:
        self.pictures = pictures
        self.pairs = [
            (index, pair) for index, shot in enumerate(pictures.shots) for pair in shot.asked
        ]

    @property
    def digests(self) -> list[str]:
        """A hash of pixels, question and answer of each item."""
        return [f"{self.pictures.shots[i].digest}{q}\n{a}\n" for i, (q, a) in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        picture, (question, answer) = self.pairs[index]
        return {**self.pictures[picture], "question": question, "answer": answer}


def tally(counts: Counter[str]) -> str:
    """`3 .txt, 1 .heic`: the most frequent four."""
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))
