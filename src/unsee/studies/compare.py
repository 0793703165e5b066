"""Methods side by side on one forget set and several seeds: the rows of the leaderboard.

Choices are made before, on validation people (`unsee tune`, `unsee ablate`); the test people are
asked here, once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import make_split
from unsee.errors import UnseeError
from unsee.evaluation.gold import distance_to_gold
from unsee.evaluation.intervals import gap_interval
from unsee.evaluation.metrics import GAP_GROUPS, is_broken
from unsee.methods.config import own_options
from unsee.methods.registry import get_method
from unsee.models.shipped import list_shipped
from unsee.studies import trial
from unsee.studies.ledger import Ledger, fingerprint
from unsee.studies.parallel import each

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

VANILLA, GOLD, AGAIN = "vanilla", "gold", "gold, another seed"
REFERENCES = (GOLD, VANILLA, AGAIN)
FRESH = True
"""Every run has a process of its own: memory that an earlier one left would count as its own."""
Options = Mapping[str, Any]


def _set(people: str, percent: int) -> str:
    """`test`, `test-15` …, as the golds are named."""
    return people if percent == 5 else f"{people}-{percent}"


def references(models: Path, people: str, percent: int, seed: int) -> dict[str, str]:
    """The checkpoints that methods are read against, by name.

    Args:
        models: folder of `unsee faces train`; for the demo people of seed 0 the shipped models do
            where it holds none.
        people: `test`, `validation` or `demo`.
        percent: size of the forget set.
        seed: of the models.

    Returns:
        `vanilla` and `gold`; `gold, another seed`, for the floor, where it is there.

    Raises:
        UnseeError: vanilla or gold is missing.
    """
    kind = f"gold-{_set(people, percent)}"
    root = models / f"seed{seed}"
    shipped = {model.name: str(model.path) for model in list_shipped()}
    if not (root / VANILLA).exists() and f"seed{seed}/{kind}" in shipped:
        return {GOLD: shipped[f"seed{seed}/{kind}"], VANILLA: shipped[f"seed{seed}/{VANILLA}"]}
    vanilla, gold = trial.models_of(models, seed, VANILLA, kind)
    found = {GOLD: gold, VANILLA: vanilla}
    if (root / f"{kind}@1" / "config.json").exists():
        found[AGAIN] = str(root / f"{kind}@1")
    return found


def compare(
    models: Path,
    output: Path,
    faces: Faces,
    methods: Iterable[str],
    seeds: Sequence[int] = (0,),
    people: str = "test",
    percent: int = 5,
    settings: Mapping[str, Options] | None = None,
    keep: Path | None = None,
    say: Callable[[str], None] = print,
    jobs: int = 1,
    done: Callable[[Ledger], None] = lambda ledger: None,
) -> Ledger:
    """Measures what is missing from the result file.

    Args:
        models: see `references`.
        output: result file; rows are appended. A row is told by `method`, `forget_ratio`, `seed`
            and `trained_with`, all options: with other options a method is measured anew, and the
            newest row counts.
        faces: the embedded benchmark.
        methods: names of methods.
        seeds: of the models.
        people: `test`, `validation` or `demo`.
        percent: size of the forget set.
        settings: options of methods that differ from their defaults, by method.
        keep: folder for the checkpoints, `seed0/test/vkd` …; what is scored is what is kept, and
            its `checkpoint` in the row tells it. A method that failed is tried again, unless its
            weights were not finite.
        say: called with a line of progress.
        jobs: methods at a time, each in a process of its own with its share of the cores.
        done: called after every row.

    Raises:
        UnseeError: a vanilla or a gold is missing, or `keep` can't be a folder.
    """
    settings, methods = settings or {}, list(methods)
    for above in (keep, *keep.parents) if keep else ():
        if above.exists() and not (above.is_dir() and os.access(above, os.W_OK)):
            raise UnseeError(f"{above} is no folder that can be written to: choose another one")
        if above.exists():
            break
    about = {"study": "leaderboard", "people": people}
    ledger = Ledger(output, about, ("method", "forget_ratio", "seed", "trained_with"))
    sources = {seed: references(models, people, percent, seed) for seed in seeds}
    for seed in seeds:
        _of_seed(
            ledger,
            sources[seed],
            make_split(people, seed, percent),
            {m: dict(settings.get(m, {})) for m in methods},
            {"forget_ratio": percent, "seed": seed},
            keep and keep / f"seed{seed}" / _set(people, percent),
            (faces, say, jobs, done),
        )
    return ledger


def _of_seed(
    ledger: Ledger,
    sources: Mapping[str, str],
    split: Split,
    methods: Mapping[str, Options],
    of: Mapping[str, Any],
    keep: Path | None,
    how: tuple[Any, ...],
) -> None:
    """Adds the rows of a seed that are missing, the references' first."""
    faces, say, jobs, done = how
    checkpoints = {
        name: ledger.same_model(name, source, method=name, **of) for name, source in sources.items()
    }
    missing = {}
    for name, options in methods.items():
        config = get_method(name).classes()[1]
        trained_with = json.loads(json.dumps(own_options(config(output_dir="", **options))))
        found = ledger.find(method=name, trained_with=trained_with, **of)
        lost = keep and found and _lost(keep / name, found)
        if found is None or lost or ("failed" in found and trial.DIVERGED not in found):
            missing[name] = (options, trained_with)
        elif found is not _newest(ledger.rows, name, of):
            ledger.add(found)  # measured before, and asked for now
    asked = [name for name in sources if not ledger.find(method=name, **of)]
    if not missing and not asked:
        return
    gold, gold_rows = trial.ask(sources[GOLD], faces, split, split.pictures)

    def add(name: str, found: dict[str, Any], rows: list[Any], **more: Any) -> None:
        row = {"method": name, **more, **of, **found}
        if name != GOLD and "failed" not in found:
            row |= distance_to_gold(found, rows, gold, gold_rows)
            vanilla = found if name == VANILLA else _newest(ledger.rows, VANILLA, of)
            row |= {"broken": is_broken(found, vanilla)} if vanilla else {}
        ledger.add(row)
        said = found.get("failed") or f"{row.get('gold_gap', 0):.1f} points to gold"
        say(f"seed {of['seed']}, {name}: {said}")
        done(ledger)

    for name in asked:
        found, rows = (
            (gold, gold_rows)
            if name == GOLD
            else trial.ask(sources[name], faces, split, split.pictures)
        )
        add(name, found, rows, fidelity="reference", checkpoint=checkpoints[name])
    tasks = {
        name: (sources[VANILLA], name, dict(options), split, keep and keep / name)
        for name, (options, _) in missing.items()
    }
    for name, (found, rows) in each(_kept, tasks, jobs, fresh=FRESH):
        fidelity, trained_with = get_method(name).fidelity, missing[name][1]
        settings = "tuned" if missing[name][0] else "default"
        more = {"fidelity": fidelity, "settings": settings, "trained_with": trained_with}
        add(name, found, rows, **more)


