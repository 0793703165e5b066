"""Scores one model on the embedded benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from unsee.data.records import PRIVATE, Question
from unsee.evaluation.answering import answer, option_log_likelihoods, option_tokens
from unsee.evaluation.intervals import accuracy_intervals, by_person
from unsee.evaluation.metrics import judge, summarise

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

WEIGHED_PICTURES = 4
"""Pictures of each forgotten person on which option likelihoods are taken."""


def row_of(question: Question, prediction: str) -> dict[str, Any]:
    """A line of `predictions.jsonl`, not judged yet."""
    row = {**asdict(question), "prediction": prediction}
    row["picture"] = None if question.picture is None else str(question.picture)
    row["options"] = list(question.options)
    return row


def evaluate_faces(
    model: Any,
    processor: Any,
    faces: Faces,
    split: Split,
    pictures: str = "test",
    per_person: int | None = None,
    progress: bool = True,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Asks all questions of a split.

    Args:
        model: multimodal model.
        processor: its processor.
        faces: the embedded benchmark.
        split: who is forgotten and who retained.
        pictures: `test`, or `validation` where something is to be chosen.
        per_person: pictures of each forgotten person, see `Faces.evaluation`.
        progress: show progress bars.

    Returns:
        (metrics, with 95 % intervals by a bootstrap over people; judged prediction rows).
    """
    questions = faces.evaluation(split, pictures, per_person)
    faces.prepare({(q.picture.person, q.picture.split) for q in questions if q.picture is not None})
    said = answer(model, processor, questions, faces.picture, progress=progress)
    rows = [row_of(q, text) for q, text in zip(questions, said, strict=True)]
    _weigh(model, processor, questions, rows, faces, progress)
    judge(rows)
    metrics = summarise(rows)
    for group, (low, high) in accuracy_intervals(by_person(rows)).items():
        metrics |= {f"{group}/vqa_accuracy_low": low, f"{group}/vqa_accuracy_high": high}
    return metrics, rows


def _weigh(
    model: Any,
    processor: Any,
    questions: Sequence[Question],
    rows: list[dict[str, Any]],
    faces: Faces,
    progress: bool,
) -> None:
    """Adds option likelihoods to private forget questions about the first pictures of each."""
    chosen = [
        i
        for i, q in enumerate(questions)
        if q.group == "forget"
        and q.kind == PRIVATE
        and q.options
        and q.picture is not None
        and q.picture.index < WEIGHED_PICTURES
    ]
    weights = option_log_likelihoods(
        model, processor, [questions[i] for i in chosen], faces.picture, progress=progress
    )
    for index, found in zip(chosen, weights, strict=True):
        rows[index]["option_log_likelihoods"] = [round(value, 4) for value in found]
        rows[index]["option_lengths"] = [
            len(option_tokens(processor, option)) for option in questions[index].options
        ]
