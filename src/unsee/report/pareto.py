"""The trade of an ablation: what is forgotten against what is kept, in SVG without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsee.report.words import esc

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 400, 52, 18, 20, 44
MARKS = {"vanilla": "□", "gold": "◇"}


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the points that no other beats in both (forgotten: less is better; kept: more is),
    from the one that forgets most."""
    kept = []
    for name, (x, y) in points.items():
        beaten = any(a <= x and b >= y and (a, b) != (x, y) for other, (a, b) in points.items())
        if not beaten:
            kept.append(name)
    return sorted(kept, key=lambda name: points[name])


def pareto_svg(rows: Sequence[Mapping[str, Any]], kept: str) -> str:
    """One point a variant, the front joined and named; broken ones are never on it.

    Args:
        rows: of an ablation, of one or several seeds, which are averaged.
        kept: what is kept: `retain`, `lookalike` or `visible`.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    broken = {row["variant"] for row in rows if row.get("broken")}
    for row in rows:
        if "failed" in row:
            continue
        pair = row["forget/vqa_accuracy"], row[f"{kept}/vqa_accuracy"]
        found.setdefault(row["variant"], []).append(pair)
    points = {
        name: (sum(x for x, _ in pairs) / len(pairs), sum(y for _, y in pairs) / len(pairs))
        for name, pairs in found.items()
    }
    best = front({name: point for name, point in points.items() if name not in {*MARKS, *broken}})
    lowest = min(0.9, *(y for _, y in points.values())) - 0.02
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return LEFT + wide * point[0], TOP + high * (1 - (point[1] - lowest) / (1 - lowest))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="11" aria-label="Forgotten against kept ({kept})">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LEFT + wide * share
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{TOP + high}" stroke="#ddd"/>')
        place = f'x="{x}" y="{HEIGHT - 26}" text-anchor="middle"'
        parts.append(f"<text {place}>{share:.0%}</text>")
    for number in range(4):
        value = lowest + (1 - lowest) * number / 3
        y = at((0, value))[1]
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0%}</text>')
    below = "people to forget still recognised (less is better)"
    parts.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 8}" text-anchor="middle">{below}</text>'
    )
    line = " ".join("{:.1f},{:.1f}".format(*at(points[name])) for name in best)
    parts.append(f'<polyline points="{line}" fill="none" stroke="black" stroke-dasharray="4 3"/>')
    for name, point in points.items():
        x, y = at(point)
        title = (
            f"<title>{esc(name)}: {point[0]:.1%} forgotten people, {point[1]:.1%} {kept}</title>"
        )
        if name in MARKS:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 5:.1f}" text-anchor="middle" font-size="16">'
                f"{MARKS[name]}{title}</text>"
            )
        else:
            fill = "black" if name in best else "white"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="black">'
                f"{title}</circle>"
            )
    taken: list[float] = []
    for name in [*best, *(mark for mark in MARKS if mark in points)]:
        x, y = at(points[name])
        y += 4
        while any(abs(y - other) < 12 for other in taken):
            y += 12
        taken.append(y)
        end = x > LEFT + wide * 0.7
        place = f'x="{x - 8:.1f}" text-anchor="end"' if end else f'x="{x + 8:.1f}"'
        parts.append(f'<text {place} y="{y:.1f}">{esc(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
