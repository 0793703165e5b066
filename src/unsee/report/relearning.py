"""Relearning curves as a table and as a figure that needs no colour."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsee.errors import UnseeError
from unsee.evaluation.metrics import BROKEN_BY
from unsee.report.lines import line_chart
from unsee.report.words import MISSING, percent_cell


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
    """Of each (model, people, access, share), the curve of the learning rate that is worst for us.

    Over seeds the mean of the curves. What counts is the end of `other`, the attributes that were
    not trained: above that of `gold` under the same attack, where there is a gold. Rates whose
    attack leaves retained people more than `BROKEN_BY` below `vanilla` (below where they began, if
    there is no vanilla) are left out, unless all do: then the line says `broken`.

    Returns:
        Lines with `model`, `people`, `access`, `share`, `learning_rate`, `curve`, `seeds`,
        `broken`, and `excess` over gold, None without one.
    """
    grouped: dict[tuple[Any, ...], dict[float, list[Any]]] = {}
    for row in rows:
        key = (row["model"], row["people"], row["access"], row["share"])
        grouped.setdefault(key, {}).setdefault(row["learning_rate"], []).append(row["curve"])
    means = {
        key: {
            rate: [_mean(points) for points in zip(*curves, strict=True)]
            for rate, curves in by_rate.items()
        }
        for key, by_rate in grouped.items()
    }
    before = [curves for key, by in means.items() if key[0] == "vanilla" for curves in by.values()]
    kept = max((curve[0]["retain"] for curve in before), default=None)
    lines = []
    for key, by_rate in means.items():
        golds = means.get(("gold", *key[1:]), {})
        fair = {
            rate: curve
            for rate, curve in by_rate.items()
            if curve[-1]["retain"] >= (curve[0]["retain"] if kept is None else kept) - BROKEN_BY
        }
        excess = {
            rate: curve[-1]["other"] - (golds[rate][-1]["other"] if rate in golds else 0.0)
            for rate, curve in (fair or by_rate).items()
        }
        rate = max(excess, key=excess.__getitem__)
        line = dict(zip(("model", "people", "access", "share"), key, strict=True))
        line |= {"learning_rate": rate, "curve": by_rate[rate], "seeds": len(grouped[key][rate])}
        line |= {"broken": not fair, "excess": excess[rate] if rate in golds else None}
        lines.append(line)
    return lines


def relearning_table(result: Mapping[str, Any]) -> str:
    """Markdown table: where each model begins, after 20 updates, and at the end; in percent."""
    lines = [
        "| model | attacker trains | his pictures | begins | after 20 | at the end | "
        "excess over gold | trained attributes | retained | text-only people, at the end |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    found = worst(result["rows"])
    controls = {
        (x["model"], x["access"], x["share"]): x["curve"][-1]["other"]
        for x in found
        if x["people"] == "text_only"
    }
    for line in found:
        if line["people"] != "forget":
            continue
        curve = line["curve"]
        at_20 = next((p["other"] for p in curve if p["step"] == 20), None)
        cells = [line["model"] + (" (broken)" if line["broken"] else ""), line["access"]]
        cells += [f"{line['share']:.0%}"]
        cells += [percent_cell(x) for x in (curve[0]["other"], at_20)]
        low, high = map(percent_cell, interval(curve[-1]))
        cells.append(f"{percent_cell(curve[-1]['other'])} [{low}, {high}]")
        cells.append(MISSING if line["excess"] is None else f"{100 * line['excess']:+.1f}")
        cells += [percent_cell(curve[-1]["attacked"]), percent_cell(curve[-1]["retain"])]
        control = controls.get((line["model"], line["access"], line["share"]))
        lines.append("| " + " | ".join([*cells, percent_cell(control)]) + " |")
    return "\n".join(lines)


def relearning_svg(result: Mapping[str, Any], access: str) -> str:
    """The curves of the attributes that were not trained, a dash pattern and a label a model; of
    the smallest share, if there are several."""
    found = [
        line
        for line in worst(result["rows"])
        if line["people"] == "forget" and line["access"] == access
    ]
    found = [line for line in found if line["share"] == min(x["share"] for x in found)]
    steps = [int(point["step"]) for point in found[0]["curve"]] if found else [0]
    shown = {0, steps[len(steps) // 2], steps[-1]}
    return line_chart(
        f"Relearning, {access}",
        {line["model"]: [point["other"] for point in line["curve"]] for line in found},
        [str(step) if step in shown else "" for step in steps],
        "updates",
        {line["model"]: interval(line["curve"][-1]) for line in found},
    )


def read_relearning(path: Path) -> dict[str, Any]:
    """Reads a result file of `unsee attack relearn`.

    Raises:
        UnseeError: it can't be read, or is something else.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        worst(result["rows"])
    except (OSError, ValueError) as error:
        raise UnseeError(f"{path} can't be read: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnseeError(f"{path} holds no curves of `unsee attack relearn`") from error
    return result
