"""The settings of a method, by trials on validation people: the same number for every method.

A method says in its configuration's `space` what is tuned: ranges (low, high), searched on a
logarithmic scale, or lists of choices. The first trial is the defaults; then Optuna's TPE proposes.
The criterion is `gold_gap`, a mean over seeds; broken models (protocol) come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import make_split
from unsee.errors import UnseeError, optional
from unsee.evaluation.gold import distance_to_gold
from unsee.evaluation.metrics import GAP_GROUPS, is_broken
from unsee.methods.registry import get_method
from unsee.studies import trial
from unsee.studies.compare import GOLD, VANILLA, references
from unsee.studies.ledger import Ledger
from unsee.studies.parallel import each

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

BROKEN = 1000.0
"""Added to the criterion of a broken model; a failed one counts as twice this."""
RANDOM = 4
"""Trials before TPE has anything to go by: the defaults, and drawn at random."""


def space_of(method: str) -> dict[str, Any]:
    """What is tuned of a method: option -> (low, high), or a list of choices."""
    return dict(get_method(method).classes()[1].space)  # type: ignore[attr-defined]


def _distributions(method: str) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        name: FloatDistribution(values[0], values[1], log=True)
        if isinstance(values, tuple)
        else CategoricalDistribution(values)
        for name, values in space_of(method).items()
    }


def fits(method: str, options: Mapping[str, Any]) -> bool:
    """Whether options of a trial lie in what is searched of a method now."""
    space = space_of(method)
    return options.keys() == space.keys() and all(
        space[name][0] <= value <= space[name][1]
        if isinstance(space[name], tuple)
        else value in space[name]
        for name, value in options.items()
    )


def propose(method: str, rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Options of the next trial, by what came out so far.

    Args:
        method: name of the method.
        rows: its trials, with `options` and `criterion`.
        seed: of the proposals.
    """
    import optuna

    if not rows:
        defaults = get_method(method).classes()[1](output_dir="")
        return {name: getattr(defaults, name) for name in space_of(method)}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed + len(rows), n_startup_trials=RANDOM)
    study = optuna.create_study(sampler=sampler)
    distributions = _distributions(method)
    for row in rows:
        done = {"params": row["options"], "value": row["criterion"]}
        study.add_trial(optuna.trial.create_trial(distributions=distributions, **done))
    return {n: round_to(v) for n, v in study.ask(distributions).params.items()}


def round_to(value: Any, digits: int = 3) -> Any:
    """A number to some significant digits; anything else as it is."""
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def tune(
    models: Path,
    output: Path,
    faces: Faces,
    methods: Iterable[str],
    seeds: Sequence[int] = (0,),
    trials: int = 8,
    people: str = "validation",
    say: Callable[[str], None] = print,
    jobs: int = 1,
) -> Ledger:
    """Makes the trials that are missing from the result file.

    Args:
        models: folder of `unsee faces train` with `vanilla` and the golds.
        output: result file; a row a trial, appended.
        faces: the embedded benchmark.
        methods: names of methods.
        seeds: of the models; each is run in every trial.
        trials: of each method.
        people: `validation`, or `demo` (with the shipped models, to look at the command).
        say: called with a line of progress.
        jobs: methods at a time, each in a process of its own with its share of the cores.

    Raises:
        UnseeError: Optuna or a model is missing, a method has nothing to tune, or the result file
            has trials of another search space.
    """
    optional("optuna", "tune")
    methods = list(methods)
    for method in methods:
        if not space_of(method):
            raise UnseeError(f"{method} has nothing to tune: its configuration has no `space`")
    about = {"study": "tuning", "people": people, "seeds": list(seeds), "criterion": "gold_gap"}
    ledger = Ledger(output, about, ("method", "trial"))
    for row in ledger.rows:
        if row["method"] in methods and not fits(row["method"], row["options"]):
            raise UnseeError(
                f"{output} has a trial of {row['method']} from before its search space was "
                "changed: name another --output, or take its rows out"
            )
    sources = {seed: references(models, people, 5, seed) for seed in seeds}
    for seed, found in sources.items():
        about_model = {
            n: ledger.same_model(n, found[n], method=n, seed=seed) for n in (GOLD, VANILLA)
        }
        for name, checkpoint in about_model.items():
            if not any(r["method"] == name and r["seed"] == seed for r in ledger.rows):
                ledger.add({"method": name, "seed": seed, "checkpoint": checkpoint})
    asked: dict[int, Any] = {}
    for number in range(trials):
        tasks: dict[str, tuple[Any, ...]] = {}
        for method in methods:
            done = ledger.find(method=method, trial=number)
            if done and ("failed" not in done or trial.DIVERGED in done):
                continue
            rows = [r for r in trials_of(ledger.rows, method) if r["trial"] != number]
            tasks[method] = (method, propose(method, rows), sources, people)
        if tasks and not asked:
            for seed, found in sources.items():
                split = make_split(people, seed)
                asked[seed] = {
                    n: trial.ask(found[n], faces, split, split.pictures) for n in (GOLD, VANILLA)
                }
        for method, results in each(_attempt, tasks, jobs):
            row = {"method": method, "trial": number, "options": tasks[method][1]}
            row |= _judged(results, asked)
            ledger.add(row)
            said = row.get("failed") or f"{row['gold_gap']:.1f} points to gold"
            broken = ", broken" if row["broken"] else ""
            say(f"{method}, trial {number + 1} of {trials}: {said}{broken} {row['options']}")
    return ledger


