"""The user's own data, in whichever form it comes, as one `PictureSet`.

    him/                     a folder of pictures; a sub-folder is a person
    him/metadata.jsonl       the same with questions, people, crop boxes: `datasets`' imagefolder
    facts.jsonl              {"image", "question", "answer"} a line; .json and .csv too
    llava.json               conversations as LLaVA is trained on
    saved/  people.parquet   a `datasets` data set; `owner/name` on the hub

docs/own-pictures.md shows an example of each.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unsee.data import rows, stored
from unsee.data.pictures import examined, files_below, person_in, read_pictures, sorted_files
from unsee.data.shots import PictureSet, Shot
from unsee.errors import UnseeError

METADATA = ("metadata.jsonl", "metadata.csv")
Broken = list[tuple[Path, str]]


def read_own(
    source: str | os.PathLike[str], may_be_empty: bool = False, words_too: bool = False
) -> PictureSet:
    """Reads pictures to forget, to keep or to learn, in any form.

    Args:
        source: a folder, a file, or the name of a data set on the hub; data sets with several
            splits as `source:split`.
        may_be_empty: return the empty set where no picture can be used, to tell what is broken.
        words_too: rows without a picture are questions in words (`in_words`), not broken ones.

    Returns:
        The pictures that can be used; the others are named in `broken`, with their lines.

    Raises:
        UnseeError: there is no such thing, it is of no known form, or no picture can be used.
    """
    reading = _Reading(may_be_empty, words_too)
    path, name = Path(source), os.fspath(source)
    if os.path.isdir(path):  # unlike `Path.is_dir`, false for what can be no name
        return reading.folder(path)
    if os.path.isfile(path):
        if path.suffix.lower() in rows.SUFFIXES:
            return reading.listed(path)
        if path.suffix.lower() == ".parquet":
            return reading.stored(stored.open_stored(name, [path]), path, path.parent)
        raise UnseeError(
            f"{path} is a file: give the folder that holds the pictures, or a file that lists "
            f"them ({', '.join(rows.SUFFIXES)}, .parquet)"
        )
    base = Path(name.split(":")[0])
    if os.path.isdir(base) and stored.is_saved(base):
        return reading.stored(stored.open_stored(name), path, base)
    # A mistyped path is not to be sent to the hub.
    if stored.HUB_NAME.fullmatch(name) and not os.path.exists(base.parts[0]):
        return reading.stored(stored.open_stored(name), path, Path())
    raise UnseeError(f"there is no folder {path}")


class _Reading:
    """One call of `read_own`."""

    def __init__(self, may_be_empty: bool, words_too: bool) -> None:
        self.may_be_empty = may_be_empty
        self.words_too = words_too
        self.broken: Broken = []
        self.in_words: list[tuple[str | None, str, str]] = []

    def folder(self, root: Path) -> PictureSet:
        if stored.is_saved(root):
            return self.stored(stored.open_stored(str(root)), root, root)
        files = files_below(root, self.broken)
        candidates, ignored = sorted_files(root, [])
        lists = [path for path in files if path.name in METADATA]
        tables = [path for path in files if path.suffix.lower() == ".parquet"]
        if not candidates and not lists:
            if tables:
                return self.stored(stored.open_stored(str(root), tables), root, root)
            others = [path for path in files if path.suffix.lower() in rows.SUFFIXES]
            if others:
                raise UnseeError(f"{root} holds no picture, but {others[0]}: give that file")
        if not lists:
            return read_pictures(root, self.may_be_empty)
        shots: list[Shot] = []
        named: set[str] = set()
        for path in lists:
            shots += self._shots_of(path, root, named)
            ignored[path.suffix.lower()] -= 1
        bare = [path for path in candidates if os.path.normpath(path) not in named]
        shots += [Shot(path, path, person_in(root, path)) for path in bare]
        shots.sort(key=lambda shot: shot.path)
        return self._set(root, shots, +ignored)

    def listed(self, path: Path) -> PictureSet:
        shots = self._shots_of(path)
        if not shots and not self.broken and not self.in_words:
            raise UnseeError(f"{path} lists no picture: it is empty")
        return self._set(path, shots)

    def stored(self, dataset: Any, name: Path, folder: Path) -> PictureSet:
        shots = []
        for number, fields in stored.stored_rows(dataset, folder):
            where = Path(f"{name}: row {number}")
            try:
                fields = _without_nothing(fields)
                if self.words_too and fields["image"].is_nothing():
                    spoken = rows.in_words({k: v for k, v in fields.items() if k != "image"})
                    if spoken is not None:
                        self.in_words += [(spoken.person, *pair) for pair in spoken.asked]
                        continue
                row = rows.understood(fields)
            except ValueError as error:
                self.broken.append((where, str(error)))
                continue
            shots.append(
                Shot(where, row.image, row.person, row.crop, row.asked, row.unanswered, where)
            )
        return self._set(name, shots)

    def _set(
        self, root: Path, shots: list[Shot], ignored: Counter[str] | None = None
    ) -> PictureSet:
        if self.in_words and not shots:
            return PictureSet(root, [], self.broken, ignored or Counter(), self.in_words)
        found = examined(root, shots, self.broken, ignored, self.may_be_empty)
        return replace(found, in_words=self.in_words)

    def _shots_of(
        self, path: Path, root: Path | None = None, named: set[str] | None = None
    ) -> list[Shot]:
        """The pictures that a file lists; within `root`, who is not named is who the folder is.
        Files that it names go into `named`, those of rows that can't be used too."""
        found = []
        for line, fields in rows.read_rows(path):
            where = Path(f"{path}:{line}")
            try:
                if isinstance(fields, ValueError):
                    raise fields
                spoken = rows.in_words(fields) if self.words_too else None
                if spoken is not None:
                    self.in_words += [(spoken.person, *pair) for pair in spoken.asked]
                    continue
                file = rows.file_of(rows.image_of(fields), path.parent)
                if named is not None:
                    named.add(os.path.normpath(file))
                row = rows.understood(fields)
            except ValueError as error:
                self.broken.append((where, str(error)))
                continue
            inside = root is not None and file.is_relative_to(root)
            person = row.person or (person_in(root, file) if root and inside else None)
            found.append(
                Shot(file, file, person, row.crop, row.asked, row.unanswered, where),
            )
        return _merged(found, self.broken)


def _merged(shots: Iterable[Shot], broken: Broken) -> list[Shot]:
    """Rows about the same part of the same picture as one, with all their questions."""
    kept: dict[tuple[Any, ...], Shot] = {}
    for shot in shots:
        key = (os.path.normpath(shot.path), shot.crop)
        first = kept.setdefault(key, shot)
        if first is shot:
            continue
        if None not in (first.person, shot.person) and first.person != shot.person:
            said = f"{shot.path} is {shot.person} here, and {first.person} in {first.where}"
            broken.append((shot.where or shot.path, f"{said}: give each a `crop`"))
            continue
        kept[key] = replace(
            first,
            person=first.person or shot.person,
            asked=tuple(dict.fromkeys((*first.asked, *shot.asked))),
            unanswered=tuple(dict.fromkeys((*first.unanswered, *shot.unanswered))),
        )
    return list(kept.values())


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, [], "")}
