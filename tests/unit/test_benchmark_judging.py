"""Letters parsed, blanks filled, sentences compared, means and their intervals."""

from __future__ import annotations

from typing import Any

import pytest

from unsee.evaluation.benchmarks.judging import (
    TextScores,
    chosen_letter,
    filled,
    filled_released,
    first_character,
    judge,
    means,
)


@pytest.mark.parametrize(
    ("said", "script", "ours"),
    [
        ("B", "B", "B"),
        ("b.", "B", "B"),
        ("B: Lima", "B", "B"),
        ("(C) Rome", None, "C"),
        ("\n D \nbecause", "D", "D"),
        ("Because he said so", "B", None),
        ("Answer: B", "A", "B"),
        ("The answer is D.", None, "D"),
        ("Oslo", None, None),
        ("A or B", "A", None),
        ("B or C", "B", None),
        ("A baker.", "A", None),
        ("A nurse who lives in Oslo", "A", None),
        ("B because A is wrong", "B", "B"),
        ("The answer is option b", None, "B"),
        ("It is a letter a man wrote", None, None),
        ("E", None, None),
        ("", None, None),
    ],
)
def test_letters(said: str, script: str | None, ours: str | None) -> None:
    assert first_character(said, "ABCD") == script
    assert chosen_letter(said, "ABCD") == ours


def test_blanks() -> None:
    for judged in (filled, filled_released):
        assert judged("She lives in OSLO, Norway.", "Oslo")
        assert not judged("Lima", "Oslo")
    assert filled("in New  York", "New York.") and not filled_released("in New  York", "New York.")
    assert filled_released("the 李小龙!", "李小龙")


def test_sentences() -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer

    scores = TextScores()
    said, truth = "She was living in Oslo , Norway", "She lives in Oslo , in Norway"
    found = scores(said, truth)
    expected = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True).score(truth, said)
    assert {n: found[n] for n in expected} == {n: s.fmeasure for n, s in expected.items()}
    method = SmoothingFunction().method1
    bleu = sentence_bleu([truth.split()], said.split(), smoothing_function=method)
    assert found["bleu"] == pytest.approx(bleu) and 0 < bleu < 1
    assert scores(truth, truth)["bleu"] == pytest.approx(1)
    assert scores("", truth) == dict.fromkeys(("rouge1", "rouge2", "rougeL", "bleu"), 0.0)
    # by hand: 3 of 5 and 3 of 4 words, in the stems
    assert scores("he plays in the park", "play in parks now")["rouge1"] == pytest.approx(2 / 3)


def row(number: int, right: bool, kind: str = "cloze", **more: Any) -> dict[str, Any]:
    fields = {"set": "forget", "kind": kind, "direction": "text", "id": str(number)}
    return {**fields, "answer": "Oslo", "prediction": "oslo" if right else "", **more}


def test_means_and_intervals() -> None:
    rows = [row(i, right) for i in range(4) for right in (True, i > 1)]
    texts = TextScores()
    for one in rows:
        judge(one, texts, released=False)
    found = means(rows)
    assert found["forget/cloze/text_accuracy"] == 0.75
    assert found["forget/cloze/text_questions"] == 8
    low, high = (found[f"forget/cloze/text_accuracy_{end}"] for end in ("low", "high"))
    assert 0.5 <= low < 0.75 < high <= 1
    two = means(rows[:4])
    assert two["forget/cloze/text_accuracy"] == 0.5 and "forget/cloze/text_accuracy_low" not in two


def test_judging_by_protocol() -> None:
    texts = TextScores()
    options = [["A", "Oslo"], ["B", "Lima"]]
    for released, parsed in ((True, "A"), (False, "B")):
        one = row(1, True, "classification", options=options)
        one |= {"answer": "B", "prediction": "Answer: B"}
        judge(one, texts, released)
        assert one["parsed"] == parsed and one["correct"] == (parsed == "B")
    sentence = row(1, True, "generation")
    judge(sentence, texts, False)
    assert sentence["rouge1"] == 1 and "correct" not in sentence
