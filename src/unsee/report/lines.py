"""A line chart of shares, in SVG that needs no colour: a dash pattern and a label for each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unsee.report.words import esc

DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 5", "12 5")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 520, 260, 46, 16, 130, 34
WHISKER = 'fill="none" stroke="black"'
APART = 14
"""Least distance of two labels."""


def line_chart(
    title: str,
    series: Mapping[str, Sequence[float]],
    ticks: Sequence[str],
    below: str,
    ends: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """The chart as a file of its own.

    Args:
        title: for who can't see it.
        series: label -> shares in [0, 1], one a tick.
        ticks: labels of the horizontal axis, at even distances; an empty one is left out.
        below: what the horizontal axis is.
        ends: label -> interval of the line's last share, drawn as a whisker.
    """
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    last = max(len(ticks) - 1, 1)

    def at(index: int, share: float) -> tuple[float, float]:
        return LEFT + wide * index / last, TOP + high * (1 - share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12" aria-label="{esc(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0, 0.5, 1):
        y = TOP + high * (1 - share)
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + wide}" y2="{y}" stroke="#ccc"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for index, tick in enumerate(ticks):
        if tick:
            x = at(index, 0)[0]
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 16}" text-anchor="middle">{tick}</text>')
    middle = LEFT + wide / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 2}" text-anchor="middle">{esc(below)}</text>')
    for number, values in enumerate(series.values()):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*v) for v in enumerate(values)))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="black" stroke-width="2" '
            f'stroke-dasharray="{DASHES[number % len(DASHES)]}"/>'
        )
    for number, (low, high_end) in enumerate((ends or {}).values()):
        x = LEFT + wide - 3 * number
        top, bottom = at(0, high_end)[1], at(0, low)[1]
        parts.append(f'<path d="M{x - 3} {top:.1f}h6m-3 0V{bottom:.1f}m-3 0h6" {WHISKER}/>')
    for label, y in _placed({name: at(0, values[-1])[1] for name, values in series.items()}):
        text = f"{label} {series[label][-1]:.0%}"
        parts.append(f'<text x="{LEFT + wide + 6}" y="{y + 4:.1f}">{esc(text)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _placed(wanted: Mapping[str, float]) -> list[tuple[str, float]]:
    """Heights of labels near the wanted ones, `APART` from one another and none above the chart."""
    placed: list[tuple[str, float]] = []
    for label, y in sorted(wanted.items(), key=lambda item: item[1]):  # from the top down
        placed.append((label, max(y, placed[-1][1] + APART) if placed else max(y, TOP)))
    return placed
