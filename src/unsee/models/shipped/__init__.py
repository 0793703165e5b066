"""The models that come with unsee: vanilla and the demo set's gold of seed 0, bf16 safetensors.

`manifest.json` holds their checksums and scores; `unsee faces train` builds them from nothing,
`unsee faces score` measures them.
"""

from __future__ import annotations

import json
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
