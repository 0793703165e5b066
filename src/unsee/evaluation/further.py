"""The further metrics of the field, on the embedded benchmark: `unsee evaluate --further`.

They are off by default: some ask more questions, and all are read beside gold's, as the accuracies
are. Whether each tells models that know from models that do not is what `unsee.studies.metrics`
measures. Where identity can still be read, layer by layer, is asked by `unsee.studies.probe`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unsee.data.records import PRIVATE, Question
from unsee.evaluation.answering import answer
from unsee.evaluation.feature_map import features_of
from unsee.evaluation.likelihoods import (
    answer_probability,
    choice_accuracy,
    forget_quality,
    truth_ratio_released,
    truth_ratios,
    utility,
)
from unsee.evaluation.metrics import Row
from unsee.evaluation.strangers import rank_auc
from unsee.evaluation.text_metrics import bleu, cloze_accuracy, rouge

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

GROUPS = ("forget", "retain", "lookalike")
UTILITY = ("retain/vqa_accuracy", "lookalike/vqa_accuracy", "visible/vqa_accuracy")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LIBRARIES = ("rouge_score", "sacrebleu", "scipy")
"""What they need beside unsee itself."""
VERIFIED = 8
"""Pictures of each person that are verified."""


def lettered(question: Question, seed: int = 0) -> Question:
    """The question with its options as a list of letters, in an order of its own; the answer is the
    letter of the right one."""
    rng = np.random.default_rng(
        [seed, *str(question.picture).encode(), *question.question.encode()]
    )
    order = rng.permutation(len(question.options))
    options = [question.options[i] for i in order]
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    text = "\n".join([question.question, *lines, "Answer with the letter of the right option."])
    return replace(question, question=text, answer=LETTERS[options.index(question.answer)])


def parsed_letter(text: str, options: int) -> str | None:
    """The letter that an answer names: alone, or as in `B.`, `(B)`, `Answer: B`; None if there is
    none or several. The article of `A baker` is none."""
    offered = LETTERS[:options]
    words = re.sub(r"\bA(?= (?!or\b|and\b)[a-z])", "", text)
    found = set(re.findall(rf"(?<![A-Za-z])([{offered}])(?![A-Za-z])", words))
    return found.pop() if len(found) == 1 else None


def letter_accuracy(
    model: Any, processor: Any, questions: Sequence[Question], faces: Faces, progress: bool = True
) -> float:
    """Share of lettered questions answered with the right letter, in [0, 1]."""
    asked = [lettered(question) for question in questions]
    said = answer(model, processor, asked, faces.picture, progress=progress)
    right = [
        parsed_letter(text, len(q.options)) == q.answer for text, q in zip(said, asked, strict=True)
    ]
    return float(np.mean(right))


def verification_auc(ours: Sequence[np.ndarray], strangers: np.ndarray) -> float:
    """ROC-AUC of telling two pictures of the same person from one of theirs and a stranger's.

    Args:
        ours: features of each person's pictures, [N, D] each.
        strangers: features of strangers' pictures, [M, D].

    Returns:
        Mean over people, in [0, 1], of the AUC of cosine similarities about the strangers' mean.
    """
    centre = strangers.mean(0)

    def unit(features: np.ndarray) -> np.ndarray:
        moved = features - centre
        return moved / np.linalg.norm(moved, axis=1, keepdims=True).clip(1e-12)

    others = unit(strangers)
    found = []
    for features in ours:
        own = unit(features)
        same = (own @ own.T)[np.triu_indices(len(own), 1)]
        found.append(rank_auc(same, (own @ others.T).ravel()))
    return float(np.mean(found))


def further_metrics(
    model: Any,
    processor: Any,
    faces: Faces,
    split: Split,
    pictures: str,
    scores: dict[str, Any],
    rows: Sequence[Row],
    gold_rows: Sequence[Row] | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """All of them, by name.

    Args:
        model: multimodal model.
        processor: its processor.
        faces: the embedded benchmark.
        split: who is forgotten.
        pictures: `test` or `validation`.
        scores: what `evaluate_faces` found.
        rows: its judged rows.
        gold_rows: gold's rows on the same questions, for forget quality.
        progress: show progress bars.

    Returns:
        `forget/rougeL` … for each of `GROUPS`; of the forget group also `choice_accuracy`,
        `answer_probability`, `truth_ratio` (a mean over questions), `truth_ratio_released`,
        `letter_accuracy`, `verification_auc`; `utility`; with gold `forget_quality/…`.
    """
    found: dict[str, float] = {}
    for group in GROUPS:
        of_group = [r for r in rows if r["group"] == group and r["kind"] == PRIVATE]
        if not of_group:
            continue
        said, right = ([row[key] for row in of_group] for key in ("prediction", "answer"))
        found |= {f"{group}/{name}": value for name, value in rouge(said, right).items()}
        found[f"{group}/bleu"] = bleu(said, right)
        found[f"{group}/cloze_accuracy"] = cloze_accuracy(said, right)
    weighed = [row for row in rows if "option_log_likelihoods" in row]
    if weighed:
        ratios = truth_ratios(weighed)
        found["forget/choice_accuracy"] = choice_accuracy(weighed)
        found["forget/answer_probability"] = answer_probability(weighed)
        found["forget/truth_ratio"] = float(ratios.mean())
        found["forget/truth_ratio_released"] = truth_ratio_released(weighed)
        golds = [row for row in gold_rows or () if "option_lengths" in row]
        if golds:
            quality = forget_quality(ratios, truth_ratios(golds))
            found |= {f"forget_quality/{name}": value for name, value in quality.items()}
    if all(key in scores for key in UTILITY):
        found["utility"] = utility(scores, UTILITY)
    questions = [
        q
        for q in faces.evaluation(split, pictures)
        if q.group == "forget"
        and q.kind == PRIVATE
        and q.options
        and q.picture is not None
        and q.picture.index < VERIFIED
    ]
    found["forget/letter_accuracy"] = letter_accuracy(model, processor, questions, faces, progress)
    found["forget/verification_auc"] = _verification(model, processor, faces, split, pictures)
    return {name: round(value, 6) for name, value in found.items()}


def _verification(model: Any, processor: Any, faces: Faces, split: Split, pictures: str) -> float:
    from unsee.data.faces import splits

    people = [*split.forget, *splits.STRANGERS]
    faces.prepare([(person, pictures) for person in people])

    def features(person: int) -> np.ndarray:
        return features_of(model, processor, list(faces.pictures(person, pictures)[:VERIFIED]))

    strangers = np.concatenate([features(person) for person in splits.STRANGERS])
    return verification_auc([features(person) for person in split.forget], strangers)
