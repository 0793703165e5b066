"""How far a model is from gold: the gaps, the headline and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsee.evaluation.intervals import FEWEST, by_person, gap_interval
from unsee.evaluation.metrics import GAP_GROUPS, Row, gold_gap, group_gaps, js_to_gold


def distance_to_gold(
    scores: Mapping[str, Any],
    rows: Sequence[Row],
    gold: Mapping[str, Any],
    gold_rows: Sequence[Row],
) -> dict[str, float]:
    """The gap of each group in points, and `js_to_gold` in bits; if no group is missing,
    `gold_gap`, with its interval where several people are to be forgotten.

    Args:
        scores: metrics of the model.
        rows: its judged predictions.
        gold: metrics of gold, asked the same questions.
        gold_rows: its judged predictions.
    """
    gaps = group_gaps(scores, gold)
    found = {f"gold_gap/{group}": round(gap, 3) for group, gap in gaps.items()}
    if len(gaps) == len(GAP_GROUPS):
        found["gold_gap"] = round(gold_gap(scores, gold), 3)
        counts = by_person(rows)
        if len(counts.get("forget", {})) >= FEWEST:
            _, low, high = gap_interval([counts], [by_person(gold_rows)])
            found |= {"gold_gap_low": round(low, 3), "gold_gap_high": round(high, 3)}
    divergence = js_to_gold(rows, gold_rows)
    if divergence is not None:
        found["js_to_gold"] = round(divergence, 4)
    return found
