"""TOFU's metrics of given answers, as CLEAR and FIUBench use them: pure functions on rows.

Rows hold `options` (the right answer, or its paraphrase, first), `answer`,
`option_log_likelihoods` (summed over an option's tokens, natural logarithm) and `option_lengths`
(tokens), as `unsee.evaluation.likelihoods` takes them. Everything is per token: P below is the
geometric mean of the probabilities of an answer's tokens.

*Corrected* is TOFU's paper (arXiv 2401.06121). *Released* is what the benchmarks' scripts compute;
where they differ, docs/benchmarks.md says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from unsee.errors import UnseeError, optional
from unsee.evaluation import likelihoods
from unsee.evaluation.metrics import Row

LARGEST = 690.0
"""Bound of logarithms of ratios, so that exp stays finite."""


def _logs(row: Row) -> tuple[float, np.ndarray]:
    """(log P of the right answer, log P of each wrong one [K])."""
    values = np.asarray(row["option_log_likelihoods"], dtype=np.float64)
    each = values / np.asarray(row["option_lengths"], dtype=np.float64)
    right = list(row["options"]).index(row["answer"])
    return float(each[right]), np.delete(each, right)


def probability(rows: Sequence[Row]) -> float:
    """Mean over rows of P of the right answer, in [0, 1]; wrong options are not looked at."""
    return float(np.mean([np.exp(_logs(row)[0]) for row in rows]))


def truth_ratios(rows: Sequence[Row], protocol: str = "corrected", of: str = "item") -> np.ndarray:
    """Truth ratio of each row, [N], above 0: P of wrong answers over P of the right one.

    Args:
        rows: with at least one wrong option each.
        protocol: `corrected`: the arithmetic mean of the P of the row's wrong answers (TOFU's
            equation 1); `released`: their geometric mean, as the scripts compute it.
        of: `released` only: `item`: the row's own wrong answers (FIUBench); `set`: one number for
            all rows, the geometric mean of all wrong answers of the set (CLEAR's script averages
            over rows too, so that a row's own wrong answers hardly count).

    Raises:
        UnseeError: a row has no wrong option.
    """
    logs = [_logs(row) for row in rows]
    if any(not len(wrong) for _, wrong in logs):
        raise UnseeError("a truth ratio needs wrong answers: a row has none (perturbed data?)")
    if protocol == "corrected":
        return likelihoods.truth_ratios(rows)
    right = np.array([value for value, _ in logs])
    wrong = np.array([each.mean() for _, each in logs])
    if of == "set":
        wrong = np.full_like(right, np.concatenate([each for _, each in logs]).mean())
    return np.exp((wrong - right).clip(-LARGEST, LARGEST))


def forgotten(ratios: np.ndarray) -> float:
    """Mean of min(R, 1/R), in [0, 1]: 1 where a model cannot tell the truth from the wrong answers
    (TOFU, for what is forgotten)."""
    return float(np.minimum(ratios, 1 / ratios).mean())


def told(ratios: np.ndarray) -> float:
    """Mean of max(0, 1 - R), in [0, 1]: 1 where wrong answers are out of the question (TOFU, for
    what is kept; a part of model utility)."""
    return float(np.maximum(0, 1 - ratios).mean())


def keyword_match(prediction: str, keywords: Sequence[str]) -> float:
    """Share of keywords that stand in the prediction, whatever their case, in [0, 1]; 0 without
    keywords (FIUBench's exact match)."""
    said = prediction.casefold()
    found = [keyword.casefold() in said for keyword in keywords]
    return sum(found) / len(found) if found else 0.0


class _Words:
    """A tokenizer for `rouge_score` that keeps letters of all scripts; its own drops what is not
    a-z or 0-9, so that a name in another script would match nothing."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def tokenize(self, text: str) -> list[str]:
        """Words of a text; those in plain letters as `rouge_score` cuts and stems them."""
        found: list[str] = []
        for word in re.findall(r"\w+", text.lower()):
            found += self.plain.tokenize(word) if word.isascii() else [word]
        return found


def rouge_recalls(
    predictions: Sequence[str], references: Sequence[str], protocol: str = "corrected"
) -> list[float]:
    """ROUGE-L recall of each prediction, in [0, 1], with stemming.

    Args:
        predictions: what was said.
        references: what is right, in the same order.
        protocol: `released`: words in plain letters only, as the `rouge_score` package cuts them;
            `corrected`: words of all scripts.
    """
    scoring = optional("rouge_score.rouge_scorer", "metrics")
    cutting = optional("rouge_score.tokenizers", "metrics").DefaultTokenizer(True)
    words = cutting if protocol == "released" else _Words(cutting)
    scorer = scoring.RougeScorer(["rougeL"], tokenizer=words)
    return [
        float(scorer.score(right, said)["rougeL"].recall)
        for said, right in zip(predictions, references, strict=True)
    ]


def chrf(prediction: str, reference: str) -> float:
    """chrF++ in lower case, in [0, 100]: the scale on which CLEAR's script averages it."""
    measure = optional("sacrebleu", "metrics").CHRF(word_order=2, lowercase=True)
    return float(measure.sentence_score(prediction, [reference]).score)
