"""Relearning curves as a table and as a figure that needs no colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unsee.report.lines import line_chart
from unsee.report.words import MISSING, percent_cell

TOLERATED = 0.10
"""Attacks that cost retained people more than this are the attacker's failure and not counted."""


def _mean(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the same point of several seeds; `people` of all seeds are thrown together."""
    found = {n: sum(p[n] for p in points) / len(points) for n in points[0] if n != "people"}
    return {**found, "people": [share for p in points for share in p["people"]]}


def interval(point: dict[str, Any], count: int = 2000) -> tuple[float, float]:
    """95 % interval of a point's `other`, by a bootstrap over people."""
    shares = np.array(point["people"])
    drawn = np.random.default_rng(0).integers(len(shares), size=(count, len(shares)))
    low, high = np.quantile(shares[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def worst(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each (model, people, access, share), the curve of the learning rate that brings back most.

    Over seeds the mean of the curves; what counts is the end of `other`, the attributes that were
    not trained. Rates whose attack leaves retained people more than `TOLERATED` below where they
    began are left out, unless all do: then the line says `broken`.
    """
    grouped: dict[tuple[Any, ...], dict[float, list[Any]]] = {}
    for row in rows:
        key = (row["model"], row["people"], row["access"], row["share"])
        grouped.setdefault(key, {}).setdefault(row["learning_rate"], []).append(row["curve"])
    lines = []
    for key, by_rate in grouped.items():
        means = {
            rate: [_mean(points) for points in zip(*curves, strict=True)]
            for rate, curves in by_rate.items()
        }
        fair = {r: c for r, c in means.items() if c[-1]["retain"] >= c[0]["retain"] - TOLERATED}
        rate = max(fair or means, key=lambda r: (fair or means)[r][-1]["other"])
        names = ("model", "people", "access", "share")
        line = dict(zip(names, key, strict=True))
        seeds = len(by_rate[rate])
        lines.append({**line, "learning_rate": rate, "curve": means[rate], "seeds": seeds})
        lines[-1]["broken"] = not fair
    return lines


def relearning_table(result: Mapping[str, Any]) -> str:
    """Markdown table: where each model begins, after 20 updates, and at the end; in percent."""
    lines = [
        "| model | attacker trains | begins | after 20 | at the end | excess over gold | "
        "trained attributes | retained | text-only people, at the end |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    found = worst(result["rows"])
    ends = {(x["model"], x["people"], x["access"]): x["curve"][-1]["other"] for x in found}
    for line in found:
        if line["people"] != "forget":
            continue
        curve, access = line["curve"], line["access"]
        at_20 = next((p["other"] for p in curve if p["step"] == 20), None)
        gold = ends.get(("gold", "forget", access))
        excess = MISSING if gold is None else f"{100 * (curve[-1]['other'] - gold):+.1f}"
        cells = [line["model"] + (" (broken)" if line["broken"] else ""), access]
        cells += [percent_cell(x) for x in (curve[0]["other"], at_20)]
        low, high = map(percent_cell, interval(curve[-1]))
        cells.append(f"{percent_cell(curve[-1]['other'])} [{low}, {high}]")
        cells += [excess, percent_cell(curve[-1]["attacked"]), percent_cell(curve[-1]["retain"])]
        cells.append(percent_cell(ends.get((line["model"], "text_only", access))))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def relearning_svg(result: Mapping[str, Any], access: str) -> str:
    """The curves of the attributes that were not trained, a dash pattern and a label a model."""
    found = [
        line
        for line in worst(result["rows"])
        if line["people"] == "forget" and line["access"] == access
    ]
    steps = [int(point["step"]) for point in found[0]["curve"]] if found else [0]
    shown = {0, steps[len(steps) // 2], steps[-1]}
    return line_chart(
        f"Relearning, {access}",
        {line["model"]: [point["other"] for point in line["curve"]] for line in found},
        [str(step) if step in shown else "" for step in steps],
        "updates",
        {line["model"]: interval(line["curve"][-1]) for line in found},
    )
