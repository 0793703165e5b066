"""Where a model's configuration is from: a folder, the package, or the hub.

`configs/` holds what the authors published as `config.json` of a few large models, so that they can
be estimated offline: numbers of layers, widths, heads and vocabularies, no weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError

CONFIGS = Path(__file__).parent / "configs"


def published() -> list[str]:
    """Names on the hub of the models whose configuration the package holds."""
    found = (file.relative_to(CONFIGS).as_posix() for file in CONFIGS.glob("*/*.json"))
    return sorted(name.removesuffix(".json") for name in found)


def config_of(source: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The configuration of a model; of its weights nothing is read.

    Args:
        source: a folder with a `config.json`, or a name on the hub.
        revision: branch, tag or commit on the hub; with one, the package's copy is not used.
        trust_remote_code: run code that comes with the model.

    Raises:
        UnseeError: there is none, or it is not of a multimodal model.
    """
    from transformers import AutoConfig

    from unsee import hub

    folder = Path(source)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UnseeError(f"{source} holds no config.json")
    if not folder.is_dir() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise UnseeError(f"there is no model folder {source}")
    if not folder.is_dir() and revision is None and source in published():
        values = json.loads((CONFIGS / f"{source}.json").read_text(encoding="utf-8"))
        return AutoConfig.for_model(values.pop("model_type"), **values)
    try:
        config = AutoConfig.from_pretrained(
            source, revision=revision or "main", trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise UnseeError(
            f"no configuration could be found at {source}: {hub.explain(source, error, revision)} "
            f"(in the package: {', '.join(published())})"
        ) from error
    if not hasattr(config, "vision_config"):
        raise UnseeError(
            f"{source} ({config.model_type}) has no vision encoder: unsee needs a multimodal model"
        )
    return config
