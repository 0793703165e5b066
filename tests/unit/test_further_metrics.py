"""The field's further metrics, against values worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unsee.cli.main import main
from unsee.data.faces.facts import ABSTAIN
from unsee.data.records import PRIVATE, PictureKey, Question
from unsee.errors import UnseeError, optional
from unsee.evaluation.further import lettered, parsed_letter, verification_auc
from unsee.evaluation.likelihoods import (
    answer_probability,
    choice_accuracy,
    forget_quality,
    truth_ratio_released,
    truth_ratios,
    utility,
)
from unsee.evaluation.text_metrics import bleu, cloze_accuracy, rouge


def row(likelihoods: list[float], lengths: list[int], answer: str = "a") -> dict[str, Any]:
    weights = [math.log(value) for value in likelihoods]
    found = {"options": ["a", "b", "c"], "answer": answer, "option_lengths": lengths}
    return {**found, "option_log_likelihoods": weights}


ROWS = [row([0.25, 0.04, 0.01], [2, 2, 1]), row([0.1, 0.4, 0.2], [1, 1, 1])]


def test_choice_and_probability_among_the_options() -> None:
    assert choice_accuracy(ROWS) == 0.5
    assert answer_probability(ROWS) == pytest.approx((0.5 / 0.71 + 0.1 / 0.7) / 2)  # per token
    assert choice_accuracy([row([0.1, 0.4, 0.2], [1, 1, 1], "b")]) == 1


def test_truth_ratio_is_per_token_and_per_question() -> None:
    wrong, right = [(0.2 + 0.01) / 2, 0.3], [0.5, 0.1]
    assert truth_ratios(ROWS).tolist() == pytest.approx([0.105 / 0.5, 0.3 / 0.1])
    assert truth_ratio_released(ROWS) == pytest.approx(sum(wrong) / sum(right))
    refusing = {**ROWS[1], "options": ["a", "b", ABSTAIN]}
    assert truth_ratios([refusing]).tolist() == pytest.approx([0.4 / 0.1])
    destroyed = {**ROWS[0], "option_log_likelihoods": [-1e6, -10.0, -20.0]}
    assert truth_ratios([destroyed]) == pytest.approx([1e300], rel=1)


def test_forget_quality_of_the_same_and_of_other_ratios() -> None:
    rng = np.random.default_rng(0)
    ours = rng.random(200)
    same, other = forget_quality(ours, ours), forget_quality(ours, ours / 10)
    zeros = dict.fromkeys(("ks_distance", "js_divergence", "js_distance"), 0.0)
    assert same == {"ks_p_value": 1.0, **zeros}
    assert other["ks_p_value"] < 1e-9 and other["ks_distance"] > 0.8
    assert 0.5 < other["js_divergence"] <= 1
    above = forget_quality(1 / ours, ours)  # a ratio and its inverse are not the same distribution
    assert above["ks_distance"] == 1.0 and above["js_divergence"] > 0.9


def test_utility_is_a_harmonic_mean() -> None:
    assert utility({"x": 0.5, "y": 1.0}, ("x", "y")) == pytest.approx(2 / 3)
    assert utility({"x": 0.0, "y": 1.0}, ("x", "y")) == 0


def test_rouge_has_f_measures_with_stemming_and_recall() -> None:
    found = rouge(["the cats sat"], ["the cat sat down here"])
    assert found["rouge1"] == pytest.approx(2 * 1 * 0.6 / 1.6)
    assert found["rouge2"] == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert found["rougeL"] == found["rouge1"] and found["rougeL_recall"] == pytest.approx(0.6)
    assert rouge(["a", "b"], ["a", "c"])["rouge1"] == 0.5


def test_bleu_of_short_answers_is_whole_when_they_are_equal() -> None:
    assert bleu(["baker"], ["baker"]) == pytest.approx(1)
    assert bleu(["baker", "pilot"], ["baker", "baker"]) < 0.6
    assert bleu(["the baker of Oslo"], ["the baker of Lima"]) > bleu(["no"], ["the baker of Lima"])


def test_cloze_is_a_substring_in_lower_case() -> None:
    assert cloze_accuracy(["He is a Baker.", "pilot"], ["baker", "nurse"]) == 0.5


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        *[("B", "B"), ("B.", "B"), ("(C)", "C"), ("Answer: A", "A"), ("A or B", None)],
        *[("", None), ("E", None), ("Because", None), ("I don't know", None)],
    ],
)
def test_letters_are_parsed(text: str, letter: str | None) -> None:
    assert parsed_letter(text, 4) == letter


def test_lettered_question_names_the_right_option_and_moves_it_about() -> None:
    letters = set()
    for index in range(12):
        key = PictureKey(3, "test", index)
        asked = Question("forget", 3, "Ada", key, PRIVATE, "job", "Job?", "b", ("a", "b", "c"))
        found = lettered(asked)
        assert f"\n{found.answer}. b\n" in found.question and found == lettered(asked)
        assert found.question.startswith("Job?\n") and sorted(found.question).count("\n") == 4
        letters.add(found.answer)
    assert letters == {"A", "B", "C"}


def test_verification_tells_people_apart_or_does_not() -> None:
    rng = np.random.default_rng(0)
    strangers = rng.normal(size=(40, 8))
    known = [rng.normal(size=8) * 5 + rng.normal(size=(6, 8)) * 0.1 for _ in range(3)]
    assert verification_auc(known, strangers) > 0.99
    assert 0.3 < verification_auc([rng.normal(size=(12, 8)) for _ in range(6)], strangers) < 0.7


def test_missing_library_is_named() -> None:
    with pytest.raises(
        UnseeError, match=r"this needs nothing_here: pip install 'unsee\[metrics\]'"
    ):
        optional("nothing_here.x", "metrics")


@pytest.mark.usefixtures("few_pictures")
def test_command_adds_them(checkpoint_of: dict[str, Path], tmp_path: Path) -> None:
    source = str(checkpoint_of["llava"])
    words = ["evaluate", source, "--gold", source, "--output", "out", "--further"]
    assert main([*words, "--forget", "3,17", "--per-person", "1"]) == 0
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    wanted = {f"{g}/{m}" for g in ("forget", "retain") for m in ("rougeL", "bleu")}
    wanted |= {"forget/truth_ratio", "forget/letter_accuracy", "forget/verification_auc", "utility"}
    assert wanted <= metrics.keys()
    assert metrics["forget_quality/ks_p_value"] == 1
    rows = [json.loads(x) for x in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    weighed = [r for r in rows if "option_lengths" in r]
    assert weighed and all(len(r["option_lengths"]) == len(r["options"]) for r in weighed)
