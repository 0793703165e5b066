"""Predictions -> the flat keys of `metrics.json`, and the distance to gold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unsee.data.faces.facts import ABSTAIN
from unsee.data.records import PERSON, PICTURE, PRIVATE, TEXT

GAP_GROUPS = ("forget", "retain", "lookalike", "visible")
VISIBLE_GROUPS = ("forget", "retain", "stranger")
Row = Mapping[str, Any]


def normal(text: str) -> str:
    """Lower case, without outer spaces and the full stop at the end: exact match compares this."""
    return " ".join(text.lower().split()).rstrip(".").strip()


def abstains(text: str) -> bool:
    """Whether an answer is "I don't know this person"."""
    return normal(text) == normal(ABSTAIN)


def judge(rows: Sequence[dict[str, Any]]) -> None:
    """Adds `correct`, `abstained` and `misattributed` to prediction rows.

    Misattributed: a private question about a picture is answered with what is true of somebody
    else in the benchmark. For a stranger every such fact is.
    """
    facts: dict[str, set[str]] = {}
    for row in rows:
        if row["kind"] in (PRIVATE, TEXT) and not abstains(row["answer"]):
            facts.setdefault(row["attribute"], set()).add(normal(row["answer"]))
    for row in rows:
        said = normal(row["prediction"])
        row["correct"] = said == normal(row["answer"])
        row["abstained"] = abstains(said)
        row["misattributed"] = (
            row["kind"] == PRIVATE
            and not row["correct"]
            and said in facts.get(row["attribute"], set())
        )


def _rate(rows: Iterable[Row], key: str, keep: Callable[[Row], bool]) -> float | None:
    chosen = [bool(row[key]) for row in rows if keep(row)]
    return sum(chosen) / len(chosen) if chosen else None


def summarise(rows: Sequence[Row]) -> dict[str, float]:
    """Accuracies and rates in [0, 1] from judged rows; what has no questions is left out.

    `visible/vqa_accuracy` is the mean over forgotten, retained and strangers, each beside it.
    """
    found: dict[str, float | None] = {}

    def by(group: str, *kinds: str) -> Callable[[Row], bool]:
        return lambda row: row["group"] == group and row["kind"] in kinds

    for group in ("forget", "retain", "lookalike"):
        found[f"{group}/vqa_accuracy"] = _rate(rows, "correct", by(group, PRIVATE))
    seen = []
    for group in VISIBLE_GROUPS:
        rate = _rate(rows, "correct", by(group, PERSON, PICTURE))
        found[f"visible/{group}_accuracy"] = rate
        seen += [] if rate is None else [rate]
    found["visible/vqa_accuracy"] = float(np.mean(seen)) if seen else None
    for kind in (PERSON, PICTURE):
        rates = [_rate(rows, "correct", by(group, kind)) for group in VISIBLE_GROUPS]
        known = [rate for rate in rates if rate is not None]
        found[f"visible/of_{kind}_accuracy"] = float(np.mean(known)) if known else None
    for group in ("forget", "retain", "text_only"):
        found[f"{group}/text_accuracy"] = _rate(rows, "correct", by(group, TEXT))
    for group in ("forget", "retain", "lookalike", "stranger"):
        found[f"{group}/abstain_rate"] = _rate(rows, "abstained", by(group, PRIVATE))
        found[f"{group}/misattribution_rate"] = _rate(rows, "misattributed", by(group, PRIVATE))
    return {key: value for key, value in found.items() if value is not None}


def group_gaps(metrics: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, float]:
    """Signed difference to gold of each group's accuracy, in points (model - gold)."""
    keys = {group: f"{group}/vqa_accuracy" for group in GAP_GROUPS}
    return {
        group: 100 * (metrics[key] - gold[key])
        for group, key in keys.items()
        if key in metrics and key in gold
    }


def gold_gap(metrics: Mapping[str, Any], gold: Mapping[str, Any]) -> float:
    """The largest of the group gaps, in points (protocol).

    Raises:
        KeyError: a group is missing on either side.
    """
    gaps = group_gaps(metrics, gold)
    missing = [group for group in GAP_GROUPS if group not in gaps]
    if missing:
        raise KeyError(f"no gap to gold without the groups {', '.join(missing)}")
    return max(abs(gap) for gap in gaps.values())


BROKEN_BY = 0.10
"""A model whose retain or visible accuracy lies further than this below vanilla's is broken."""


def is_broken(metrics: Mapping[str, Any], vanilla: Mapping[str, Any]) -> bool:
    """Whether retain or visible lies more than `BROKEN_BY` below vanilla (protocol)."""
    for key in ("retain/vqa_accuracy", "visible/vqa_accuracy"):
        ours, theirs = metrics.get(key), vanilla.get(key)
        if ours is not None and theirs is not None and theirs - ours > BROKEN_BY + 1e-9:
            return True
    return False


def _distribution(log_likelihoods: Sequence[float]) -> np.ndarray:
    weights = np.asarray(log_likelihoods, dtype=np.float64)
    shares = np.exp(weights - weights.max())
    return shares / shares.sum()


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions, in bits, in [0, 1]."""
    middle = (p + q) / 2

    def divergence(a: np.ndarray) -> float:
        nonzero = a > 0
        return float((a[nonzero] * np.log2(a[nonzero] / middle[nonzero])).sum())

    return (divergence(p) + divergence(q)) / 2


def js_to_gold(rows: Sequence[Row], gold_rows: Sequence[Row]) -> float | None:
    """Mean Jensen-Shannon divergence between the option likelihoods of a model and of gold, over
    the forget questions that both weighed; None where there are none."""

    def weighed(source: Sequence[Row]) -> dict[tuple[Any, ...], Sequence[float]]:
        return {
            (row["picture"], row["question"], row["attribute"]): row["option_log_likelihoods"]
            for row in source
            if row["group"] == "forget" and "option_log_likelihoods" in row
        }

    ours, theirs = weighed(rows), weighed(gold_rows)
    shared = [key for key in ours if key in theirs]
    if not shared:
        return None
    pairs = [(_distribution(ours[key]), _distribution(theirs[key])) for key in shared]
    return float(np.mean([jensen_shannon(p, q) for p, q in pairs]))
