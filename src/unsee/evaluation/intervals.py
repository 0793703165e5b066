"""Intervals by the bootstrap over people: who was asked about is drawn anew, questions stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unsee.data.records import PERSON, PICTURE, PRIVATE
from unsee.evaluation.metrics import GAP_GROUPS, VISIBLE_GROUPS

Counts = dict[str, dict[int, list[int]]]
"""group -> person -> [right answers, questions]. Groups: `forget`, `retain`, `lookalike`, and
`visible/forget`, `visible/retain`, `visible/stranger`."""


def by_person(rows: Iterable[Mapping[str, Any]]) -> Counts:
    """Right answers and questions of each person in each group, from judged rows."""
    counts: Counts = {}
    for row in rows:
        if row["kind"] == PRIVATE and row["group"] in GAP_GROUPS:
            group = row["group"]
        elif row["kind"] in (PERSON, PICTURE) and row["group"] in VISIBLE_GROUPS:
            group = f"visible/{row['group']}"
        else:
            continue
        found = counts.setdefault(group, {}).setdefault(int(row["person"]), [0, 0])
        found[0] += bool(row["correct"])
        found[1] += 1
    return counts


GROUPS = (*GAP_GROUPS[:3], *(f"visible/{group}" for group in VISIBLE_GROUPS))


def _rate(runs: Sequence[Counts], group: str, draws: Mapping[str, np.ndarray]) -> np.ndarray:
    """Accuracy of a group, [draws + 1], the first without resampling."""
    by_name = (sorted(run.get(group, {}).items(), key=lambda item: str(item[0])) for run in runs)
    people = [counts for items in by_name for _, counts in items]
    if not people:
        raise KeyError(f"no questions in the group {group}")
    table = np.array(people, dtype=float)  # [people, 2]
    picked = np.vstack([np.arange(len(table)), draws[group]])
    right, asked = table[picked].sum(1).T
    return right / asked


def _accuracies(runs: Sequence[Counts], draws: Mapping[str, np.ndarray]) -> np.ndarray:
    """Accuracy of each of `GAP_GROUPS`, [draws + 1, 4], the first row without resampling; people of
    all runs (seeds) of a group are thrown together."""
    rates = {group: _rate(runs, group, draws) for group in GROUPS}
    visible = np.mean([rates[f"visible/{group}"] for group in VISIBLE_GROUPS], axis=0)
    return np.stack([*(rates[group] for group in GAP_GROUPS[:3]), visible], axis=1)


def _draws(runs: Sequence[Counts], count: int, seed: int) -> dict[str, np.ndarray]:
    """Indices of people drawn with replacement within each group, [count, people] each."""
    rng = np.random.default_rng(seed)
    draws = {}
    for group in GROUPS:
        people = sum(len(run.get(group, {})) for run in runs)
        draws[group] = rng.integers(max(people, 1), size=(count, people))
    return draws


FEWEST = 3
"""People of a group from which resampling them says something."""


def accuracy_intervals(
    run: Counts, count: int = 2000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Interval of the accuracy of each of `GAP_GROUPS` that has `FEWEST` people, in [0, 1].

    Args:
        run: counts of one model.
        count: resamples.
        level: of the interval.
        seed: of the resamples.
    """
    draws = _draws([run], count, seed)
    rates = {group: _rate([run], group, draws) for group in GROUPS if run.get(group)}
    seen = [f"visible/{group}" for group in VISIBLE_GROUPS]
    if all(group in rates for group in seen):
        rates["visible"] = np.mean([rates[group] for group in seen], axis=0)
    sources = {group: [group] for group in GAP_GROUPS[:3]} | {"visible": seen}
    found = {}
    for group, names in sources.items():
        if all(len(run.get(name, {})) >= FEWEST for name in names):
            low, high = np.quantile(rates[group][1:], [(1 - level) / 2, (1 + level) / 2])
            found[group] = (float(low), float(high))
    return found


def gap_interval(
    runs: Sequence[Counts],
    golds: Sequence[Counts],
    others: Sequence[Counts] | None = None,
    count: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """`gold_gap` over one or several seeds with its interval, in points.

    Args:
        runs: counts of a method, one a seed.
        golds: counts of the golds of the same seeds, asked the same questions.
        others: counts of another method on the same questions: then the interval is that of the
            difference, runs minus others, each resample taking the same people for all (paired).
        count: resamples.
        level: of the interval.
        seed: of the resamples.

    Returns:
        (value, lower bound, upper bound). Of a gap, the largest of the groups' lower and upper
        bounds; of a difference, the basic bootstrap.

    Raises:
        KeyError: a group without questions.
        ValueError: the sides are not about the same people.
    """
    _same_people(runs, golds, others or ())
    draws = _draws(runs, count, seed)
    gold = _accuracies(golds, draws)
    ends = [(1 - level) / 2, (1 + level) / 2]

    def gaps(of: Sequence[Counts]) -> np.ndarray:
        return 100 * (_accuracies(of, draws) - gold)  # [draws + 1, groups], signed

    ours = gaps(runs)
    if others is None:
        # The largest of several absolute values only grows by noise: so bound each group's first.
        low, high = np.quantile(ours[1:], ends, axis=0)
        nearest = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(abs(low), abs(high)))
        furthest = np.maximum(abs(low), abs(high))
        return float(abs(ours[0]).max()), float(nearest.max()), float(furthest.max())
    values = abs(ours).max(1) - abs(gaps(others)).max(1)
    low, high = 2 * values[0] - np.quantile(values[1:], ends[::-1])  # the basic bootstrap
    return float(values[0]), float(low), float(high)


def _same_people(*sides: Sequence[Counts]) -> None:
    """Resampling takes the same people on every side: so they must be the same.

    Raises:
        ValueError: they are not.
    """
    first, *rest = ([{g: sorted(map(str, c[g])) for g in c} for c in side] for side in sides)
    if any(side and side != first for side in rest):
        raise ValueError("the models were asked about different people: nothing can be compared")
