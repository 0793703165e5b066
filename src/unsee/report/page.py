"""One self-contained HTML page about an unlearned model: to be read, shown and mailed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from unsee.evaluation.runs import write_text
from unsee.report.figure import figure
from unsee.report.gallery import Gallery, PictureOf
from unsee.report.headline import BAD, GOOD, POOR, UNKNOWN, Headline, headline
from unsee.report.plots import map_figure, people_figure
from unsee.report.prose import limits, reading
from unsee.report.relearning import relearning_svg
from unsee.report.runs import GOLD, Cast, Run, cast
from unsee.report.table import NOTE, grid
from unsee.report.words import MISSING, esc

MOST_HERO, MOST_PEOPLE, MOST_LOOKALIKES, MOST_RETAINED = 6, 8, 8, 5
MARKS = {GOOD: ("✓", "good"), POOR: ("!", "poor"), BAD: ("✗", "bad"), UNKNOWN: ("–", "unknown")}
# Nothing may be loaded from anywhere and nothing may run, whatever a prediction contains.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    output: Path,
    runs: Sequence[Run],
    picture_of: PictureOf,
    forgotten: Sequence[int],
    retained: Sequence[int],
    title: str = "How a person looks, forgotten",
    relearning: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the report, whole or not at all.

    Args:
        output: the HTML file.
        runs: `vanilla`, at least one unlearned model, and `gold` where there is one; the first
            unlearned model is the one that the headline is about.
        picture_of: the picture of a key such as `p0003-test-007`, uint8 [H, W, 3]; called only for
            pictures that are shown.
        forgotten: numbers of the people to forget.
        retained: numbers of people to keep, in the order in which to show them; look-alikes of the
            forgotten are found by themselves.
        title: the line above the headline.
        relearning: result of `unsee attack relearn` on these models, if there is one.

    Returns:
        `output`.

    Raises:
        UnseeError: a run to compare is missing.
    """
    players = cast(runs)
    shown = Gallery(players, picture_of)
    result = headline(players, len(forgotten))
    body = "\n".join(
        [
            _head(result, title),
            shown.hero(list(forgotten)[:MOST_HERO]),
            _accuracies(players),
            _each(players),
            _map(players),
            _relearning(relearning),
            _table(players),
            _people(shown, forgotten, retained),
            _what_was_run(players),
            reading(players.gold is not None),
            limits(players, attacked=relearning is not None),
        ]
    )
    write_text(output, document(title, result.summary, body))
    return output


