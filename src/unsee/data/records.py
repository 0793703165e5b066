"""The one record that training, evaluation and reports share: a question with its answer."""

from __future__ import annotations

from dataclasses import dataclass

PRIVATE, PERSON, PICTURE, TEXT = "private", "person", "picture", "text"
"""Kinds of question: a private fact asked about a picture; what can be seen of the person; what
can be seen of the picture; a private fact asked in words, with the person named."""


@dataclass(frozen=True)
class PictureKey:
    """One drawn picture: the `index`-th render of `person` in `split`."""

    person: int
    split: str
    index: int

    def __str__(self) -> str:
        return f"p{self.person:04d}-{self.split}-{self.index:03d}"


@dataclass(frozen=True)
class Question:
    """A question, its true answer, and where it belongs.

    Attributes:
        group: `forget`, `retain`, `lookalike`, `stranger`, `text_only`.
        person: number of the person that it is about.
        name: that person's name; empty for strangers, who have none.
        picture: the picture shown, or None for a text-only question.
        kind: `private`, `person`, `picture` or `text`.
        attribute: the fact that is asked for, such as `job` or `background`.
        question: the words of the question, without the image token.
        answer: the expected answer, compared by exact match.
        options: candidate answers for option likelihoods, the true answer among them; may be empty.
    """

    group: str
    person: int
    name: str
    picture: PictureKey | None
    kind: str
    attribute: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
