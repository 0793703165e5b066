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


def read_own(source: str | os.PathLike[str], may_be_empty: bool = False) -> PictureSet:
    """Reads pictures to forget or to keep, in any form.

    Args:
        source: a folder, a file, or the name of a data set on the hub; data sets with several
            splits as `source:split`.
        may_be_empty: return the empty set where no picture can be used, to tell what is broken.

    Returns:
        The pictures that can be used; the others are named in `broken`, with their lines.

    Raises:
        UnseeError: there is no such thing, it is of no known form, or no picture can be used.
    """
    path, name = Path(source), os.fspath(source)
    if path.is_dir():
        return _folder(path, may_be_empty)
    if path.is_file():
        if path.suffix.lower() in rows.SUFFIXES:
            return _listed(path, may_be_empty)
        if path.suffix.lower() == ".parquet":
            return _stored(stored.open_stored(name, [path]), path, path.parent, may_be_empty)
        raise UnseeError(
            f"{path} is a file: give the folder that holds the pictures, or a file that lists "
            f"them ({', '.join(rows.SUFFIXES)}, .parquet)"
        )
    base = Path(name.split(":")[0])
    if base.is_dir() and stored.is_saved(base):
        return _stored(stored.open_stored(name), path, base, may_be_empty)
    # A mistyped path is not to be sent to the hub.
    if stored.HUB_NAME.fullmatch(name) and not Path(base.parts[0]).exists():
        return _stored(stored.open_stored(name), path, Path(), may_be_empty)
    raise UnseeError(f"there is no folder {path}")


def _folder(root: Path, may_be_empty: bool) -> PictureSet:
    if stored.is_saved(root):
        return _stored(stored.open_stored(str(root)), root, root, may_be_empty)
    broken: Broken = []
    files = files_below(root, broken)
    candidates, ignored = sorted_files(root, [])
    lists = [path for path in files if path.name in METADATA]
    tables = [path for path in files if path.suffix.lower() == ".parquet"]
    if not candidates and not lists:
        if tables:
            return _stored(stored.open_stored(str(root), tables), root, root, may_be_empty)
        others = [path for path in files if path.suffix.lower() in rows.SUFFIXES]
        if others:
            raise UnseeError(f"{root} holds no picture, but {others[0]}: give that file")
    if not lists:
        return read_pictures(root, may_be_empty)
    shots: list[Shot] = []
    named: set[str] = set()
    for path in lists:
        shots += _shots_of(path, broken, root, named)
        ignored[path.suffix.lower()] -= 1
    bare = [path for path in candidates if os.path.normpath(path) not in named]
    shots += [Shot(path, path, person_in(root, path)) for path in bare]
    shots.sort(key=lambda shot: shot.path)
    return examined(root, shots, broken, +ignored, may_be_empty)


def _listed(path: Path, may_be_empty: bool) -> PictureSet:
    broken: Broken = []
    shots = _shots_of(path, broken)
    if not shots and not broken:
        raise UnseeError(f"{path} lists no picture: it is empty")
    return examined(path, shots, broken, None, may_be_empty)


def _shots_of(
    path: Path, broken: Broken, root: Path | None = None, named: set[str] | None = None
) -> list[Shot]:
    """The pictures that a file lists; within `root`, who is not named is who the folder is.
    Files that it names go into `named`, those of rows that can't be used too."""
    found = []
    for line, fields in rows.read_rows(path):
        where = Path(f"{path}:{line}")
        try:
            if isinstance(fields, ValueError):
                raise fields
            file = rows.file_of(rows.image_of(fields), path.parent)
            if named is not None:
                named.add(os.path.normpath(file))
            row = rows.understood(fields)
        except ValueError as error:
            broken.append((where, str(error)))
            continue
        inside = root is not None and file.is_relative_to(root)
        person = row.person or (person_in(root, file) if root and inside else None)
        found.append(
            Shot(file, file, person, row.crop, row.asked, row.unanswered, where),
        )
    return _merged(found, broken)


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


def _stored(dataset: Any, name: Path, folder: Path, may_be_empty: bool) -> PictureSet:
    broken: Broken = []
    shots = []
    for number, fields in stored.stored_rows(dataset, folder):
        where = Path(f"{name}: row {number}")
        try:
            row = rows.understood(_without_nothing(fields))
        except ValueError as error:
            broken.append((where, str(error)))
            continue
        shots.append(Shot(where, row.image, row.person, row.crop, row.asked, row.unanswered, where))
    return examined(name, shots, broken, None, may_be_empty)


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, [], "")}
