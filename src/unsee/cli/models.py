"""`unsee models`: the families whose anatomy is known, and the models that are shipped."""

from __future__ import annotations

import argparse
import json
from typing import Any

EXAMPLES = """\
examples:
  unsee models
  unsee models --verify      compare the shipped files with their checksums
  unsee models --families
  unsee models --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee models`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--verify", action="store_true", help="hash the shipped files again; status 2 on a mismatch"
    )
    parser.add_argument("--families", action="store_true", help="families alone, as a JSON list")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Prints families and shipped models.

    Raises:
        UnseeError: `--verify` found a file that is not the one that was shipped.
    """
    from unsee.anatomy import families
    from unsee.errors import UnseeError
    from unsee.models.shipped import list_shipped

    known = [
        {
            "model_type": family.model_type,
            "title": family.title or family.model_type,
            "vision": list(family.vision),
            "projector": list(family.projector),
            "language": list(family.language),
            "reads": family.reads,
            "by_size": family.by_size,
            "note": family.note,
        }
        for _, family in sorted(families().items())
    ]
    if args.families:
        print(json.dumps(known, indent=2))
        return
    shipped: list[dict[str, Any]] = []
    for model in list_shipped():
        row: dict[str, Any] = {"name": model.name, "path": str(model.path), "sha256": model.sha256}
        row["scores"] = dict(model.scores)
        if args.verify:
            row["intact"] = sha256_of(model.path) == model.sha256
        shipped.append(row)
    if args.json:
        print(json.dumps({"families": known, "shipped": shipped}, indent=2))
    else:
        _print(known, shipped)
    damaged = [row["name"] for row in shipped if not row.get("intact", True)]
    if damaged:
        raise UnseeError(
            f"shipped model {', '.join(damaged)} differs from its checksum: reinstall unsee, or "
            "`git checkout` the file"
        )


def sha256_of(path: Any) -> str:
    """SHA-256 of a model: of its `model.safetensors` when `path` is a checkpoint folder."""
    import hashlib
    from pathlib import Path

    file = Path(path)
    if file.is_dir():
        file = file / "model.safetensors"
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _print(known: list[dict[str, Any]], shipped: list[dict[str, Any]]) -> None:
    print("families (vision | projector | language):")
    for row in known:
        parts = " | ".join(", ".join(row[part]) for part in ("vision", "projector", "language"))
        print(f"  {row['model_type']}: {parts}")
        print(f"    {row['title']}; P reads {row['reads']}. {row['note']}".rstrip())
    print("\nshipped models:")
    for row in shipped:
        state = {True: "  intact", False: "  DAMAGED", None: ""}[row.get("intact")]
        print(f"  {row['name']}  sha256 {row['sha256'][:16]}…{state}")
        print(f"    {row['path']}")
        for name, value in row["scores"].items():
            print(f"    {name} {value:.3f}" if isinstance(value, float) else f"    {name} {value}")
