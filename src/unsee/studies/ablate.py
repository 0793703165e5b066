"""Which ingredients of VKD earn their place: every switch alone, on validation people.

1. *Screen*: each variant differs from the starting point in one switch (some need a second one);
   one seed.
2. *Confirm*: the best eight and the starting point on further seeds, with intervals of the
   difference by a bootstrap over people, paired. What was chosen by the first seed is judged by the
   others alone.

The criterion is `gold_gap` on validation people and pictures. No test person is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import make_split
from unsee.errors import UnseeError
from unsee.evaluation.gold import distance_to_gold
from unsee.evaluation.intervals import gap_interval
from unsee.evaluation.metrics import is_broken
from unsee.methods.config import own_options
from unsee.methods.vkd_config import VKDConfig
from unsee.studies import trial
from unsee.studies.ledger import Ledger
from unsee.studies.parallel import each
from unsee.studies.variants import BASE, START, VARIANTS

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

CONFIRMED = 8
"""Variants that are run on the other seeds."""


def ablate(
    models: Path,
    output: Path,
    faces: Faces,
    seeds: Sequence[int] = (0, 1, 2),
    only: Iterable[str] = (),
    base: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
    jobs: int = 1,
) -> Ledger:
    """Runs what is missing from the result file.

    Args:
        models: folder with `seed0/vanilla`, `seed0/gold-validation` …, see `unsee faces train`. A
            seed whose rows are all there needs none, so seeds may be run in several places.
        output: result file; rows are appended.
        faces: the embedded benchmark.
        seeds: the first is screened on; the others confirm the best.
        only: names of the variants to screen; all, if there are none.
        base: options of the starting point that differ from VKD's defaults; None: `BASE`.
        say: called with a line of progress.
        jobs: variants at a time, each in a process of its own with its share of the cores.

    Raises:
        UnseeError: a model is missing, or a variant is not known.
    """
    chosen = list(only) or list(VARIANTS)
    unknown = [name for name in chosen if name not in VARIANTS]
    if unknown:
        raise UnseeError(f"there is no variant {unknown[0]!r}; there is {', '.join(VARIANTS)}")
    base = BASE if base is None else base
    about: dict[str, Any] = {"study": "ablation of VKD", "criterion": "gold_gap"}
    about |= {"people": "validation", "pictures": "validation"}
    about["start"] = own_options(VKDConfig(output_dir="", **base))
    ledger = Ledger(output, about, ("variant", "seed"))

    def names(seed: int) -> list[str]:
        """Everything that was asked for with the first seed, the best of that with the others."""
        if seed == seeds[0]:
            return list(dict.fromkeys([START, *chosen]))
        best = sorted(
            (row for row in ledger.rows if row["seed"] == seeds[0] and "gold_gap" in row),
            key=lambda row: (row["broken"], row["gold_gap"]),
        )
        return list(dict.fromkeys([START, *(row["variant"] for row in best[:CONFIRMED])]))

    def unfinished(seed: int) -> bool:
        wanted = ("gold", "vanilla", *names(seed))
        return any(ledger.find(variant=name, seed=seed) is None for name in wanted)

    for seed in filter(unfinished, seeds):
        trial.models_of(models, seed, "vanilla", "gold-validation")
    for seed in filter(unfinished, seeds):
        _run(ledger, models, faces, seed, names(seed), base, say, jobs)
    return ledger


def _run(
    ledger: Ledger,
    models: Path,
    faces: Faces,
    seed: int,
    names: Iterable[str],
    base: dict[str, Any],
    say: Callable[[str], None],
    jobs: int,
) -> None:
    """Adds the rows of a seed that are missing; `vanilla` and `gold` first."""
    split = make_split("validation", seed)
    vanilla_source, gold_source = trial.models_of(models, seed, "vanilla", "gold-validation")
    sources = {"gold": gold_source, "vanilla": vanilla_source}
    references: dict[str, Any] = {}
    for name, source in sources.items():
        row = ledger.find(variant=name, seed=seed)
        checkpoint = ledger.same_model(name, source, variant=name, seed=seed)
        if row is None or name == "gold":
            references[name] = trial.ask(source, faces, split, "validation")
        if row is None:
            row = {"variant": name, "seed": seed, "options": {}, "checkpoint": checkpoint}
            ledger.add({**row, **references[name][0]})
    vanilla = ledger.find(variant="vanilla", seed=seed) or {}
    options = {
        name: {**base, **VARIANTS[name]}
        for name in names
        if not ledger.find(variant=name, seed=seed)
    }
    tasks = {name: (vanilla_source, "vkd", chosen, split) for name, chosen in options.items()}
    for name, (found, rows) in each(trial.attempted, tasks, jobs):
        row = {"variant": name, "seed": seed, "options": options[name], **found}
        if "failed" in found:
            ledger.add(row)
            say(f"seed {seed}, {name}: {found['failed']}")
            continue
        row |= distance_to_gold(found, rows, *references["gold"])
        row["broken"] = is_broken(found, vanilla)
        ledger.add(row)
        say(f"seed {seed}, {name}: gold_gap {row['gold_gap']:.1f} in {found['seconds']:.0f} s")


def verdicts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a variant: `gold_gap` with interval, and the difference to the start.

    A variant that was confirmed is judged by the seeds that confirmed it. A verdict other than `no
    evidence` needs an interval without 0 at a level corrected for the number of variants that are
    judged on the same seeds (Bonferroni, 5 % for all together); the intervals shown are 95 %.

    Returns:
        Lines with `variant`, `stage` (`screened` or `confirmed`), `seeds`, `gap` and `difference`,
        both (value, low, high), `verdict`: `better`, `worse` or `no evidence`, `broken`, accuracies
        of the groups in percent, and `failed`, why it could not be run; the best first, broken and
        failed ones last.
    """
    names = dict.fromkeys(r["variant"] for r in rows if r["variant"] not in ("vanilla", "gold"))
    whole = [row for row in rows if "failed" not in row]
    of = {(row["variant"], row["seed"]): row for row in whole}
    start = sorted(seed for name, seed in of if name == START)
    screening = rows[0]["seed"] if rows else None

    def counts(name: str, seeds: Sequence[int]) -> list[Any]:
        return [of[name, seed]["by_person"] for seed in seeds]

    seeds_of: dict[str, tuple[int, ...]] = {}
    for name in names:
        seeds = [seed for seed in start if (name, seed) in of]
        confirming = [seed for seed in seeds if seed != screening]
        if seeds:
            seeds_of[name] = tuple(confirming or seeds)
    lines = []
    for name in names:
        if name not in seeds_of:
            why = next((row["failed"] for row in rows if row["variant"] == name), "")
            lines.append({"variant": name, "failed": why})
            continue
        seeds = list(seeds_of[name])
        golds, ours, others = (counts(which, seeds) for which in ("gold", name, START))
        tests = sum(other == seeds_of[name] for other in seeds_of.values())
        _, low, high = gap_interval(ours, golds, others, count=10_000, level=1 - 0.05 / tests)
        found = [of[name, seed] for seed in seeds]
        line: dict[str, Any] = {"variant": name, "seeds": len(seeds)}
        line["stage"] = "screened" if seeds == [screening] else "confirmed"
        line["gap"] = gap_interval(ours, golds)
        line["difference"] = gap_interval(ours, golds, others)
        line["verdict"] = "better" if high < 0 else "worse" if low > 0 else "no evidence"
        line["broken"] = any(row["broken"] for row in found)
        for group in ("forget", "retain", "lookalike", "visible"):
            values = [100 * row[f"{group}/vqa_accuracy"] for row in found]
            line[group] = sum(values) / len(values)
        line["seconds"] = sum(row["seconds"] for row in found) / len(found)
        lines.append(line)
    return sorted(
        lines, key=lambda x: ("failed" in x, x.get("broken", False), x.get("gap", [0])[0])
    )
