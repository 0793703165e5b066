"""The test numbers of methods, made once the choices are made: test people, several seeds.

    python -m unsee.studies.final MODELS docs/results/final.json 0,1,2 [KEEP]

`MODELS` is a folder of `unsee faces train` with `vanilla`, `gold-test` and, for the floor,
`gold-test@1` of each seed. `KEEP` is a folder for the checkpoints, which the relearning attack
takes. Rows are appended; the same command goes on where it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import make_split
from unsee.errors import UnseeError
from unsee.evaluation.gold import distance_to_gold
from unsee.evaluation.intervals import gap_interval
from unsee.evaluation.metrics import is_broken
from unsee.methods.config import own_options
from unsee.methods.registry import get_method
from unsee.studies import trial
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

METHODS = ("vkd", "two_sided", "graddiff")
VANILLA, GOLD, AGAIN = "vanilla", "gold", "gold, another seed"
FOLDERS = {GOLD: "gold-test", VANILLA: "vanilla", AGAIN: "gold-test@1"}


def final(
    models: Path,
    output: Path,
    faces: Faces,
    seeds: Sequence[int] = (0,),
    methods: Sequence[str] = METHODS,
    keep: Path | None = None,
) -> Ledger:
    """Measures what is missing from the result file.

    Raises:
        UnseeError: a vanilla or a gold is missing.
    """
    about: dict[str, Any] = {"study": "test", "people": "test", "pictures": "test"}
    about["methods"] = {
        name: own_options(get_method(name).classes()[1](output_dir="")) for name in methods
    }
    ledger = Ledger(output, about, ("model", "seed"))
    for seed in seeds:
        root, split = models / f"seed{seed}", make_split("test", seed)
        trial.models_of(models, seed, FOLDERS[VANILLA], FOLDERS[GOLD])
        wanted = [name for name in FOLDERS if (root / FOLDERS[name]).exists()]
        checkpoints = {
            name: ledger.same_model(name, str(root / FOLDERS[name]), model=name, seed=seed)
            for name in wanted
        }
        missing = [n for n in (*wanted, *methods) if not ledger.find(model=n, seed=seed)]
        if not missing:
            continue
        gold, gold_rows = trial.ask(str(root / FOLDERS[GOLD]), faces, split, "test")
        for name in missing:
            if name in FOLDERS:
                found, rows = (gold, gold_rows)
                if name != GOLD:
                    found, rows = trial.ask(str(root / FOLDERS[name]), faces, split, "test")
            else:
                source, folder = str(root / FOLDERS[VANILLA]), keep and keep / f"seed{seed}" / name
                try:
                    found, rows = trial.attempt(source, name, {}, faces, split, "test", keep=folder)
                except UnseeError as error:  # the others need not wait for it
                    print(f"seed {seed}, {name}: {error}", flush=True)
                    continue
            row = {"model": name, "seed": seed, **found}
            row |= {"checkpoint": checkpoints[name]} if name in checkpoints else {}
            if name != GOLD:
                row |= distance_to_gold(found, rows, gold, gold_rows)
            ledger.add(row)
            print(f"seed {seed}, {name}: {row.get('gold_gap', 0):.1f} points to gold", flush=True)
    return ledger


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a model: means over its seeds, and `gap` (value, low, high) over their people.

    `gap` is that of the accuracies over all seeds together; the rest are the rows' own keys. What
    is broken (protocol) with any seed says so, and comes last.
    """
    lines = []
    for name in dict.fromkeys(row["model"] for row in rows):
        of_name = {row["seed"]: row for row in rows if row["model"] == name}
        golds = {row["seed"]: row for row in rows if row["model"] == GOLD}
        seeds = sorted(of_name.keys() & golds.keys())
        line: dict[str, Any] = {"model": name, "seeds": len(seeds)}
        for key in (
            *(f"{group}/vqa_accuracy" for group in ("forget", "retain", "lookalike", "visible")),
            *("forget/abstain_rate", "stranger/abstain_rate", "forget/text_accuracy"),
            *("text_kl", "seconds"),
        ):
            values = [of_name[seed][key] for seed in seeds if key in of_name[seed]]
            line[key] = sum(values) / len(values) if values else None
        if name != GOLD:
            ours, theirs = ([x[s]["by_person"] for s in seeds] for x in (of_name, golds))
            line["gap"] = gap_interval(ours, theirs)
        before = {row["seed"]: row for row in rows if row["model"] == VANILLA}
        line["broken"] = any(is_broken(of_name[s], before[s]) for s in seeds if s in before)
        lines.append(line)
    return sorted(lines, key=lambda line: line["broken"])


def _main(models: str, output: str, seeds: str, keep: str = "") -> None:
    from unsee.data.faces.benchmark import Faces

    numbers = [int(part) for part in seeds.split(",")]
    final(Path(models), Path(output), Faces(), numbers, keep=Path(keep) if keep else None)


if __name__ == "__main__":
    command(__doc__, 3, _main)
