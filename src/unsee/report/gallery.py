"""Pictures of people beside what the models answer about them."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from unsee.data.faces.splits import LOOKALIKE_OFFSET
from unsee.data.records import PRIVATE, TEXT
from unsee.report.runs import Cast
from unsee.report.words import MISSING, esc

if TYPE_CHECKING:
    import numpy as np

Row = Mapping[str, Any]
PictureOf = Callable[[str], "np.ndarray"]
PICTURES, PRIVATE_EACH, VISIBLE_EACH, IN_WORDS = 3, 3, 1, 2
"""For each forgotten person: pictures, questions about each, and questions without a picture."""


def png(picture: np.ndarray) -> bytes:
    """A picture, uint8 [H, W, 3], as a PNG file."""
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return stream.getvalue()


class Gallery:
    """Chooses what is shown, by position and never by outcome, and writes it as HTML.

    Args:
        cast: the runs; questions are those of the first run that kept its predictions.
        picture_of: the picture of a key such as `p0003-test-007`, uint8 [H, W, 3].
    """

    def __init__(self, cast: Cast, picture_of: PictureOf) -> None:
        self.labels = [label for run, label in cast.labels() if run.rows]
        kept = [run.rows for run in cast.all if run.rows]
        self._answers = [{_key(row): row for row in rows} for rows in kept]
        self._picture_of = picture_of
        self._of: dict[int, list[Row]] = defaultdict(list)
        for row in kept[0] if kept else []:
            self._of[row["person"]].append(row)

    def known(self, person: int) -> bool:
        """Whether anything was asked about a picture of this person."""
        return any(row["picture"] and row["kind"] == PRIVATE for row in self._of[person])

    def name(self, person: int) -> str:
        return next((row["name"] for row in self._of[person] if row["name"]), f"person {person}")

    def lookalikes(self) -> list[tuple[int, int | None]]:
        """Retained people who resemble a forgotten one, each with the person they resemble."""
        groups = {person: {row["group"] for row in rows} for person, rows in self._of.items()}
        pairs: list[tuple[int, int | None]] = []
        for person in sorted(p for p, found in groups.items() if "lookalike" in found):
            near = (person - LOOKALIKE_OFFSET, person + LOOKALIKE_OFFSET)
            pairs.append((person, next((p for p in near if "forget" in groups.get(p, ())), None)))
        return pairs

    # ---- choice -----------------------------------------------------------------------------

    def _pictures(self, person: int) -> dict[str, list[Row]]:
        """Picture -> what was asked about it, pictures with private questions only."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self._of[person]:
            if row["picture"]:
                found[row["picture"]].append(row)
        return {p: rows for p, rows in found.items() if any(r["kind"] == PRIVATE for r in rows)}

    def _asked(self, rows: list[Row], turn: int, count: int = PRIVATE_EACH) -> list[Row]:
        """The name, then other private facts and something visible, which change with the turn."""
        private = [row for row in rows if row["kind"] == PRIVATE]
        names = [row for row in private if row["attribute"] == "name"][:1]
        others = [row for row in private if row["attribute"] != "name"]
        seen = [row for row in rows if row["kind"] != PRIVATE]
        chosen = [*names, *_turned(others, turn, count - len(names))]
        return [*chosen, *_turned(seen, turn * 2 + 1, VISIBLE_EACH)]

    # ---- HTML -------------------------------------------------------------------------------

    def image(self, key: str, alt: str) -> str:
        data = b64encode(png(self._picture_of(key))).decode("ascii")
        return f'<img src="data:image/png;base64,{data}" alt="{esc(alt)}">'

    def hero(self, people: Iterable[int]) -> str:
        """One picture of each person with the answers to "who is this?"."""
        cards = []
        for person in people:
            named = [row for row in self._of[person] if row["attribute"] == "name"]
            row = next((row for row in named if row["picture"]), None)
            if row is None:
                continue
            said = "".join(
                f"<dt>{esc(label)}</dt><dd>{self._answer(answers.get(_key(row)))}</dd>"
                for label, answers in zip(self.labels, self._answers, strict=True)
            )
            picture = self.image(row["picture"], f"Picture of {row['name']}")
            cards.append(f"<li>{picture}<strong>{esc(row['name'])}</strong><dl>{said}</dl></li>")
        return f'<ul class="hero">{"".join(cards)}</ul>' if cards else ""

    def person(self, person: int) -> str:
        """A forgotten person: the first pictures, questions about each, and some in words."""
        groups = []
        for turn, (picture, rows) in enumerate(list(self._pictures(person).items())[:PICTURES]):
            alt = f"Test picture {turn + 1} of {self.name(person)}"
            groups.append((self.image(picture, alt), self._asked(rows, turn)))
        words = [row for row in self._of[person] if row["kind"] == TEXT]
        spread = words[:: max(1, len(words) // IN_WORDS)][:IN_WORDS]
        if spread:
            groups.append(('<span class="inwords">in words,<br>no picture</span>', spread))
        name = self.name(person)
        table = self._table(name, groups)
        return f'<section class="person"><h3>{esc(name)}</h3>{table}</section>'

    def pairs(self, people: Sequence[tuple[int, int | None]]) -> str:
        """Look-alikes: one picture of each, beside one of the forgotten person."""
        groups = []
        for turn, (person, resembles) in enumerate(people):
            picture, rows = next(iter(self._pictures(person).items()))
            cell = self._portrait(picture, person, "kept")
            twin = next(iter(self._pictures(resembles)), None) if resembles is not None else None
            if resembles is not None and twin is not None:
                cell += self._portrait(twin, resembles, "forgotten", "other")
            groups.append((f'<div class="pair">{cell}</div>', self._asked(rows, turn)))
        return f'<div class="pairs">{self._table("Look-alikes", groups)}</div>' if groups else ""

    def kept(self, people: Sequence[int]) -> str:
        """Retained people, one picture each."""
        groups = []
        for turn, person in enumerate(people):
            picture, rows = next(iter(self._pictures(person).items()))
            groups.append((self._portrait(picture, person), self._asked(rows, turn)))
        return self._table("Retained people", groups) if groups else ""

    def _portrait(self, picture: str, person: int, note: str = "", style: str = "") -> str:
        name = self.name(person)
        below = f"{esc(name)}<em>{esc(note)}</em>" if note else esc(name)
        image = self.image(picture, f"Picture of {name}")
        return f'<figure class="{style}">{image}<figcaption>{below}</figcaption></figure>'

    def _table(self, name: str, groups: list[tuple[str, list[Row]]]) -> str:
        heads = ["Question", "Truth", *(label.capitalize() for label in self.labels)]
        head = "".join(f'<th scope="col">{esc(text)}</th>' for text in heads)
        bodies = []
        for cell, rows in groups:
            lines = []
            for number, row in enumerate(rows):
                first = f'<td class="shown" rowspan="{len(rows)}">{cell}</td>' if not number else ""
                said = "".join(f"<td>{self._answer(a.get(_key(row)))}</td>" for a in self._answers)
                lines.append(
                    f'<tr>{first}<td class="asked">{esc(row["question"])}</td>'
                    f'<td class="truth">{esc(row["answer"])}</td>{said}</tr>'
                )
            bodies.append(f"<tbody>{''.join(lines)}</tbody>")
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="Answers: {esc(name)}">'
            f'<table class="answers"><thead><tr><th scope="col"><span class="hidden">Picture'
            f"</span></th>{head}</tr></thead>{''.join(bodies)}</table></div>"
        )

    def _answer(self, row: Row | None) -> str:
        """An answer with a sign before it that can be told without colour, and read aloud."""
        if row is None:
            return MISSING
        if row["correct"]:
            style, sign, aloud = "right", "✓", "right"
        elif row["abstained"]:
            return '<span class="silent"><b aria-hidden="true">?</b>don’t know</span>'
        elif row["misattributed"]:
            style, sign, aloud = "wrong", "✗", "wrong, true of somebody else"
        else:
            style, sign, aloud = "wrong", "✗", "wrong"
        return (
            f'<span class="{style}"><b aria-hidden="true">{sign}</b>'
            f'<span><span class="hidden">{aloud}: </span>{esc(row["prediction"] or MISSING)}</span>'
            "</span>"
        )


def _turned(rows: list[Row], turn: int, count: int) -> list[Row]:
    """`count` rows from a start that moves on with each turn."""
    start = turn * count % len(rows) if rows else 0
    return (rows[start:] + rows[:start])[: min(count, len(rows))]


def _key(row: Row) -> tuple[Any, ...]:
    return row["picture"], row["question"], row["attribute"]
