"""The models that come with unsee: vanilla and the demo set's gold of seed 0, bf16 safetensors.

`manifest.json` holds their checksums and scores; `unsee faces train` builds them from nothing,
`unsee faces score MODEL --ship NAME` measures one and puts it here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unsee.errors import UnseeError

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"


@dataclass(frozen=True)
class Shipped:
    """A shipped checkpoint.

    Attributes:
        name: `seed0/vanilla`, `seed0/gold-demo`.
        path: its folder.
        sha256: checksum of its `model.safetensors`.
        scores: what `unsee faces score` measured on this very file.
    """

    name: str
    path: Path
    sha256: str
    scores: dict[str, float]


def list_shipped() -> list[Shipped]:
    """All shipped models, by name."""
    if not MANIFEST.exists():
        return []
    manifest = json.loads(MANIFEST.read_text())
    return [
        Shipped(name, FOLDER / name, entry["sha256"], entry["scores"])
        for name, entry in sorted(manifest.items())
    ]


def shipped_path(name: str) -> Path:
    """Folder of a shipped model.

    Raises:
        UnseeError: it is not shipped.
    """
    for model in list_shipped():
        if model.name == name:
            return model.path
    raise UnseeError(f"{name} is not shipped: build it with `unsee faces train`")


def ship(source: Path, name: str, scores: Mapping[str, float]) -> None:
    """Copies a checkpoint into the package, with its checksum and scores."""
    target = FOLDER / name
    if source.resolve() != target.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    digest = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
    manifest = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    manifest[name] = {"sha256": digest, "scores": dict(scores)}
    MANIFEST.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
