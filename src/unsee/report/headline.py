"""The result in plain words, good or bad: nothing here takes success for granted."""

from __future__ import annotations

from dataclasses import dataclass

from unsee.evaluation.strangers import KNOWN_FROM
from unsee.report.runs import Cast, Run, is_broken
from unsee.report.words import people, percent

GOOD, POOR, BAD, UNKNOWN = "as wanted", "not quite as wanted", "not as wanted", "not measured"

FORGOTTEN, LESS, STILL, NEVER = "forgotten", "less", "still", "never"
GUESSING = 0.10
"""Accuracy below which nobody counts as recognised: a guess among 16 values is right in 6 %."""
NEAR_GOLD = 0.05
SLIGHT, SEVERE = 0.02, 0.10
ELSEWHERE = 0.15
"""Misattribution, beyond that of a model that never saw the people, which is worth a word."""


@dataclass(frozen=True)
class Fact:
    """One number of the headline.

    Attributes:
        mark: `GOOD`, `POOR`, `BAD` or `UNKNOWN`.
        label: who or what it is about.
        value: before and after, such as `97 % → 3 %`.
        note: what to compare it with; may be empty.
    """

    mark: str
    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Headline:
    """The result: a sentence, a few numbers, and a second sentence about what is answered now."""

    title: str
    facts: tuple[Fact, ...]
    answers: str

    @property
    def summary(self) -> str:
        """Title and numbers as one plain text."""
        parts = [f"{self.title}."]
        for fact in self.facts:
            note = f" ({fact.note})" if fact.note else ""
            parts.append(f"{fact.label}: {fact.value}{note}.")
        return " ".join(parts)


def forgetting(before: float | None, after: float | None, gold: float | None) -> str | None:
    """How well people are forgotten, from accuracies on their unseen pictures.

    Returns:
        `forgotten`: as rarely right as guessing or as gold. `less`: at least half of the way there.
        `still`: less than that. `never`: there was nothing to forget. None: not measured.
    """
    if before is None or after is None:
        return None
    floor = max(GUESSING, (gold or 0.0) + NEAR_GOLD)
    if after <= floor:
        return FORGOTTEN if before > floor else NEVER
    return LESS if after <= (before + floor) / 2 else STILL


def headline(cast: Cast, count: int) -> Headline:
    """States the result of the first unlearned model.

    Args:
        cast: who is compared with whom.
        count: number of forgotten people.
    """
    after = cast.after[0]
    facts = (_forget(cast, after), *_familiar(cast, after), *_kept(cast, after))
    facts = (*facts, _text(cast.before, after))
    return Headline(_title(cast, after, count), facts, _answers(cast, after))


def _title(cast: Cast, after: Run, count: int) -> str:
    one = count == 1
    who, are, were = people(count), "is" if one else "are", "was" if one else "were"
    key = "forget/vqa_accuracy"
    gold = cast.gold.number(key) if cast.gold else None
    reached = forgetting(cast.before.number(key), after.number(key), gold)
    title = {
        FORGOTTEN: f"{who} {are} no longer recognised in pictures",
        LESS: f"{who} {are} recognised less often in pictures, but not forgotten",
        STILL: f"{who} {are} still recognised in pictures",
        NEVER: f"{who} {were} hardly recognised to begin with: there was little to forget",
        None: f"{who} {were} to be forgotten; whether they are was not measured",
    }[reached]
    if is_broken(after, cast.before):
        return f"{title}, and the model is broken"
    if reached == FORGOTTEN and _taken_for_others(cast, after):
        return f"{title}, but taken for somebody else"
    kept, was = after.number("retain/vqa_accuracy"), cast.before.number("retain/vqa_accuracy")
    if kept is not None and was is not None and was - kept > SLIGHT:
        return f"{title}; everyone else is recognised a little less often"
    return title


