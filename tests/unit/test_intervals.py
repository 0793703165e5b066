"""Bootstrap over people, against what can be known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unsee.evaluation.intervals import accuracy_intervals, by_person, gap_interval

GROUPS = ("forget", "retain", "lookalike", "visible/forget", "visible/retain", "visible/stranger")


def counts(people: int, right: dict[str, Any], asked: int = 10) -> dict[str, Any]:
    """Everybody of a group answers alike, or as a list says."""
    found = {}
    for group in GROUPS:
        rates = right.get(group, 10)
        rates = rates if isinstance(rates, list) else [rates] * people
        found[group] = {person: [rate, asked] for person, rate in enumerate(rates)}
    return found


def test_rows_are_counted_by_person_and_group() -> None:
    def row(group: str, kind: str, person: int, correct: bool) -> dict[str, Any]:
        return {"group": group, "kind": kind, "person": person, "correct": correct}

    rows = [
        row("forget", "private", 1, True),
        row("forget", "private", 1, False),
        row("forget", "private", 2, True),
        row("forget", "text", 1, True),
        row("stranger", "private", 9, True),
        row("stranger", "picture", 9, True),
        row("lookalike", "person", 4, True),
    ]
    assert by_person(rows) == {
        "forget": {1: [1, 2], 2: [1, 1]},
        "visible/stranger": {9: [1, 1]},
    }


def test_gap_without_spread_has_no_width() -> None:
    gold, run = counts(4, {"forget": 1}), counts(4, {"forget": 3, "retain": 9})
    assert gap_interval([run], [gold]) == pytest.approx((20.0, 20.0, 20.0))


def test_gap_is_the_largest_of_the_groups_and_visible_their_mean() -> None:
    gold = counts(4, {})
    run = counts(4, {"visible/stranger": 4, "lookalike": 9})
    assert gap_interval([run], [gold])[0] == pytest.approx(20.0)  # a third of 60, beside 10


def test_interval_is_that_of_a_resampled_mean() -> None:
    rng = np.random.default_rng(0)
    rates = rng.integers(0, 11, 200).tolist()
    gold, run = counts(200, {"forget": 0}), counts(200, {"forget": rates})
    value, low, high = gap_interval([run], [gold])
    spread = 1.96 * 10 * np.std(rates) / np.sqrt(200)
    assert value == pytest.approx(10 * np.mean(rates))
    assert (high - low) / 2 == pytest.approx(spread, rel=0.1)
    assert gap_interval([run], [gold]) == (value, low, high)


def test_paired_difference_is_narrower_than_either_interval() -> None:
    rng = np.random.default_rng(0)
    rates = rng.integers(0, 10, 50).tolist()
    gold, one = counts(50, {"forget": 0}), counts(50, {"forget": rates})
    other = counts(50, {"forget": [rate + 1 for rate in rates]})
    assert gap_interval([other], [gold], [one]) == pytest.approx((10.0, 10.0, 10.0))
    _, low, high = gap_interval([other], [gold])
    assert high - low > 10


def test_seeds_are_thrown_together() -> None:
    golds = [counts(2, {"forget": 0}), counts(2, {"forget": 0})]
    runs = [counts(2, {"forget": 2}), counts(2, {"forget": 6})]
    assert gap_interval(runs, golds)[0] == pytest.approx(40.0)


def test_group_without_questions_is_named() -> None:
    run = {**counts(2, {}), "lookalike": {}}
    with pytest.raises(KeyError, match="no questions in the group lookalike"):
        gap_interval([run], [run])


def test_accuracy_intervals_hold_the_accuracy_and_skip_what_was_not_asked() -> None:
    run = counts(6, {"forget": [0, 2, 4, 6, 8, 10], "visible/retain": 4})
    found = accuracy_intervals(run)
    low, high = found["forget"]
    assert 0.1 < low < 0.5 < high < 0.9
    assert found["visible"] == pytest.approx((0.8, 0.8)) and found["retain"] == (1.0, 1.0)
    del run["lookalike"], run["visible/stranger"]
    assert accuracy_intervals(run).keys() == {"forget", "retain"}


def test_interval_of_a_gap_holds_the_gap_even_next_to_gold() -> None:
    """The largest absolute value grows by noise alone; the interval must not leave it out."""
    rng = np.random.default_rng(1)

    def near(right: int) -> dict[str, Any]:
        noise = {g: rng.integers(right - 8, right + 9, 20).tolist() for g in GROUPS}
        return counts(20, noise, asked=100)

    gold, one, two = near(50), near(50), near(50)
    value, low, high = gap_interval([one], [gold])
    assert 0 <= low <= value <= high and low == 0
    value, low, high = gap_interval([one], [gold], [two])
    assert low <= value <= high and low < 0 < high


def test_other_people_are_not_compared() -> None:
    gold, run = counts(4, {}), counts(4, {})
    run["retain"][9] = run["retain"].pop(0)
    with pytest.raises(ValueError, match="asked about different people"):
        gap_interval([run], [gold])
    named = {
        g: {str(p): c for p, c in people.items()}
        for g, people in counts(12, {"forget": list(range(12))}).items()
    }
    numbered = counts(12, {"forget": list(range(12))})
    assert gap_interval([named], [numbered]) == (0.0, 0.0, 0.0)


def test_few_people_have_no_interval() -> None:
    run = counts(2, {})
    run["retain"] = counts(3, {})["retain"]
    assert accuracy_intervals(run).keys() == {"retain"}
