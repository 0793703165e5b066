"""Small parquet files with the columns and types of the published benchmarks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import tiny

PICTURE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXT = pa.string()


def png(seed: int, size: int = 64) -> bytes:
    """The picture `tiny.picture(seed)` as PNG."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(tiny.picture(seed, size)).save(buffer, "png")
    return buffer.getvalue()


def picture(seed: int) -> dict[str, Any]:
    """A picture as the hub stores it."""
    return {"bytes": png(seed), "path": f"{seed}.png"}


def truncated(seed: int) -> dict[str, Any]:
    """A picture that breaks off in the middle."""
    return {"bytes": png(seed)[:120], "path": f"{seed}.png"}


def write(
    rows: list[dict[str, Any]], schema: dict[str, Any], path: Path, shards: int = 1
) -> list[Path]:
    """Writes `path`/train-00000-of-0000N.parquet, or one file if `path` ends with .parquet."""
    kind = pa.schema(schema)
    if path.suffix == ".parquet":
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=kind), path)
        return [path]
    path.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(shards):
        files.append(path / f"train-{number:05d}-of-{shards:05d}.parquet")
        pq.write_table(pa.Table.from_pylist(rows[number::shards], schema=kind), files[-1])
    return files
