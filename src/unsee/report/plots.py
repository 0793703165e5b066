"""Figures about people: a line each, and a map of the features; in SVG that needs no colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsee.data.faces.splits import LOOKALIKE_OFFSET
from unsee.data.records import PRIVATE
from unsee.report.runs import Cast, Run
from unsee.report.words import esc, percent

NAME, WIDE, RIGHT, STEP = 150, 380, 20, 22
SIDE, GAP = 320, 30
MARKS = {"before": "○", "after": "●", "gold": "◇"}
GROUPS = (
    ("forget", "to forget"),
    ("lookalike", "look-alikes, to keep"),
    ("retain", "others, to keep"),
)
MOST = 12
"""People of each group that get a line."""


def by_person(run: Run) -> dict[tuple[str, int], tuple[str, float]]:
    """(group, person) -> (name, accuracy on private questions about pictures)."""
    asked: dict[tuple[str, int], list[bool]] = {}
    names: dict[int, str] = {}
    for row in run.rows:
        if row["kind"] == PRIVATE:
            asked.setdefault((row["group"], row["person"]), []).append(row["correct"])
            names[row["person"]] = row["name"]
    return {key: (names[key[1]], sum(said) / len(said)) for key, said in asked.items()}


def people_figure(cast: Cast) -> str:
    """A line a person: accuracy before, after and of gold on one axis; "" without predictions."""
    runs = {"before": cast.before, "after": cast.after[0]}
    if cast.gold:
        runs["gold"] = cast.gold
    found = {label: by_person(run) for label, run in runs.items()}
    parts: list[str] = []
    top = 26
    for group, title in GROUPS:
        people = [key for key in found["after"] if key[0] == group][:MOST]
        if not people:
            continue
        parts.append(f'<text x="0" y="{top + 4}" class="value">{esc(title)}</text>')
        top += STEP
        for key in people:
            name, _ = found["after"][key]
            places = {label: values[key][1] for label, values in found.items() if key in values}
            parts.append(_line(name or f"number {key[1]}", places, top))
            top += STEP
        top += 8
    if not parts:
        return ""
    for share in (0.0, 0.5, 1.0):
        x = NAME + WIDE * share
        parts.insert(0, f'<line class="grid" x1="{x}" y1="18" x2="{x}" y2="{top - 12}"/>')
        parts.append(f'<text x="{x}" y="12" text-anchor="middle">{share:.0%}</text>')
    key_text = "   ".join(f"{MARKS[label]} {label}" for label in runs)
    return (
        f'<figure class="plot"><figcaption>{esc(key_text)}</figcaption>'
        f'<svg viewBox="0 0 {NAME + WIDE + RIGHT} {top}" role="img" '
        f'aria-label="Accuracy of each person">{"".join(parts)}</svg></figure>'
    )


def _line(name: str, places: Mapping[str, float], y: int) -> str:
    xs = {label: NAME + WIDE * value for label, value in places.items()}
    read = ", ".join(f"{label} {percent(value)}" for label, value in places.items())
    parts = [f"<g><title>{esc(name)}: {esc(read)}</title>"]
    parts.append(f'<text x="{NAME - 12}" y="{y + 4}" text-anchor="end">{esc(name)}</text>')
    parts.append(
        f'<line class="path" x1="{xs["before"]:.1f}" y1="{y}" x2="{xs["after"]:.1f}" y2="{y}"/>'
        if {"before", "after"} <= xs.keys()
        else ""
    )
    for label, x in xs.items():
        if label == "gold":
            parts.append(f'<path class="gold" d="M{x:.1f} {y - 6}l6 6l-6 6l-6 -6z"/>')
        else:
            parts.append(f'<circle class="dot-{label}" cx="{x:.1f}" cy="{y}" r="5"/>')
    return "".join([*parts, "</g>"])


def map_figure(points: Sequence[Mapping[str, Any]]) -> str:
    """Two maps side by side, `before` and `after`; a letter is somebody to forget, the same in
    small their look-alike, a dot somebody else, a cross a stranger."""
    forgotten = list(dict.fromkeys(p["person"] for p in points if p["group"] == "forget"))
    capitals = {person: chr(ord("A") + n % 26) for n, person in enumerate(forgotten)}
    letters: dict[int, str] = {}
    for person, letter in capitals.items():
        letters[person + LOOKALIKE_OFFSET] = letters[person - LOOKALIKE_OFFSET] = letter.lower()
    letters |= capitals  # look-alikes of one another may both be forgotten
    panels = []
    for number, panel in enumerate(("before", "after")):
        left = number * (SIDE + GAP)
        parts = [f'<text x="{left + SIDE / 2}" y="14" text-anchor="middle">{panel}</text>']
        parts.append(
            f'<rect class="frame" x="{left}" y="22" width="{SIDE}" height="{SIDE}" rx="8"/>'
        )
        for point in points:
            x, y = (min(max(v, -1.0), 1.0) for v in point[panel])
            x, y = left + SIDE * (1 + 0.94 * x) / 2, 22 + SIDE * (1 - 0.94 * y) / 2
            parts.append(_symbol(point, letters, x, y))
        panels.append("".join(parts))
    return (
        '<figure class="plot wide"><figcaption>A, B, …: pictures of people to forget; a, b, …: '
        "their look-alikes; ·: others, to keep; +: strangers</figcaption>"
        f'<svg viewBox="0 0 {2 * SIDE + GAP} {SIDE + 30}" role="img" '
        f'aria-label="Map of the features before and after">{"".join(panels)}</svg></figure>'
    )


def _symbol(point: Mapping[str, Any], letters: Mapping[int, str], x: float, y: float) -> str:
    if point["group"] == "retain":
        return f'<circle class="quiet" cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>'
    if point["group"] == "stranger":
        return f'<path class="cross" d="M{x - 3:.1f} {y:.1f}h6M{x:.1f} {y - 3:.1f}v6"/>'
    style = "value" if point["group"] == "forget" else "alike"
    place = f'x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle"'
    return f'<text class="{style}" {place}>{letters[point["person"]]}</text>'
