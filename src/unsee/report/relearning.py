"""Relearning curves as a table and as a figure that needs no colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unsee.report.words import MISSING, esc, percent_cell

TOLERATED = 0.10
"""Attacks that cost retained people more than this are the attacker's failure and not counted."""
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 5", "12 5")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 520, 260, 46, 16, 130, 34


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
            rate: [
                {name: sum(p[name] for p in points) / len(points) for name in points[0]}
                for points in zip(*curves, strict=True)
            ]
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


def relearning_table(result: dict[str, Any]) -> str:
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
        cells += [percent_cell(x) for x in (curve[0]["other"], at_20, curve[-1]["other"])]
        cells += [excess, percent_cell(curve[-1]["attacked"]), percent_cell(curve[-1]["retain"])]
        cells.append(percent_cell(ends.get((line["model"], "text_only", access))))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def relearning_svg(result: dict[str, Any], access: str) -> str:
    """The curves of the attributes that were not trained, a dash pattern and a label a model."""
    found = [
        line
        for line in worst(result["rows"])
        if line["people"] == "forget" and line["access"] == access
    ]
    steps = max((line["curve"][-1]["step"] for line in found), default=1)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: dict[str, float]) -> tuple[float, float]:
        return LEFT + wide * point["step"] / steps, TOP + high * (1 - point["other"])

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" aria-label="Relearning, {esc(access)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0, 0.5, 1):
        y = TOP + high * (1 - share)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + wide}" y2="{y}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for step in (0, steps // 2, steps):
        x = LEFT + wide * step / steps
        parts.append(f'<text x="{x}" y="{HEIGHT - 16}" text-anchor="middle">{step}</text>')
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 2}" text-anchor="middle">updates</text>'
    )
    taken: list[float] = []
    for number, line in enumerate(found):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, line["curve"]))
        dash = DASHES[number % len(DASHES)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="black" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        x, y = at(line["curve"][-1])
        while any(abs(y - other) < 14 for other in taken):
            y += 14 if y < HEIGHT / 2 else -14
        taken.append(y)
        label = f"{line['model']} {line['curve'][-1]['other']:.0%}"
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}">{esc(label)}</text>')
    return "\n".join([*parts, "</svg>", ""])
