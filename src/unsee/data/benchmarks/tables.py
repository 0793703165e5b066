"""Opens one config of a benchmark: from the hub, from a folder of parquet, or one parquet file.

    folder/CONFIG/train-00000-of-00002.parquet     as the hub lays it out; also folder/data/CONFIG/…
    folder/CONFIG-00000-of-00001.parquet           configs beside one another; or CONFIG.parquet
    folder/train-00000-of-00001.parquet            the folder of one config
    some.parquet                                   one table

Everything goes through `datasets`. Rows are read as they are stored; pictures are decoded when they
are asked for, so that a table of thousands costs no memory.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unsee.data.benchmarks.records import LazyPicture, parse_json
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config
from unsee.errors import UnseeError

SPLIT = "train"
SHARD = re.compile(r"^(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet$")


@dataclass(frozen=True)
class Table:
    """One config, row by row.

    Attributes:
        name: the config, for messages.
        source: where it is from.
        data: the `datasets.Dataset`, in arrow format.
    """

    name: str
    source: str
    data: Any = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.data.column_names)

    def where(self, row: int, column: str = "") -> str:
        """What messages call a row or a cell of it."""
        return f"row {row} of {self.name} ({self.source})" + (f", column {column}" * bool(column))

    def cell(self, row: int, column: str) -> Any:
        """One cell as Python objects; a picture is `{"bytes", "path"}`."""
        return self._scalar(row, column).as_py()

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One row; pictures are `LazyPicture`, None where there is none."""
        return {column: self._value(row, column) for column in self.columns}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def json(self, row: int, column: str) -> Any:
        """A cell that holds JSON text.

        Raises:
            UnseeError: it holds none; the message names the row.
        """
        return parse_json(self.cell(row, column), self.where(row, column))

    def _scalar(self, row: int, column: str) -> Any:
        return self.data.data.column(column)[row]

    def _value(self, row: int, column: str) -> Any:
        scalar = self._scalar(row, column)
        if _holds_pictures(scalar.type):
            return self._picture(row, column, None, scalar)
        if _holds_pictures(getattr(scalar.type, "value_type", None)):
            if not scalar.is_valid:
                return []
            shown = [self._picture(row, column, i, s) for i, s in enumerate(scalar)]
            return [picture for picture in shown if picture is not None]
        return scalar.as_py()

    def _picture(self, row: int, column: str, index: int | None, scalar: Any) -> LazyPicture | None:
        if not scalar.is_valid or not (scalar["bytes"].is_valid or scalar["path"].is_valid):
            return None
        local = Path(self.source)
        folder = local if local.is_dir() else local.parent if local.is_file() else None
        where = self.where(row, column) + (f", picture {index}" if index is not None else "")
        return LazyPicture(where, self, row, column, index, folder)


def _holds_pictures(kind: Any) -> bool:
    """Whether an arrow type is that of a picture, struct{bytes, path}."""
    if kind is None or not hasattr(kind, "num_fields") or not str(kind).startswith("struct<"):
        return False
    return {kind.field(i).name for i in range(kind.num_fields)} == {"bytes", "path"}


def entries(value: Any) -> list[dict[str, Any]]:
    """A list of structs; older versions of `datasets` store it as a struct of lists."""
    if isinstance(value, dict):
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    return [entry for entry in value or () if entry is not None]


def open_table(
    benchmark: Benchmark, source: str | None, config: str, purpose: str = EVALUATION
) -> Table:
    """Opens a config for a purpose.

    Args:
        benchmark: whose config it is.
        source: a folder, a parquet file, or a name on the hub; None: the benchmark's own hub name.
        config: such as `forget_5`.
        purpose: `evaluation` or `training`.

    Raises:
        UnseeError: the config is unknown, absent or of the other purpose, a shard is missing, a
            file can't be read, a column is missing, it has no rows.
    """
    known = benchmark.config(config)
    if purpose not in known.columns:
        raise UnseeError(_wrong_purpose(benchmark, known, purpose))
    table = _opened(benchmark, source, config, purpose)
    _check_columns(benchmark, known, table, purpose)
    if not len(table):
        raise UnseeError(f"{config} of {table.source} has no rows")
    return table