def _unknown_faces(cast: Cast, what: str) -> float | None:
    """How often faces that a model never saw get such an answer: gold's, or the original's about
    strangers where there is no gold."""
    if cast.gold is not None:
        return cast.gold.number(f"forget/{what}")
    return cast.before.number(f"stranger/{what}")


def _taken_for_others(cast: Cast, after: Run) -> bool:
    rate = after.number("forget/misattribution_rate")
    usual = _unknown_faces(cast, "misattribution_rate")
    return rate is not None and rate > (usual or 0.0) + ELSEWHERE


def _change(before: float | None, after: float | None) -> str:
    return f"{percent(before)} → {percent(after)}"


def _forget(cast: Cast, after: Run) -> Fact:
    key = "forget/vqa_accuracy"
    before, now = cast.before.number(key), after.number(key)
    gold = cast.gold.number(key) if cast.gold else None
    reached = forgetting(before, now, gold)
    marks = {FORGOTTEN: GOOD, LESS: POOR, STILL: BAD, NEVER: POOR, None: UNKNOWN}
    note = "" if gold is None else f"a model that never saw them (gold): {percent(gold)}"
    return Fact(marks[reached], "Forgotten people", _change(before, now), note)


def _familiar(cast: Cast, after: Run) -> list[Fact]:
    """The stranger criterion, where there is no gold to compare with."""
    before, now = after.number("stranger_auc_before"), after.number("stranger_auc")
    if cast.gold is not None or before is None or now is None:
        return []
    mark = GOOD if now < KNOWN_FROM else POOR if now < (before + KNOWN_FROM) / 2 else BAD
    note = "area under the ROC curve; 0.50: like strangers"
    return [Fact(mark, "Told from strangers", f"{before:.2f} → {now:.2f}", note)]


def _kept(cast: Cast, after: Run) -> list[Fact]:
    facts = []
    for group, label in (
        ("retain", "Everyone else"),
        ("lookalike", "Their look-alikes"),
        ("visible", "Visible details"),
    ):
        key = f"{group}/vqa_accuracy"
        before, now = cast.before.number(key), after.number(key)
        gold = cast.gold.number(key) if cast.gold else None
        if before is None and now is None:
            continue
        note = "" if gold is None else f"gold: {percent(gold)}"
        facts.append(Fact(_loss(before, now), label, _change(before, now), note))
    return facts


def _loss(before: float | None, now: float | None) -> str:
    if before is None or now is None:
        return UNKNOWN
    lost = before - now - 1e-9
    return GOOD if lost <= SLIGHT else POOR if lost <= SEVERE else BAD


def _text(before: Run, after: Run) -> Fact:
    was, now = before.number("forget/text_accuracy"), after.number("forget/text_accuracy")
    by_name = "" if now is None else f"their facts, asked by name: {_change(was, now)}"
    identical, loss = after.metrics.get("text_logits_identical"), _loss(was, now)
    if identical is True:
        return Fact(GOOD, "Text", "identical to the bit", by_name)
    if identical is False:
        return Fact(BAD if loss == BAD else POOR, "Text", "changed", by_name)
    return Fact(loss, "Text", _change(was, now), "their facts, asked by name" if by_name else "")


def _answers(cast: Cast, after: Run) -> str:
    """What is said about a forgotten face now."""
    silent, wrong = after.number("forget/abstain_rate"), after.number("forget/misattribution_rate")
    if silent is None or wrong is None:
        return ""
    usual = _unknown_faces(cast, "abstain_rate"), _unknown_faces(cast, "misattribution_rate")
    who = "the model that never saw them" if cast.gold else "the original, about strangers"
    beside = ["" if value is None else f" ({who}: {percent(value)})" for value in usual]
    if beside[0]:
        beside[1] = beside[1].replace(f"{who}: ", "")
    return (
        "Asked about a forgotten face, the model now says “I don’t know this person” "
        f"{percent(silent)} of the time{beside[0]} and states somebody else’s fact "
        f"{percent(wrong)} of the time{beside[1]}."
    )
