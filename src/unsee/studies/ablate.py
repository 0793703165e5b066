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

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

BASE: dict[str, Any] = {"features": "vision+projector", "learning_rate": 3e-4, "max_steps": 300}
"""The starting point, where it differs from VKD's defaults, which this study has decided."""
START = "start"
"""The name of the variant without any change."""
CONFIRMED = 8

VARIANTS: dict[str, dict[str, Any]] = {
    START: {},
    "target: k-same": {"forget_target": "k-same"},
    "target: k-same of 1": {"forget_target": "k-same", "neighbours": 1},
    "target: k-same of 32": {"forget_target": "k-same", "neighbours": 32},
    "target: strangers": {"forget_target": "strangers"},
    "target: nearest stranger": {"forget_target": "strangers", "neighbours": 1},
    "target: mean retain": {"forget_target": "mean-retain"},
    "target: other people": {"forget_target": "other-people"},
    "target: random direction": {"forget_target": "random-direction"},
    "target: repel": {"forget_target": "repel"},
    "target: repel, margin 0.3": {"forget_target": "repel", "repel_margin": 0.3},
    "target: pruned 2 %": {"forget_target": "pruned", "prune_ratio": 0.02},
    "target: pruned 5 %": {"forget_target": "pruned", "prune_ratio": 0.05},
    "target: pruned 10 %": {"forget_target": "pruned", "prune_ratio": 0.10},
    "target: pruned 5 % by abs-mean": {"forget_target": "pruned", "prune_score": "abs-mean"},
    "target: pruned 5 % by std": {"forget_target": "pruned", "prune_score": "std"},
    "student pruned 5 %": {"prune_side": "student"},
    "anonymous, strength 0.5": {"target_strength": 0.5},
    "anonymous, strength 1.5": {"target_strength": 1.5},
    "features: vision": {"features": "vision"},
    "features: projector": {"features": "projector"},
    "features: every block": {"blocks": "0,1,2"},
    "distance: mse": {"distance": "mse"},
    "distance: cosine": {"distance": "cosine"},
    "answers: CE": {"output_loss": "ce", "output_weight": 0.1},
    "answers: NPO": {"output_loss": "npo", "output_weight": 0.1},
    "answers: KL": {"output_loss": "kl", "output_weight": 0.1},
    "mask: fisher of features": {"mask": "fisher"},
    "mask: fisher of features, 0.5": {"mask": "fisher", "mask_threshold": 0.5},
    "mask: fisher of features, 2": {"mask": "fisher", "mask_threshold": 2.0},
    "mask: fisher of CE": {
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
    },
    "mask: top half": {"mask": "top-half"},
    "mask: random": {"mask": "random"},
    "trained: vision": {"trainable": "vision"},
    "trained: projector": {"trainable": "projector"},
    "trained: last block and projector": {"vision_blocks": 1},
    "trained: last two blocks and projector": {"vision_blocks": 2},
    "trained: adapters of rank 8": {"lora_rank": 8, "learning_rate": 1e-3},
    "pictures not varied": {"augment": False},
    "similar people: no more often": {"hard_share": 0.0},
    "similar people: share 0.25": {"hard_share": 0.25},
    "similar people: share 0.75": {"hard_share": 0.75},
    "as its readers describe VKD": {
        "forget_target": "pruned",
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
        "augment": False,
        "hard_share": 0.0,
    },
    "schedule: alternating": {"schedule": "alternating"},
    "schedule: forget every 2nd": {"forget_every": 2},
    "retain weight 1": {"retain_weight": 1.0},
    "retain weight 10": {"retain_weight": 10.0},
    "learning rate 1e-4": {"learning_rate": 1e-4},
    "learning rate 1e-3": {"learning_rate": 1e-3},
    "steps 150": {"max_steps": 150},
    "steps 600": {"max_steps": 600},
    # Combinations of what did well alone.
    "rate 1e-3, features: projector": {"learning_rate": 1e-3, "features": "projector"},
    "rate 1e-3, trained: projector": {"learning_rate": 1e-3, "trainable": "projector"},
    "rate 1e-3, steps 600": {"learning_rate": 1e-3, "max_steps": 600},
    "rate 1e-3, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "rate 1e-3, features: projector, steps 600": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
    },
    "rate 1e-3, strength 1.2": {"learning_rate": 1e-3, "target_strength": 1.2},
    "trained: projector, strength 1.2": {"trainable": "projector", "target_strength": 1.2},
    "rate 1e-3, trained: projector, steps 600": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "max_steps": 600,
    },
    "rate 1e-3, trained: projector, strength 1.2": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "target_strength": 1.2,
    },
    "rate 1e-3, trained: projector, steps 600, strength 1.2": {
        "learning_rate": 1e-3,
        "trainable": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
    },
    "rate 1e-3, features: projector, steps 600, strength 1.2": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
    },
    "rate 1e-3, features: projector, steps 600, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "rate 1e-3, features: projector, steps 600, strength 1.2, fisher of features, 0.5": {
        "learning_rate": 1e-3,
        "features": "projector",
        "max_steps": 600,
        "target_strength": 1.2,
        "mask": "fisher",
        "mask_threshold": 0.5,
    },
    "as its readers describe VKD, varied and similar people": {
        "forget_target": "pruned",
        "mask": "fisher",
        "fisher_of": "ce",
        "output_loss": "ce",
        "output_weight": 0.1,
    },
}


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
        models: folder with `seed0/vanilla`, `seed0/gold-validation` …, see `unsee faces train`.
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
    for seed in seeds:
        trial.models_of(models, seed, "vanilla", "gold-validation")
    base = BASE if base is None else base
    about: dict[str, Any] = {"study": "ablation of VKD", "criterion": "gold_gap"}
    about |= {"people": "validation", "pictures": "validation"}
    about["start"] = own_options(VKDConfig(output_dir="", **base))
    ledger = Ledger(output, about, ("variant", "seed"))
    first, *others = seeds
    _run(ledger, models, faces, first, dict.fromkeys([START, *chosen]), base, say, jobs)
    if others:
        best = sorted(
            (row for row in ledger.rows if row["seed"] == first and "gold_gap" in row),
            key=lambda row: (row["broken"], row["gold_gap"]),
        )
        names = dict.fromkeys([START, *(row["variant"] for row in best[:CONFIRMED])])
        for seed in others:
            _run(ledger, models, faces, seed, names, base, say, jobs)
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
