"""Accuracies as small bars, in SVG that needs no colour: every bar is named and labelled."""

from __future__ import annotations

from unsee.report.runs import Cast, Run
from unsee.report.words import MISSING, esc, listed, percent

FACTS, BY_NAME = "private facts, unseen pictures", "the same facts, asked by name"
FALL, STAY = "should reach gold", "should stay"
PANELS = (
    ("forget/vqa_accuracy", "Forgotten people", FACTS, FALL),
    ("lookalike/vqa_accuracy", "Their look-alikes", FACTS, STAY),
    ("retain/vqa_accuracy", "Everyone else", FACTS, STAY),
    ("visible/vqa_accuracy", "Visible details", "hair, clothes, background, pose, …", STAY),
    ("stranger/abstain_rate", "Strangers", "“I don’t know this person”", STAY),
    ("forget/text_accuracy", "Forgotten, in words", BY_NAME, STAY),
    ("retain/text_accuracy", "Others, in words", BY_NAME, STAY),
)
NAME, BAR, AFTER, HEIGHT, STEP = 58, 176, 6, 15, 25


def figure(cast: Cast) -> str:
    """One panel a group of questions, as HTML; groups that nobody measured are left out."""
    panels = []
    for key, title, what, wanted in PANELS:
        values = [(label, run.number(key), _interval(run, key)) for run, label in cast.labels()]
        if all(value is None for _, value, _ in values):
            continue
        if cast.gold is None:
            wanted = "should fall" if wanted == FALL else wanted
        panels.append(
            f'<figure class="panel"><figcaption><em>{esc(wanted)}</em><strong>{esc(title)}</strong>'
            f"<span>{esc(what)}</span></figcaption>{_bars(title, values)}</figure>"
        )
    return f'<div class="panels">{"".join(panels)}</div>' if panels else ""


def _interval(run: Run, key: str) -> tuple[float, float] | None:
    low, high = run.number(f"{key}_low"), run.number(f"{key}_high")
    return None if low is None or high is None else (low, high)


def _bars(title: str, values: list[tuple[str, float | None, tuple[float, float] | None]]) -> str:
    height = STEP * len(values)
    read = listed([f"{label} {percent(value)}" for label, value, _ in values])
    parts = [
        f'<svg viewBox="0 0 300 {height}" role="img" aria-label="{esc(title)}: {esc(read)}">',
        f'<line class="axis" x1="{NAME}" y1="0" x2="{NAME}" y2="{height - 5}"/>',
    ]
    for number, (label, value, interval) in enumerate(values):
        top = STEP * number + 2
        place = f'x="{NAME}" y="{top}" height="{HEIGHT}"'
        middle = top + HEIGHT / 2 + 4.5
        style = "gold" if label == "gold" else "before" if label == "before" else "after"
        short = label if len(label) <= 8 else label[:7] + "…"
        parts.append(f'<text x="{NAME - 8}" y="{middle}" text-anchor="end">{esc(short)}</text>')
        long = BAR * min(max(value or 0.0, 0.0), 1.0)
        parts.append(f'<rect class="track" {place} width="{BAR}"/>')
        if value is not None:
            shown = max(long, 1.5)
            parts.append(f'<rect class="{style}" {place} width="{shown:.1f}"/>')
        if interval is not None:
            ends = [NAME + BAR * min(max(share, 0.0), 1.0) for share in interval]
            y, caps = top + HEIGHT / 2, "".join(f"M{x:.1f} {top + 3}v{HEIGHT - 6}" for x in ends)
            parts.append(
                f'<path class="whisker" d="M{ends[0]:.1f} {y}H{ends[1]:.1f}{caps}">'
                f"<title>{percent(interval[0])} to {percent(interval[1])}</title></path>"
            )
        text = MISSING if value is None else percent(value)
        x = NAME + BAR + AFTER
        parts.append(f'<text class="value" x="{x}" y="{middle}">{esc(text)}</text>')
    return "".join(parts) + "</svg>"
