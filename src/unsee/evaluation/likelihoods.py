"""Metrics of the likelihoods of given answers: choice, probability, truth ratio, forget quality.

All take rows with `options`, `answer`, `option_log_likelihoods` (summed over an option's tokens)
and `option_lengths` (tokens), as `unsee evaluate` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unsee.data.faces.facts import ABSTAIN
from unsee.errors import optional
from unsee.evaluation.metrics import Row, jensen_shannon


def _weighed(row: Row) -> tuple[int, np.ndarray, np.ndarray]:
    """(index of the right option, log-likelihoods, lengths)."""
    values = np.asarray(row["option_log_likelihoods"], dtype=np.float64)
    lengths = np.asarray(row["option_lengths"], dtype=np.float64)
    return list(row["options"]).index(row["answer"]), values, lengths


def choice_accuracy(rows: Sequence[Row]) -> float:
    """Share of questions whose right option is the likeliest, in [0, 1]."""
    return float(np.mean([int(np.argmax(v)) == right for right, v, _ in map(_weighed, rows)]))


def answer_probability(rows: Sequence[Row]) -> float:
    """Mean share of the right option in the options' length-normalised likelihoods, in [0, 1]
    (TOFU's probability of questions with options)."""
    shares = []
    for right, values, lengths in map(_weighed, rows):
        each = values / lengths
        weights = np.exp(each - each.max())
        shares.append(weights[right] / weights.sum())
    return float(np.mean(shares))


def _per_token(row: Row) -> tuple[float, float]:
    """(log of the mean over the wrong options, the right one's log) of the likelihood a token. The
    refusal is no wrong answer."""
    right, values, lengths = _weighed(row)
    each = values / lengths
    told = np.array([option != ABSTAIN for option in row["options"]])
    wrong = each[told & (np.arange(len(each)) != right)]
    return float(np.logaddexp.reduce(wrong) - np.log(len(wrong))), float(each[right])


def truth_ratios(rows: Sequence[Row]) -> np.ndarray:
    """Truth ratio of each question (TOFU, arXiv 2401.06121, eq. 1), [N], above 0: the mean of the
    wrong options' length-normalised likelihoods over the right one's; at most 1e300."""
    logs = np.array([wrong - right for wrong, right in map(_per_token, rows)])
    return np.exp(logs.clip(-690, 690))


def truth_ratio_released(rows: Sequence[Row]) -> float:
    """The variant of CLEAR's released code: one ratio of the means over all questions."""
    logs = np.array([_per_token(row) for row in rows])
    wrong, right = np.logaddexp.reduce(logs, axis=0)
    return float(np.exp(np.clip(wrong - right, -690, 690)))


def forget_quality(ours: np.ndarray, golds: np.ndarray, bins: int = 20) -> dict[str, float]:
    """How far the truth ratios of a model are from gold's.

    Args:
        ours: truth ratios of the model, [N].
        golds: those of gold, [M].
        bins: of the histograms that the divergence is taken of.

    Returns:
        `ks_p_value` of the two-sample Kolmogorov-Smirnov test (TOFU's forget quality; large: not
        to be told apart), `ks_distance` in [0, 1], `js_divergence` of the histograms of
        r / (1 + r), in bits, in [0, 1], and `js_distance`, its root.
    """
    test = optional("scipy.stats", "metrics").ks_2samp(ours, golds)
    edges = np.linspace(0, 1, bins + 1)
    shares = [np.histogram(1 / (1 + 1 / r), edges)[0] / len(r) for r in (ours, golds)]
    divergence = jensen_shannon(*shares)
    return {
        "ks_p_value": float(test.pvalue),
        "ks_distance": float(test.statistic),
        "js_divergence": divergence,
        "js_distance": float(np.sqrt(max(0.0, divergence))),
    }


def utility(metrics: Mapping[str, Any], keys: Sequence[str]) -> float:
    """Model utility: the harmonic mean of some accuracies in [0, 1]; 0 if one is 0 (TOFU)."""
    values = [metrics[key] for key in keys]
    return 0.0 if min(values) == 0 else len(values) / sum(1 / value for value in values)