def _attempt(
    method: str, options: Mapping[str, Any], sources: Mapping[int, Mapping[str, str]], people: str
) -> dict[int, Any]:
    """Seed -> what `trial.attempted` finds; the seeds behind one that failed are left out."""
    results: dict[int, Any] = {}
    for seed, found in sources.items():
        split = make_split(people, seed)
        results[seed] = trial.attempted(found[VANILLA], method, options, split)
        if "failed" in results[seed][0]:
            break
    return results


def _judged(results: Mapping[int, Any], asked: Mapping[int, Any]) -> dict[str, Any]:
    """`criterion`, `gold_gap`, `broken` and the groups' accuracies, means over seeds."""
    failed = [found["failed"] for found, _ in results.values() if "failed" in found]
    if failed:
        diverged = any(trial.DIVERGED in found for found, _ in results.values())
        more = {trial.DIVERGED: True} if diverged else {}
        return {"failed": failed[0], "broken": True, "criterion": 2 * BROKEN, **more}
    gaps, broken, scores = [], False, []
    for seed, (found, rows) in results.items():
        gaps.append(distance_to_gold(found, rows, *asked[seed][GOLD])["gold_gap"])
        broken |= is_broken(found, asked[seed][VANILLA][0])
        scores.append(found)
    gap = sum(gaps) / len(gaps)
    keys = [f"{group}/vqa_accuracy" for group in GAP_GROUPS]
    keys += ["forget/abstain_rate", "stranger/abstain_rate", "seconds"]
    means = {
        key: round(sum(found[key] for found in scores) / len(scores), 4)
        for key in keys
        if all(key in found for found in scores)
    }
    return {"criterion": gap + BROKEN * broken, "gold_gap": gap, "broken": broken, **means}


def trials_of(rows: Iterable[Mapping[str, Any]], method: str) -> list[Mapping[str, Any]]:
    """The trials of a method in their order; of one that was made again, the newest row."""
    newest = {r["trial"]: r for r in rows if r["method"] == method and "trial" in r}
    return [newest[number] for number in sorted(newest)]


def best(rows: Iterable[Mapping[str, Any]], method: str) -> Mapping[str, Any]:
    """The trial of a method with the smallest criterion, the earliest of equal ones.

    Raises:
        UnseeError: all of its trials failed, or there are none.
    """
    tried = [r for r in trials_of(rows, method) if "failed" not in r]
    if not tried:
        raise UnseeError(f"no trial of {method} could be run")
    return min(tried, key=lambda row: row["criterion"])
