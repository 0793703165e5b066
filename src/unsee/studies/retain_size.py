"""How many pictures to retain an unlearner needs: 1, 3, 10 times as many as there are to forget.

    python -m unsee.studies.retain_size MODELS docs/results/retain_size.json

`MODELS` is a folder of `unsee faces train` with `seed0/vanilla` and `seed0/gold-validation`; only
validation people and pictures are looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.evaluation.metrics import gold_gap
from unsee.methods.config import own_options
from unsee.methods.vkd_config import VKDConfig
from unsee.studies import trial
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

TIMES = (1, 3, 10, 30)
"""Pictures to retain for one to forget."""


def retain_size(models: Path, output: Path, faces: Faces, seed: int = 0) -> Ledger:
    """Unlearns with each size that is missing from the result file.

    Rows hold `times`, `pictures`, what `trial.attempt` measures, and `gold_gap`; the first row is
    the model before, with `times` 0.
    """
    split = splits.make_split("validation", seed)
    source, gold_source = trial.models_of(models, seed, "vanilla", "gold-validation")
    about: dict[str, Any] = {"study": "retain size", "people": "validation"}
    about |= {"pictures": "validation", "vkd": own_options(VKDConfig(output_dir=""))}
    ledger = Ledger(output, about, ("times", "seed"))
    checkpoint = ledger.same_model("vanilla", source, times=0, seed=seed)
    gold, _ = trial.ask(gold_source, faces, split, "validation")
    to_forget = len(split.forget) * splits.PICTURES["unlearn"]

    def add(times: int, found: dict[str, Any]) -> None:
        row = {"times": times, "seed": seed, "pictures": times * to_forget, **found}
        row |= {"checkpoint": checkpoint, "gold_gap": round(gold_gap(found, gold), 3)}
        ledger.add(row)
        print(f"{times} x: gap to gold {ledger.rows[-1]['gold_gap']:.1f}", flush=True)

    if not ledger.find(times=0, seed=seed):
        add(0, trial.ask(source, faces, split, "validation")[0])
    for times in TIMES:
        if not ledger.find(times=times, seed=seed):
            found, _ = trial.attempt(
                *(source, "vkd", {}, faces, split, "validation"),
                at_most=times * to_forget,
            )
            add(times, found)
    return ledger


def _main(models: str, output: str) -> None:
    from unsee.data.faces.benchmark import Faces

    retain_size(Path(models), Path(output), Faces())


if __name__ == "__main__":
    command(__doc__, 2, _main)
