"""The recipe of the small LLaVA: all models of a seed are of one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from unsee.data.faces import splits
from unsee.errors import UnseeError
from unsee.evaluation.runs import write_text

RECIPE = "recipe.json"
TEXT_SHARE = 0.2
"""Weight of what is asked in words, beside what is asked about pictures."""


@dataclass
class Recipe:
    """Steps and learning rates of the three stages."""

    tower_steps: int = 1400
    tower_batch: int = 96
    language_steps: int = 400
    people_steps: int = 1100
    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    seeing_lr_factor: float = 0.05
    weight_decay: float = 0.02
    language_pictures: int = 36
    pictures: tuple[int, int] = (40, 40)
    asked: tuple[tuple[int, int], tuple[int, int]] = ((2, 1), (1, 1))
    texts: int = 16
    save_steps: int = 200


def same_recipe(root: Path, recipe: Recipe) -> None:
    """All models of a seed are of one recipe, else a gap to gold says nothing.

    Raises:
        UnseeError: those that are there are of another.
    """
    from unsee.data.faces.benchmark import drawing_version
    from unsee.models.lessons import RESEMBLING_SHARE

    ours = {**asdict(recipe), "text_share": TEXT_SHARE, "drawing": drawing_version()}
    ours |= {"resembling": [len(splits.RESEMBLING), RESEMBLING_SHARE]}
    wanted = json.dumps(ours, indent=1) + "\n"
    kept = root / RECIPE
    if kept.exists() and kept.read_text(encoding="utf-8") == wanted:
        return
    if any(root.iterdir()):
        raise UnseeError(
            f"{root} holds models of another recipe: move them away, or choose another --output"
        )
    write_text(kept, wanted)