def _lost(kept: Path, row: Mapping[str, Any]) -> bool:
    """Whether a method's checkpoint is not, or no longer, the one of its row."""
    if "failed" in row:
        return False
    return not (kept / "config.json").exists() or fingerprint(str(kept)) != row.get(trial.KEPT)


def _newest(rows: Sequence[dict[str, Any]], method: str, of: Mapping[str, Any]) -> Any:
    wanted = {"method": method, **of}
    return next((r for r in reversed(rows) if wanted.items() <= r.items()), None)


def _kept(source: str, method: str, options: Options, split: Split, keep: Path | None) -> Any:
    return trial.attempted(source, method, options, split, keep=keep)


MEANS = (
    *(f"{group}/vqa_accuracy" for group in GAP_GROUPS),
    *("forget/abstain_rate", "forget/misattribution_rate", "stranger/abstain_rate"),
    *("forget/text_accuracy", "text_kl", "js_to_gold"),
    *("seconds", "peak_memory_mb", "trained_parameters"),
)
"""What `summary` averages over seeds."""


def summary(rows: Sequence[dict[str, Any]], percent: int = 5) -> list[dict[str, Any]]:
    """A line a method, over its seeds: means of `MEANS`, and the gap to gold.

    Args:
        rows: of `compare`; a method's newest row says which options count, and of several rows of a
            seed the last counts.
        percent: size of the forget set.

    Returns:
        Lines with `method`, `fidelity`, `settings`, `seeds`, `gap` (value, low, high) over the
        people of all seeds together, `broken` (with any seed), `failures` (seeds with which it
        could not be run) and `failed` (why not). Vanilla and gold come first, then methods by their
        gap; broken ones last, and failed ones behind them.
    """
    of_size = [row for row in rows if row["forget_ratio"] == percent]
    settings = {row["method"]: row.get("trained_with") for row in of_size}  # the newest
    newest = {
        (row["method"], row["seed"]): row
        for row in of_size
        if row.get("trained_with") == settings[row["method"]]
    }
    golds = {seed: row for (name, seed), row in newest.items() if name == GOLD}
    before = {seed: row for (name, seed), row in newest.items() if name == VANILLA}
    lines = []
    for name in dict.fromkeys(name for name, _ in newest):
        of_name = {seed: row for (other, seed), row in newest.items() if other == name}
        failed = [row["failed"] for row in of_name.values() if "failed" in row]
        seeds = sorted(s for s in of_name if s in golds and "failed" not in of_name[s])
        fidelity = next(iter(of_name.values()))["fidelity"]
        line: dict[str, Any] = {"method": name, "fidelity": fidelity, "seeds": len(seeds)}
        for key in MEANS:
            values = [of_name[s][key] for s in seeds if of_name[s].get(key) is not None]
            line[key] = sum(values) / len(values) if values else None
        if name != GOLD and seeds:
            ours, theirs = ([x[s]["by_person"] for s in seeds] for x in (of_name, golds))
            line["gap"] = gap_interval(ours, theirs)
        line["broken"] = any(is_broken(of_name[s], before[s]) for s in seeds if s in before)
        line["settings"] = next(iter(of_name.values())).get("settings", "")
        line["failed"] = failed[0] if failed else ""
        line["failures"] = len(failed)
        lines.append(line)

    def place(line: dict[str, Any]) -> tuple[Any, ...]:
        first = {VANILLA: 0, GOLD: 1, AGAIN: 2}.get(line["method"], 3)
        return (first, not line["seeds"], line["broken"], line.get("gap", (0,))[0])

    return sorted(lines, key=place)
