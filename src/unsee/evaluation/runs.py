"""A run's folder: `metrics.json`, `predictions.jsonl`, `config.yaml`, `versions.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError

PACKAGES = ("unsee", "torch", "transformers", "accelerate", "safetensors", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def run_folder(folder: str | Path) -> Path:
    """A folder that a run may be written to: new, empty, of an earlier run, or of an interrupted
    one (`answers.partial`).

    Raises:
        UnseeError: it holds something else.
    """
    output = Path(folder)
    inside = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if output.is_file() or (inside - {"answers.partial"} and "config.yaml" not in inside):
        raise UnseeError(f"{output} holds something else: choose another --output")
    return output


def show(metrics: Mapping[str, Any]) -> None:
    """Prints metrics, a line each."""
    width = max(map(len, metrics))
    for key, value in metrics.items():
        print(
            f"{key:<{width}}  {value:.3f}"
            if isinstance(value, float)
            else f"{key:<{width}}  {value}"
        )


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_run(
    folder: Path,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Writes a run's files; `metrics.json` comes last, so that it stands for a finished run."""
    import yaml

    if rows is not None:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        write_text(folder / "predictions.jsonl", "\n".join(lines) + "\n")
    write_text(
        folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    )
    write_text(folder / "versions.json", json.dumps(versions(), indent=2) + "\n")
    write_text(folder / "metrics.json", json.dumps(dict(metrics), indent=2) + "\n")