def has_config(benchmark: Benchmark, source: str | None, config: str, purpose: str) -> bool:
    """Whether a local folder holds a config; of the hub it is taken for granted."""
    path = None if source is None else Path(source)
    if path is None or not path.exists():
        return True
    return path.is_dir() and bool(_files(benchmark, path, config, purpose))


def read_parquet(files: Sequence[Path]) -> Any:
    """Parquet files as one `datasets.Dataset` in arrow format.

    Raises:
        UnseeError: a file is no parquet, or truncated; they have different columns, or no rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    heads = []
    for file in files:
        try:
            heads.append(pq.read_metadata(file))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UnseeError(f"{file} can't be read as parquet: {reason}") from error
        if heads[-1].schema.to_arrow_schema().names != heads[0].schema.to_arrow_schema().names:
            raise UnseeError(f"{file} has other columns than {files[0].name}: they are no shards")
    if not sum(head.num_rows for head in heads):
        raise UnseeError(f"{files[0]} has no rows")
    try:
        names = [glob.escape(str(file.resolve())) for file in files]  # a name is no pattern
        return load_dataset("parquet", data_files=names, split=SPLIT).with_format("arrow")
    except Exception as error:  # `datasets` wraps what pyarrow raises in errors of its own
        cause = error.__cause__ or error
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise UnseeError(f"{files[0]} can't be read as parquet: {reason}") from error


def _opened(benchmark: Benchmark, source: str | None, config: str, purpose: str) -> Table:
    if source is None or not Path(source).exists():
        return _from_hub(benchmark, source, config, purpose)
    path = Path(source)
    if path.is_file():
        if path.suffix != ".parquet":
            raise UnseeError(f"{path} is no parquet file: give a .parquet file or a folder of them")
        check_whole([path])
        return Table(config, source, read_parquet([path]))
    files = _files(benchmark, path, config, purpose)
    if not files:
        found = local_configs(path)
        there = f"it holds {', '.join(found)}" if found else "it holds no parquet file"
        raise UnseeError(f"there is no config {config} in {path}: {there}")
    return Table(config, source, read_parquet(files))


def local_configs(folder: Path) -> list[str]:
    """Names of what looks like configs in a folder, with the sub-folder that they lie in."""
    found = set()
    for file in folder.rglob("*.parquet"):
        shard = SHARD.match(file.name)
        name = shard["name"] if shard else file.stem
        inside = file.parent.relative_to(folder).as_posix()
        if name == SPLIT:
            found.add(inside if inside != "." else name)
        else:
            found.add(name if inside in (".", "data") else f"{inside} (split {name})")
    return sorted(found)


def _files(benchmark: Benchmark, folder: Path, config: str, purpose: str) -> list[Path]:
    """The shards of a config in a local folder, in order; empty if there are none."""
    inside = [*benchmark.folders.get(purpose, ()), "", "data"]
    for home in (folder / sub for sub in inside):
        for place, name in ((home / config, SPLIT), (home, config)):
            files = _shards(place, name)
            if files:
                return files
        loose = sorted((home / config).glob("*.parquet"))
        splits = sorted({m["name"] for m in (SHARD.match(file.name) for file in loose) if m})
        if splits:
            raise UnseeError(f"{home / config} has no split {SPLIT!r}: it has {', '.join(splits)}")
        if loose:
            return loose
    return _shards(folder, SPLIT) if folder.name == config else []


def _shards(folder: Path, name: str) -> list[Path]:
    """`NAME.parquet`, or all of `NAME-00000-of-0000N.parquet`.

    Raises:
        UnseeError: one of them is missing.
    """
    whole = folder / f"{name}.parquet"
    if whole.is_file():
        return [whole]
    found: dict[int, dict[int, Path]] = {}
    for file in folder.glob("*.parquet"):
        shard = SHARD.match(file.name)
        if shard and shard["name"] == name:
            found.setdefault(int(shard["count"]), {})[int(shard["number"])] = file
    if not found:
        return []
    if len(found) > 1:
        raise UnseeError(
            f"{folder} holds shards of {name} of two different uploads "
            f"(of {' and of '.join(map(str, sorted(found)))}): keep one"
        )
    [(count, files)] = found.items()
    for number in range(count):
        if number not in files:
            missing = f"{name}-{number:05d}-of-{count:05d}.parquet"
            raise UnseeError(f"{folder} lacks the shard {missing}: download it again")
    return [files[number] for number in range(count)]


def check_whole(files: Sequence[Path]) -> None:
    """Refuses a part of the shards `NAME-00000-of-0000N.parquet` of a table.

    Raises:
        UnseeError: one of them is missing; the message names it.
    """
    there = {file.absolute() for file in files}
    for file in sorted(there):
        shard = SHARD.match(file.name)
        for number in range(int(shard["count"]) if shard else 0):
            other = f"{shard['name']}-{number:05d}-of-{shard['count']}.parquet" if shard else ""
            if file.with_name(other) not in there:
                given = file.with_name(other).exists()
                mend = f"give the folder {file.parent}" if given else "download it again"
                raise UnseeError(f"{file} comes without its shard {other}: {mend}")


def _from_hub(benchmark: Benchmark, source: str | None, config: str, purpose: str) -> Table:
    if source is not None and (source.startswith((".", "/", "~")) or source.count("/") != 1):
        raise UnseeError(f"there is no folder or file {source}")
    from datasets import get_dataset_config_names, load_dataset

    apart = purpose == TRAINING and EVALUATION in benchmark.config(config).columns
    moved = apart and benchmark.training_hub
    name = benchmark.training_hub if moved and source in (None, benchmark.hub) else source
    name = name or benchmark.hub
    try:
        if moved:
            return Table(config, name, _from_folder_on_the_hub(name, config))
        return Table(config, name, load_dataset(name, config, split=SPLIT).with_format("arrow"))
    except UnseeError:
        raise
    except ValueError as error:
        try:
            there = f"it has {', '.join(get_dataset_config_names(name))}"
        except Exception:
            there = str(error).splitlines()[0]
        raise UnseeError(f"{name} on the hub has no config {config}: {there}") from error
    except Exception as error:  # whatever the network and the hub's client raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnseeError(
            f"{name} ({config}) can't be had from the hub: {first}; download it and give the folder"
        ) from error


def _from_folder_on_the_hub(name: str, config: str) -> Any:
    """A folder of parquet in a repository of models, as MLLMU-Bench's training data of the splits
    is stored, or else of datasets.

    Raises:
        UnseeError: the repository has no such folder, or a shard is missing.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    wanted = [f"{config}/*.parquet"]
    try:
        folder = snapshot_download(name, repo_type="model", allow_patterns=wanted)
    except RepositoryNotFoundError:
        folder = snapshot_download(name, repo_type="dataset", allow_patterns=wanted)
    place = Path(folder) / config
    files = _shards(place, SPLIT) or sorted(place.glob("*.parquet"))
    if not files:
        raise UnseeError(f"{name} on the hub has no folder {config} with parquet files")
    return read_parquet(files)


