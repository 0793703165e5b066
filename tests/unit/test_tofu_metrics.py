"""TOFU's metrics, against values worked out by hand in plain probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from unsee.errors import UnseeError
from unsee.evaluation.benchmarks import tofu
from unsee.evaluation.likelihoods import answer_probability, forget_quality


def row(right: float, wrong: list[float], lengths: list[int]) -> dict[str, Any]:
    """A row whose answers have these probabilities *per token*."""
    chances = [right, *wrong]
    return {
        "options": [f"answer {i}" for i in range(len(chances))],
        "answer": "answer 0",
        "option_lengths": lengths,
        "option_log_likelihoods": [n * math.log(p) for p, n in zip(chances, lengths, strict=True)],
    }


ROWS = [row(0.5, [0.2, 0.05], [3, 1, 7]), row(0.1, [0.4, 0.1], [2, 2, 5])]


def test_probability_is_per_token() -> None:
    assert tofu.probability(ROWS) == pytest.approx(0.3)
    assert answer_probability(ROWS) == pytest.approx((0.5 / 0.75 + 0.1 / 0.6) / 2)
    assert answer_probability([row(0.3, [], [4])]) == pytest.approx(1)


def test_truth_ratio_corrected_is_the_arithmetic_mean_of_each_item() -> None:
    assert tofu.truth_ratios(ROWS).tolist() == pytest.approx([0.125 / 0.5, 0.25 / 0.1])


def test_truth_ratio_released_is_geometric_and_may_be_of_the_whole_set() -> None:
    own = tofu.truth_ratios(ROWS, "released")
    assert own.tolist() == pytest.approx([0.1 / 0.5, 0.2 / 0.1])
    whole = (0.2 * 0.05 * 0.4 * 0.1) ** 0.25
    shared = tofu.truth_ratios(ROWS, "released", of="set")
    assert shared.tolist() == pytest.approx([whole / 0.5, whole / 0.1])
    assert abs(shared[0] - own[0]) > 0.05


def test_a_broken_model_has_a_finite_ratio_and_no_wrong_answers_are_named() -> None:
    broken = {**ROWS[0], "option_log_likelihoods": [-1e7, -1.0, -1.0]}
    for protocol in ("corrected", "released"):
        assert np.isfinite(tofu.truth_ratios([broken], protocol)).all()
    with pytest.raises(UnseeError, match="needs wrong answers"):
        tofu.truth_ratios([row(0.5, [], [2])])


def test_what_is_forgotten_and_what_is_told() -> None:
    ratios = np.array([0.25, 1.0, 4.0])
    assert tofu.forgotten(ratios) == pytest.approx((0.25 + 1 + 0.25) / 3)
    assert tofu.told(ratios) == pytest.approx((0.75 + 0 + 0) / 3)


def test_forget_quality_against_gold() -> None:
    ours, golds = np.array([0.1, 0.2, 0.3, 5.0]), np.array([2.0, 3.0, 4.0, 5.0])
    found = forget_quality(ours, golds)
    assert found["ks_distance"] == pytest.approx(0.75)
    assert found["js_distance"] == pytest.approx(math.sqrt(found["js_divergence"]))
    assert 0 < found["ks_p_value"] < 1
    same = forget_quality(ours, ours)
    assert same["ks_p_value"] == 1 and same["js_distance"] == 0


def test_keywords_in_any_case() -> None:
    said = "She is a BAKER in straße 5."
    assert tofu.keyword_match(said, ["baker", "Lima", "STRASSE", "5"]) == 0.75
    assert tofu.keyword_match(said, []) == 0


def test_recall_of_words_in_all_scripts() -> None:
    said, right = "cats sat there, 蕭 雲華", "the cat sat. 蕭 雲華 Абилов"
    # the, cat, sat, 蕭, 雲華, Абилов: "the" and "Абилов" are missing
    assert tofu.rouge_recalls([said], [right]) == [pytest.approx(4 / 6)]
    assert tofu.rouge_recalls([said], [right], "released") == [pytest.approx(2 / 3)]
    assert tofu.rouge_recalls(["Абилов"], ["Абилов"], "released") == [0]
    assert tofu.rouge_recalls(["x y z"], ["x"]) == [1]  # recall, not F


def test_chrf_is_on_a_scale_of_hundred() -> None:
    assert tofu.chrf("Ada Belberg", "ada belberg") == pytest.approx(100)
    assert 0 < tofu.chrf("Ada Bel", "Ada Belberg") < 90
