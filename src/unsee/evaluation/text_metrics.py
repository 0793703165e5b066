"""Metrics of generated text against a reference: ROUGE, BLEU, cloze. Needs `unsee[metrics]`."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.errors import optional
from unsee.evaluation.metrics import normal

ROUGES = ("rouge1", "rouge2", "rougeL")


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Means of ROUGE-1, -2 and -L, in [0, 1], with stemming: F-measures as `rouge1` …
    (MLLMU-Bench), and `rougeL_recall` (CLEAR).

    Args:
        predictions: what was said.
        references: what is right, in the same order; not empty.
    """
    scorer = optional("rouge_score.rouge_scorer", "metrics").RougeScorer(
        list(ROUGES), use_stemmer=True
    )
    scores = [scorer.score(r, p) for p, r in zip(predictions, references, strict=True)]
    found = {name: sum(s[name].fmeasure for s in scores) / len(scores) for name in ROUGES}
    return {**found, "rougeL_recall": sum(s["rougeL"].recall for s in scores) / len(scores)}


def bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean BLEU of the sentences, in [0, 1], with n-grams up to the length of the text
    (`effective_order`), for answers are often a word or two, and 0.1 for a count of none (method 1
    of Chen and Cherry 2014, as in MLLMU-Bench).

    Arguments are those of `rouge`.
    """
    measure = optional("sacrebleu", "metrics").BLEU(
        effective_order=True, smooth_method="floor", smooth_value=0.1
    )
    scores = [
        measure.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)
    ]
    return sum(scores) / len(scores) / 100


def cloze_accuracy(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Share of predictions in which the reference stands, in lower case, in [0, 1]."""
    found = [normal(r) in normal(p) for p, r in zip(predictions, references, strict=True)]
    return sum(found) / len(found)
