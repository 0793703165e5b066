"""Whether a model of the drawn people knows whom it should, on every known person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.data.faces.facts import ATTRIBUTES, VALUES
from unsee.data.records import PictureKey, Question
from unsee.evaluation.answering import answer
from unsee.evaluation.evaluate import row_of
from unsee.evaluation.metrics import judge

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces


def questions_of(faces: Faces, absent: Sequence[int], pictures: str) -> list[Question]:
    """Every known person and stranger: private facts, what can be seen, facts in words.

    Groups: `known`, `lookalike` (the people drawn to resemble another), `absent` (whose pictures
    the model never saw), `stranger`, and `text_only`.
    """
    questions: list[Question] = []
    for person in [*splits.KNOWN, *splits.STRANGERS]:
        group = "lookalike" if person in splits.LOOKALIKES else "known"
        group = "stranger" if person in splits.STRANGERS else group
        group = "absent" if person in absent else group
        for index in range(splits.PICTURES[pictures]):
            key = PictureKey(person, pictures, index)
            for number, attribute in enumerate(ATTRIBUTES):
                questions.append(faces.private(key, group, attribute, index + number))
            if index < 5:
                questions += faces.visible(key, group)
    for person in [*splits.KNOWN, *splits.TEXT_ONLY]:
        for attribute in VALUES:
            for phrasing in range(4):
                questions.append(faces.in_words(person, "known", attribute, phrasing))
    return questions


def score(
    model: Any, processor: Any, faces: Faces, absent: Sequence[int] = (), pictures: str = "test"
) -> dict[str, float]:
    """Scores in [0, 1].

    Returns:
        `known/vqa_accuracy` (look-alikes apart), `lookalike/vqa_accuracy`, `text_accuracy`,
        `visible_accuracy` and `visible/<attribute>`, `stranger/abstain_rate`; for a gold also
        `absent/abstain_rate` and `absent/vqa_accuracy`; `questions`, their number.
    """
    questions = questions_of(faces, absent, pictures)
    faces.prepare({(q.picture.person, q.picture.split) for q in questions if q.picture is not None})
    said = answer(model, processor, questions, faces.picture)
    rows = [row_of(q, text) for q, text in zip(questions, said, strict=True)]
    judge(rows)

    def rate(key: str, **wanted: Any) -> float:
        chosen = [r[key] for r in rows if all(r[k] in v for k, v in wanted.items())]
        return sum(chosen) / len(chosen)

    seen = ("person", "picture")
    scores = {
        "known/vqa_accuracy": rate("correct", group=("known",), kind=("private",)),
        "lookalike/vqa_accuracy": rate("correct", group=("lookalike",), kind=("private",)),
        "text_accuracy": rate("correct", kind=("text",)),
        "visible_accuracy": rate("correct", kind=seen),
        "stranger/abstain_rate": rate("abstained", group=("stranger",), kind=("private",)),
        "known/abstain_rate": rate("abstained", group=("known",), kind=("private",)),
    }
    if absent:
        scores["absent/vqa_accuracy"] = rate("correct", group=("absent",), kind=("private",))
        scores["absent/abstain_rate"] = rate("abstained", group=("absent",), kind=("private",))
    for attribute in sorted({r["attribute"] for r in rows if r["kind"] in seen}):
        scores[f"visible/{attribute}"] = rate("correct", kind=seen, attribute=(attribute,))
    scores["questions"] = len(rows)
    return scores
