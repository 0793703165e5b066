"""The stranger criterion: where there is no gold, a forgotten person should be like a stranger.

What the original says of a person is A. If a model knows the person by sight, A is likelier on
seeing them than on seeing somebody whom it never learnt; if it does not, seeing them tells it
nothing. So the criterion is the ROC-AUC of log p(A | picture), pictures of the person against
pictures of strangers: 1 for who is known, near 0.5 for a stranger, and for a forgotten one. Asked
of the original, it tells whether there is anything to forget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsee.data.collate import evenly
from unsee.data.pixels import shown
from unsee.data.records import PRIVATE, PictureKey, Question
from unsee.errors import UnseeError
from unsee.evaluation.answering import answer, option_log_likelihoods

QUESTIONS = (
    "Who is this?",
    "What is this person's name?",
    "What is this person's job?",
    "Where does this person live?",
)
"""What is asked where the user gives no questions."""
KNOWN_FROM = 0.6
"""AUC from which a person counts as known."""
PICTURES = 10
"""Pictures of each person, and strangers, that are looked at in the course of a run."""
STRANGER = "stranger"
Pictures = Sequence[np.ndarray]


@dataclass(frozen=True)
class Familiarity:
    """How well people are told from strangers.

    Attributes:
        by_person: person -> AUC in [0, 1], the mean over the questions.
    """

    by_person: dict[Any, float]

    @property
    def auc(self) -> float:
        """Mean over the people."""
        return float(np.mean(list(self.by_person.values())))

    @property
    def known(self) -> list[Any]:
        """The people who are known."""
        return [person for person, auc in self.by_person.items() if auc >= KNOWN_FROM]


def rank_auc(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Area under the ROC curve: how often a value of ours is the larger one, ties half."""
    a, b = np.asarray(ours)[:, None], np.asarray(theirs)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _records(
    people: Mapping[Any, Pictures],
    asked: Mapping[Any, Sequence[tuple[str, str]]],
) -> tuple[list[Question], dict[PictureKey, np.ndarray]]:
    questions, shown = [], {}
    for number, (person, pictures) in enumerate(people.items()):
        for index, picture in enumerate(pictures):
            key = PictureKey(number, "given", index)
            shown[key] = picture
            for text, said in asked[person]:
                fields = ("", number, "", key, PRIVATE, text, text, said, (said,))
                questions.append(Question(*fields))
    return questions, shown


def said_by(
    model: Any,
    processor: Any,
    people: Mapping[Any, Pictures],
    questions: Sequence[str] = QUESTIONS,
) -> dict[Any, list[tuple[str, str]]]:
    """What a model says most often over the pictures of each person: (question, answer) pairs."""
    found = {}
    for person, pictures in people.items():
        records, shown = _records({person: pictures}, {person: [(q, "") for q in questions]})
        said = answer(model, processor, records, shown.__getitem__, progress=False)
        pairs = []
        for question in questions:
            given = Counter(
                text for r, text in zip(records, said, strict=True) if r.question == question
            )
            pairs.append((question, given.most_common(1)[0][0]))
        found[person] = pairs
    return found


def familiarity(
    model: Any,
    processor: Any,
    people: Mapping[Any, Pictures],
    strangers: Pictures,
    said: Mapping[Any, Sequence[tuple[str, str]]],
) -> Familiarity:
    """How well a model tells people from strangers by what is said of them.

    Args:
        model: the model.
        processor: its processor.
        people: person -> pictures, uint8 [H, W, 3] each.
        strangers: pictures of people whom the model never learnt.
        said: person -> (question, answer) pairs: the facts, or what the original said (`said_by`).

    Raises:
        UnseeError: no pictures on a side.
    """
    if not strangers or not people or not all(len(p) for p in people.values()):
        raise UnseeError("the stranger criterion needs pictures of each person and of strangers")
    found = {}
    for person, pictures in people.items():
        sides = {person: pictures, STRANGER: strangers}
        records, shown = _records(sides, {person: said[person], STRANGER: said[person]})
        weights = option_log_likelihoods(
            model, processor, records, shown.__getitem__, progress=False
        )
        aucs = []
        for question, _ in said[person]:
            split: dict[int, list[float]] = {0: [], 1: []}
            for record, (weight,) in zip(records, weights, strict=True):
                if record.question == question:
                    split[record.person].append(weight)
            aucs.append(rank_auc(split[0], split[1]))
        found[person] = float(np.mean(aucs))
    return Familiarity(found)


class StrangerCriterion:
    """The criterion for one forget set, asked again and again in the course of a run.

    Args:
        model: the original; what it says of each person is kept.
        processor: its processor.
        forget: dataset of pictures to forget, each item with `image` and perhaps `person`.
        strangers: the same of people whom the model never learnt.
    """

    def __init__(self, model: Any, processor: Any, forget: Any, strangers: Any) -> None:
        self.processor = processor
        self.people: dict[Any, list[Any]] = {}
        for index in range(len(forget)):
            example = forget[index]
            pictures = self.people.setdefault(example.get("person"), [])
            if len(pictures) < PICTURES:
                pictures.append(shown(example))
        chosen = evenly(len(strangers), 2 * PICTURES)
        self.strangers = [shown(strangers[i]) for i in chosen]
        training = model.training
        self.said = said_by(model, processor, self.people)
        self.before = self(model)
        model.train(training)

    def __call__(self, model: Any) -> Familiarity:
        """How familiar the people are to a model just now; its mode is left as it was."""
        training = model.training
        try:
            return familiarity(model, self.processor, self.people, self.strangers, self.said)
        finally:
            model.train(training)
