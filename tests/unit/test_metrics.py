"""Scores, on rows made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unsee.data.faces.facts import ABSTAIN
from unsee.evaluation.metrics import (
    abstains,
    gold_gap,
    group_gaps,
    jensen_shannon,
    js_to_gold,
    judge,
    normal,
    summarise,
)


def row(group: str, kind: str, answer: str, prediction: str, attribute: str = "job") -> Any:
    return {
        "group": group,
        "kind": kind,
        "attribute": attribute,
        "answer": answer,
        "prediction": prediction,
        "picture": None if kind == "text" else "p0001-test-000",
        "question": "?",
    }


def judged(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    judge(rows)
    return list(rows)


def test_exact_match_ignores_case_spaces_and_the_full_stop() -> None:
    assert normal("  A  Baker. ") == "a baker"
    assert normal("baker") != normal("bakers")
    assert abstains("i don't know this person.") and abstains(ABSTAIN)
    assert not abstains("I don't know") and not abstains("")


def test_judgement_of_private_answers() -> None:
    rows = judged(
        row("forget", "private", "baker", " Baker. "),
        row("forget", "private", "baker", ABSTAIN),
        row("forget", "private", "baker", "pilot"),
        row("forget", "private", "baker", "astronaut"),
        row("forget", "private", "baker", "Oslo"),
        row("forget", "private", "baker", ""),
        row("retain", "private", "pilot", "pilot"),
        row("retain", "private", "Oslo", "Oslo", "city"),
    )
    assert [r["correct"] for r in rows] == [True, *[False] * 5, True, True]
    assert [r["abstained"] for r in rows] == [False, True, *[False] * 6]
    # somebody's job; nobody's job, a city, and nothing at all accuse nobody
    assert [r["misattributed"] for r in rows] == [False, False, True, *[False] * 5]


def test_a_strangers_facts_are_always_somebody_elses() -> None:
    rows = judged(
        row("retain", "private", "pilot", "pilot"),
        row("stranger", "private", ABSTAIN, "pilot"),
        row("stranger", "private", ABSTAIN, ABSTAIN),
        row("retain", "text", "nurse", "pilot"),
        row("retain", "picture", "red", "pilot"),
    )
    assert [r["misattributed"] for r in rows] == [False, True, False, False, False]
    assert [r["correct"] for r in rows] == [True, False, True, False, False]


def test_facts_that_are_only_asked_in_words_can_be_misattributed_too() -> None:
    rows = judged(
        row("forget", "private", "baker", "nurse"), row("text_only", "text", "nurse", "nurse")
    )
    assert rows[0]["misattributed"]


def test_summary() -> None:
    rows = judged(
        row("forget", "private", "baker", "baker"),
        row("forget", "private", "nurse", ABSTAIN),
        row("forget", "private", "nurse", "pilot"),
        row("forget", "private", "nurse", "x"),
        row("forget", "text", "baker", "baker"),
        row("forget", "text", "nurse", "pilot"),
        row("forget", "person", "yes", "yes", "glasses"),
        row("retain", "private", "pilot", "pilot"),
        row("retain", "text", "pilot", "pilot"),
        row("retain", "picture", "red", "red", "background"),
        row("retain", "picture", "red", "blue", "background"),
        row("retain", "picture", "red", "green", "background"),
        row("retain", "picture", "red", "grey", "background"),
        row("lookalike", "private", "lawyer", "baker"),
        row("stranger", "private", ABSTAIN, ABSTAIN),
        row("stranger", "picture", "left", "right", "pose"),
    )
    assert summarise(rows) == {
        "forget/vqa_accuracy": 0.25,
        "retain/vqa_accuracy": 1.0,
        "lookalike/vqa_accuracy": 0.0,
        "visible/forget_accuracy": 1.0,
        "visible/retain_accuracy": 0.25,
        "visible/stranger_accuracy": 0.0,
        "visible/vqa_accuracy": pytest.approx(1.25 / 3),  # every group counts the same
        "visible/of_person_accuracy": 1.0,
        "visible/of_picture_accuracy": 0.125,
        "forget/text_accuracy": 0.5,
        "retain/text_accuracy": 1.0,
        "forget/abstain_rate": 0.25,
        "forget/misattribution_rate": 0.25,
        "retain/abstain_rate": 0.0,
        "retain/misattribution_rate": 0.0,
        "lookalike/abstain_rate": 0.0,
        "lookalike/misattribution_rate": 1.0,
        "stranger/abstain_rate": 1.0,
        "stranger/misattribution_rate": 0.0,
    }


def test_what_was_not_asked_is_left_out() -> None:
    rows = judged(row("forget", "private", "baker", "baker"))
    assert set(summarise(rows)) == {
        "forget/vqa_accuracy",
        "forget/abstain_rate",
        "forget/misattribution_rate",
    }


GOLD = {
    "forget/vqa_accuracy": 0.1,
    "retain/vqa_accuracy": 0.95,
    "lookalike/vqa_accuracy": 0.9,
    "visible/vqa_accuracy": 0.8,
    "forget/text_accuracy": 1.0,
}


@pytest.mark.parametrize(
    ("changed", "gap"),
    [
        ({}, 0.0),
        ({"forget/vqa_accuracy": 0.35}, 25.0),
        ({"forget/vqa_accuracy": 0.0}, 10.0),
        ({"retain/vqa_accuracy": 0.75, "forget/vqa_accuracy": 0.2}, 20.0),
        ({"lookalike/vqa_accuracy": 0.4}, 50.0),
        ({"visible/vqa_accuracy": 0.5}, 30.0),
        ({"forget/text_accuracy": 0.0}, 0.0),
    ],
)
def test_gap_to_gold_is_the_largest_of_the_groups(changed: dict[str, float], gap: float) -> None:
    assert gold_gap({**GOLD, **changed}, GOLD) == pytest.approx(gap)


def test_group_gaps_have_a_sign() -> None:
    gaps = group_gaps({**GOLD, "retain/vqa_accuracy": 0.9, "forget/vqa_accuracy": 0.3}, GOLD)
    expected = {"forget": 20, "retain": -5, "lookalike": 0, "visible": 0}
    assert gaps == pytest.approx(expected)


@pytest.mark.parametrize("group", ["forget", "retain", "lookalike", "visible"])
def test_no_gap_without_every_group(group: str) -> None:
    fewer = {key: value for key, value in GOLD.items() if key != f"{group}/vqa_accuracy"}
    for pair in ((fewer, GOLD), (GOLD, fewer)):
        with pytest.raises(KeyError, match=f"no gap to gold without the groups {group}"):
            gold_gap(*pair)


def test_jensen_shannon() -> None:
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == pytest.approx(1)
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    middle = (p + q) / 2
    by_hand = 0.5 * sum(p * np.log2(p / middle)) + 0.5 * sum(q * np.log2(q / middle))
    assert jensen_shannon(p, q) == pytest.approx(by_hand) == jensen_shannon(q, p)
    rng = np.random.default_rng(0)
    for _ in range(50):
        value = jensen_shannon(rng.dirichlet(np.full(8, 0.1)), rng.dirichlet(np.full(8, 0.1)))
        assert -1e-12 <= value <= 1 + 1e-12


def weighed(likelihoods: list[float], **changes: Any) -> dict[str, Any]:
    return {**row("forget", "private", "a", "a"), "option_log_likelihoods": likelihoods, **changes}


def test_divergence_from_gold_is_a_mean_over_shared_forget_questions() -> None:
    same, apart = weighed([-1.0, -2.0]), weighed([0.0, -900.0], question="!")
    gold = [weighed([-11.0, -12.0]), weighed([-900.0, 0.0], question="!")]
    assert js_to_gold([same], gold) == pytest.approx(0, abs=1e-12)  # a constant changes nothing
    assert js_to_gold([same, apart], gold) == pytest.approx(0.5)
    elsewhere = weighed([0.0, -900.0], group="retain")
    unasked = weighed([0.0, -900.0], question="Who?")
    assert js_to_gold([same, elsewhere, unasked], gold) == pytest.approx(0, abs=1e-12)


def test_no_divergence_where_nothing_was_weighed_on_both_sides() -> None:
    assert js_to_gold([row("forget", "private", "a", "a")], [weighed([0.0, 0.0])]) is None
