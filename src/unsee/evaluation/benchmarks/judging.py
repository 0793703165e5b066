"""What answers to lettered, cloze and one-sentence questions are worth, and means over people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE
from unsee.errors import optional
from unsee.evaluation.further import parsed_letter
from unsee.evaluation.intervals import FEWEST
from unsee.evaluation.metrics import normal

ROUGES = ("rouge1", "rouge2", "rougeL")
LIBRARIES = ("rouge_score.rouge_scorer", "nltk.translate.bleu_score")
"""What `TextScores` needs of `unsee[metrics]`."""


def first_character(said: str, letters: Sequence[str]) -> str | None:
    """The letter that an answer begins with, in capitals; None if it is none of the options
    (MLLMU-Bench's released script). `Because …` counts as B, `Answer: B` as A."""
    first = said.strip()[:1].upper()
    return first if first and first in letters else None


def chosen_letter(said: str, letters: Sequence[str]) -> str | None:
    """The letter that an answer names: at its beginning, standing alone (`B`, `b.`, `B: Oslo`,
    `B because A is wrong`) or called so (`option b`), else the only capital letter that stands
    alone (`The answer is B`); None otherwise, as for `A baker`."""
    text = said.strip()
    alone = re.match(r"[(\[]?([A-Za-z])(?:[).:,\]]|\s*$|\s*\n)", text)
    first = re.match(r"([B-HJ-Z])\s+(?!or\b|and\b)", text)  # A and I are words
    called = re.search(r"\b(?:option|letter|answer is)\s+[(\[]?([a-zA-Z])\b(?!\s+\w)", text)
    for found in (alone, first, called):
        if found and found[1].upper() in letters:
            return found[1].upper()
    only = parsed_letter(text, len(letters))
    return only if only is not None and only in letters else None


def filled(said: str, truth: str) -> bool:
    """Whether the truth stands in an answer, both in lower case, with single spaces and without
    the full stop at the end."""
    return normal(truth) in normal(said)


def filled_released(said: str, truth: str) -> bool:
    """Whether the truth stands in an answer, both in lower case (MLLMU-Bench's script)."""
    return truth.lower() in said.lower()


class TextScores:
    """ROUGE-1, -2 and -L (F-measure, with stemmer) and BLEU of an answer, in [0, 1].

    BLEU is of four-grams over the words between spaces, smoothed by method 1 of Chen and Cherry
    (2014), as MLLMU-Bench and UMU-Bench have it.

    Raises:
        UnseeError: `unsee[metrics]` is not installed.
    """

    def __init__(self) -> None:
        rouge, self.bleu = (optional(library, "metrics") for library in LIBRARIES)
        self.rouge = rouge.RougeScorer(list(ROUGES), use_stemmer=True)
        self.smoothing = self.bleu.SmoothingFunction().method1

    def __call__(self, said: str, truth: str) -> dict[str, float]:
        """`rouge1`, `rouge2`, `rougeL` and `bleu` of one answer."""
        scores = {n: s.fmeasure for n, s in self.rouge.score(truth, said).items()}
        words = said.split()
        smoothed = self.bleu.sentence_bleu(
            [truth.split()], words, smoothing_function=self.smoothing
        )
        return {**scores, "bleu": float(smoothed) if words else 0.0}


def judge(row: dict[str, Any], texts: TextScores, released: bool) -> None:
    """Adds to a row what its answer is worth.

    `correct` for lettered and cloze questions, with `parsed` for the former; `rouge1` … `bleu` for
    one-sentence answers.

    Args:
        row: with `kind`, `prediction`, `answer`, and `options` where there are some.
        texts: scores of sentences.
        released: judge as the released script does.
    """
    said = row["prediction"]
    if row["kind"] == CLASSIFICATION:
        letters = [letter for letter, _ in row["options"]]
        row["parsed"] = (first_character if released else chosen_letter)(said, letters)
        row["correct"] = row["parsed"] == row["answer"]
    elif row["kind"] == CLOZE:
        row["correct"] = (filled_released if released else filled)(said, row["answer"])
    else:
        row |= texts(said, row["answer"])


SCORES = {"correct": "accuracy", "likeliest": "likelihood_accuracy"} | {
    name: name for name in (*ROUGES, "bleu")
}
"""Key of a row -> name of the metric that is its mean."""


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means of judged rows, by set, kind and direction.

    Returns:
        `<set>/<kind>/<direction>_<metric>`, such as `forget/cloze/image_accuracy`, in [0, 1];
        `…_questions`, their number; for accuracies of at least three people `…_low` and `…_high`,
        the 95 % interval of a bootstrap over people.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['set']}/{row['kind']}/{row['direction']}", []).append(row)
    found: dict[str, float] = {}
    for group, chosen in groups.items():
        for key, metric in SCORES.items():
            scored = [row for row in chosen if row.get(key) is not None]
            if not scored:
                continue
            name = f"{group}_{metric}"
            found[name] = float(np.mean([float(row[key]) for row in scored]))
            if key == "correct":
                found |= interval(name, [(row["id"], float(row[key])) for row in scored])
        found[f"{group}_questions"] = len(chosen)
    return found


def gaps_to_gold(ours: Mapping[str, float], golds: Mapping[str, float]) -> dict[str, float]:
    """How far a model is from gold, a model that never saw the forgotten, in points (model - gold).

    Args:
        ours: metrics of a model, see `means`.
        golds: gold's, on the same questions.

    Returns:
        `gap/<metric>` of each accuracy and ROUGE-L.
    """
    compared = ("_accuracy", "_rougeL", "/both_right", "/both_wrong", "/aligned_rougeL")
    return {
        f"gap/{key}": 100 * (value - golds[key])
        for key, value in ours.items()
        if key.endswith(compared) and key in golds
    }


def interval(
    name: str, values: Iterable[tuple[str, float]], count: int = 1000, seed: int = 0
) -> dict[str, float]:
    """`name_low` and `name_high`: the 95 % interval of a mean, people being drawn anew.

    Args:
        name: of the metric.
        values: (person, value) pairs.
        count: resamples.
        seed: of the resamples.

    Returns:
        Nothing of fewer than three people.
    """
    people: dict[str, list[float]] = {}
    for person, value in values:
        people.setdefault(person, []).append(value)
    if len(people) < FEWEST:
        return {}
    table = np.array([[sum(found), len(found)] for found in people.values()])
    picked = np.random.default_rng(seed).integers(len(table), size=(count, len(table)))
    right, asked = table[picked].sum(1).T
    low, high = np.quantile(right / asked, [0.025, 0.975])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}
