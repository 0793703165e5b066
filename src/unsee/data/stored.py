"""Rows of a `datasets` data set: saved with `save_to_disk`, as parquet, or by name on the hub."""

from __future__ import annotations

import atexit
import glob
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from unsee.data.benchmarks.tables import check_whole
from unsee.data.rows import IMAGE
from unsee.errors import UnseeError

HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}(:[\w.-]+){0,2}")
"""`owner/name`, `owner/name:split` or `owner/name:config:split`."""
IMAGES = (*IMAGE, "images")


@dataclass(frozen=True)
class StoredPicture:
    """A picture in a column of a data set; called, it gives its bytes or its file."""

    dataset: Any
    column: str
    index: int
    folder: Path

    def __call__(self) -> bytes | Path:
        found = self._found()
        if isinstance(found, (bytes, bytearray)):
            return bytes(found)
        if isinstance(found, str):
            return self.folder / found
        raise ValueError("no picture in this row")

    def is_nothing(self) -> bool:
        """Whether the row holds no picture at all."""
        return self._found() is None

    def _found(self) -> Any:
        found = self.dataset[self.index][self.column]
        if isinstance(found, list):
            if len(found) > 1:
                raise ValueError(f"{len(found)} pictures in one row: give each a row of its own")
            found = found[0] if found else None
        return found.get("bytes") or found.get("path") if isinstance(found, Mapping) else found


def is_saved(folder: Path) -> bool:
    """Whether `datasets` saved a data set there, or several splits of one."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def open_stored(source: str, files: list[Path] | None = None) -> Any:
    """Opens a data set.

    Args:
        source: a folder of `save_to_disk`, or a name on the hub; either may end in `:split`, the
            name also in `:config:split`.
        files: parquet files, where these are meant.

    Returns:
        The data set, its pictures not decoded.

    Raises:
        UnseeError: it can't be opened, or has several splits of which none is named.
    """
    import datasets

    base, *rest = [source] if Path(source).exists() else source.split(":")
    split = rest[-1] if rest else None
    try:
        if files is not None:
            check_whole(files)
            _check_one_table(source, files)
            # `datasets` makes a copy, which must not outlive the request to forget.
            copies = mkdtemp(prefix="unsee-")
            atexit.register(shutil.rmtree, copies, ignore_errors=True)
            names = [glob.escape(str(file)) for file in files]  # a name is no pattern
            opened = datasets.Dataset.from_parquet(names, cache_dir=copies)
        elif Path(base).exists():
            opened = datasets.load_from_disk(base)
        else:
            opened = datasets.load_dataset(base, *rest[:-1])
    except UnseeError:
        raise
    except Exception as error:  # of the hub, of the network, of pyarrow
        cause = error.__cause__ or error  # `datasets` wraps what went wrong in a line that is none
        line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise UnseeError(f"the data set {source} can't be opened: {line}") from error
    if isinstance(opened, Mapping):
        names = list(opened)
        chosen = split or ("train" if "train" in names else names[0] if len(names) == 1 else None)
        if chosen not in names:
            raise UnseeError(
                f"{base} has the splits {', '.join(names)}: say which, as {base}:{names[0]}"
            )
        opened = opened[chosen]
    return _undecoded(opened)


def _check_one_table(source: str, files: list[Path]) -> None:
    """Refuses files of several tables, as published benchmarks have them."""
    from pyarrow.parquet import read_schema

    tables = {tuple(sorted(read_schema(file).names)): file for file in files}
    if len(tables) > 1:
        one, other, *_ = tables.values()
        raise UnseeError(
            f"{one} and {other} have other columns, so that {source} is no single table: give one "
            "of them, or, where it is a published benchmark for `unsee finetune`, its --benchmark"
        )


def stored_rows(dataset: Any, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a data set, counted from 0: fields as those of a JSON line, the picture as a
    `StoredPicture`, a class label by its name.

    Raises:
        UnseeError: it has no column of pictures.
    """
    columns = [c for c, kind in dataset.features.items() if "Image(" in repr(kind)]
    columns += [c for c in IMAGES if c in dataset.features and c not in columns]
    if not columns:
        raise UnseeError(
            f"the data set {folder} has no column of pictures such as `image`: it has "
            f"{', '.join(dataset.features)}"
        )
    column = columns[0]
    labels = {c: kind for c, kind in dataset.features.items() if hasattr(kind, "int2str")}
    others = dataset.remove_columns([c for c in {*columns, *IMAGES} if c in dataset.features])
    for number in range(len(dataset)):
        fields = dict(others[number]) if others.column_names else {}
        for name, kind in labels.items():
            if isinstance(fields.get(name), int):
                known = 0 <= fields[name] < kind.num_classes
                fields[name] = kind.int2str(fields[name]) if known else None
        yield number, {"image": StoredPicture(dataset, column, number, folder), **fields}


def _undecoded(dataset: Any) -> Any:
    """The data set with its pictures as bytes: they are decoded here, as all others are."""
    import datasets

    dataset = dataset.with_format(None)
    for column, kind in dataset.features.items():
        if isinstance(kind, datasets.Image):
            dataset = dataset.cast_column(column, datasets.Image(decode=False))
        elif "Image(" in repr(kind):
            dataset = dataset.cast_column(column, datasets.List(datasets.Image(decode=False)))
    return dataset