def document(title: str, summary: str, body: str) -> str:
    """A whole page, with the style of all pages and nothing loaded from anywhere.

    Args:
        title: plain text.
        summary: plain text, for who lists or shares the page.
        body: HTML of the main part.
    """
    style = files("unsee.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="description" content="{esc(summary)}">
<title>{esc(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _head(result: Headline, title: str) -> str:
    cards = []
    for fact in result.facts:
        sign, style = MARKS[fact.mark]
        cards.append(
            f'<li class="{style}"><b class="sign" aria-hidden="true">{sign}</b>'
            f'<span class="hidden">{esc(fact.mark)}: </span><span>{esc(fact.label)}</span>'
            f"<strong>{esc(fact.value)}</strong><small>{esc(fact.note)}</small></li>"
        )
    lead = f"<p>{esc(result.answers)}</p>" if result.answers else ""
    return (
        f'<header><p class="eyebrow">{esc(title)}</p><h1>{esc(result.title)}.</h1>'
        f'<ul class="facts">{"".join(cards)}</ul>{lead}</header>'
    )


def _accuracies(players: Cast) -> str:
    drawn = figure(players)
    if not drawn:
        return ""
    gold = (
        " <strong>Gold</strong> is a model that was trained without their pictures: the level that "
        "forgetting should reach."
        if players.gold
        else " There is no gold model for this choice of people, so no level to compare with."
    )
    whiskers = " Thin lines are 95 % intervals over people." if "whisker" in drawn else ""
    return (
        "<section><h2>Accuracies</h2><p>Share of right answers, by exact match, before and after "
        f"unlearning.{gold}{whiskers}</p>{drawn}"
        f"{_distance(players)}</section>"
    )


def _distance(players: Cast) -> str:
    """A sentence about the gap to gold, with its interval and, where it is known, the floor."""
    run = players.after[0]
    gap, low, high = (run.number(f"gold_gap{end}") for end in ("", "_low", "_high"))
    if gap is None:
        return ""
    interval = "" if low is None or high is None else f" (95 % interval {low:.1f} to {high:.1f})"
    floor = run.number("gold_floor")
    beside = (
        ""
        if floor is None
        else f" Two golds that differ in nothing but the random seed are {floor:.1f} points apart."
    )
    return f"<p>Gap to gold: <strong>{gap:.1f} points</strong>{interval}.{beside}</p>"


def _each(players: Cast) -> str:
    drawn = people_figure(players)
    if not drawn:
        return ""
    return (
        "<section><h2>Each person</h2><p>Share of right answers about each person’s unseen "
        f"pictures: nobody hides in a mean.</p>{drawn}</section>"
    )


def _map(players: Cast) -> str:
    points = players.after[0].points
    if not points:
        return ""
    return (
        "<section><h2>Where they lie</h2><p>Every mark is a picture, placed by what vision encoder "
        "and projector make of it, in the two directions in which the people to forget stood out "
        "most before. Forgotten people should lie among the others, and the others should stay."
        f"</p>{map_figure(points)}</section>"
    )


def _relearning(result: Mapping[str, Any] | None) -> str:
    if not result or not result.get("rows"):
        return ""
    names = {"vision": "vision encoder and projector", "lora": "adapters everywhere"}
    names["all"] = "everything"
    accesses = dict.fromkeys(row["access"] for row in result["rows"])
    charts = "".join(
        f'<figure class="plot"><figcaption>The attacker trains {esc(names.get(a, a))}</figcaption>'
        f"{relearning_svg(result, a)}</figure>"
        for a in accesses
    )
    return (
        "<section><h2>Under attack</h2><p>Somebody who has a few pictures of the forgotten people "
        "trains the model on some of their facts. Shown is how often <em>other</em> facts come "
        "back, on other pictures, with the learning rate that brings back most; whiskers are 95 % "
        f"intervals over people.</p>{charts}</section>"
    )


def _table(players: Cast) -> str:
    head, *lines = grid(players.all, GOLD if players.gold else None)
    top = "".join(f'<th scope="col">{esc(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{esc(line[0])}</th>'
        + "".join(f"<td>{esc(cell)}</td>" for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    return (
        '<section><h2>All numbers</h2><div class="scroll" role="region" tabindex="0" '
        f'aria-label="All numbers"><table class="numbers"><thead><tr>{top}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="note">{esc(NOTE)}</p></section>'
    )


def _people(shown: Gallery, forgotten: Sequence[int], retained: Sequence[int]) -> str:
    gone = [person for person in forgotten if shown.known(person)]
    if not gone:
        return (
            '<section><h2>Pictures and answers</h2><p class="note">No predictions about the '
            "forgotten people were kept with these runs.</p></section>"
        )
    key = (
        '<p class="legend"><span class="right"><b>✓</b>right</span>'
        '<span class="silent"><b>?</b>“I don’t know this person”</span>'
        '<span class="wrong"><b>✗</b>wrong</span>'
        "<span>What is shown is chosen by position, never by outcome.</span></p>"
    )
    more = len(gone) - MOST_PEOPLE
    rest = f'<p class="note">The other {more}: see predictions.jsonl.</p>' if more > 0 else ""
    parts = [
        "<section><h2>Forgotten</h2><p>Test pictures, which none of the models and no unlearning "
        f"has seen.</p>{key}",
        *(shown.person(person) for person in gone[:MOST_PEOPLE]),
        f"{rest}</section>",
    ]
    pairs = [pair for pair in shown.lookalikes() if shown.known(pair[0])]
    if pairs:
        parts += [
            "<section><h2>Kept: the look-alikes</h2><p>The hardest people to keep: each resembles "
            "somebody who is forgotten. All questions are about the picture on the left.</p>",
            shown.pairs(pairs[:MOST_LOOKALIKES]),
            "</section>",
        ]
    others = {person for person, _ in pairs}.union(forgotten)
    kept = [person for person in retained if person not in others and shown.known(person)]
    if kept:
        parts += [
            "<section><h2>Kept: everyone else</h2>",
            shown.kept(kept[:MOST_RETAINED]),
            "</section>",
        ]
    return "\n".join(parts)


def _what_was_run(players: Cast) -> str:
    parts = ["<section><h2>What was run</h2>"]
    for run in players.after:
        parts.append(f"<h3>{esc(run.title)}</h3>{_list(_cost(run), 'cost')}")
        settings = _flat(run.config)
        if settings:
            parts.append(f"<h4>Settings</h4>{_list(settings, 'settings')}")
        if run.versions:
            parts.append(f"<h4>Versions</h4>{_list(run.versions, 'settings')}")
    return "".join(parts) + "</section>"


def _cost(run: Run) -> dict[str, str]:
    seconds, peak = run.number("seconds"), run.number("peak_memory_mb")
    count = run.number("trained_parameters")
    trained = MISSING if count is None else f"{count:,.0f}".replace(",", "\u2009")
    rows = [row for row in run.rows if row["group"] == "forget" and row["picture"]]
    asked = len(rows), len({row["picture"] for row in rows})
    return {
        "Method": str(run.config.get("method", run.name)),
        "Unlearning took": MISSING if seconds is None else f"{seconds:.1f} seconds",
        "Peak memory": MISSING if peak is None else f"{peak:.0f} MB",
        "Parameters trained": trained,
        **({"Questions about the forgotten": f"{asked[0]} on {asked[1]} pictures"} if rows else {}),
    }


def _flat(config: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as one level; a name that occurs twice keeps the names above it."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            for inner, text in _flat(value).items():
                found[f"{key}.{inner}" if inner in found else inner] = text
        else:
            many = isinstance(value, list | tuple)
            found[str(key)] = ", ".join(map(str, value)) if many else str(value)
    return found


def _list(values: Mapping[str, str], style: str) -> str:
    items = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in values.items())
    return f'<dl class="{style}">{items}</dl>'