def _wrong_purpose(benchmark: Benchmark, config: Config, purpose: str) -> str:
    [other] = [name for name in (EVALUATION, TRAINING) if name != purpose]
    return (
        f"{config.name} of {benchmark.title} is {other} data, and {purpose} data is needed: "
        f"that is {', '.join(benchmark.names(purpose)) or 'in no config'}"
    )


def _check_columns(benchmark: Benchmark, config: Config, table: Table, purpose: str) -> None:
    missing = [c for c in config.columns[purpose] if c not in table.columns]
    if not missing:
        return
    others = {c.columns[p] for c in benchmark.configs for p in c.columns if p != purpose}
    if any(set(columns) <= set(table.columns) for columns in others):
        [other] = [name for name in (EVALUATION, TRAINING) if name != purpose]
        hint = f"; the training data of {config.name} is in {benchmark.training_hub}" * bool(
            purpose == TRAINING and benchmark.training_hub
        )
        raise UnseeError(
            f"{table.name} of {table.source} is {other} data (it has {', '.join(table.columns)}), "
            f"and {purpose} data is needed, with {', '.join(config.columns[purpose])}: "
            f"that is {', '.join(benchmark.names(purpose))}{hint}"
        )
    raise UnseeError(
        f"{table.name} of {table.source} lacks the column {missing[0]}: "
        f"it has {', '.join(table.columns)}"
    )
