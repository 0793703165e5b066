"""Drift of words: KL to the original, against the definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.data.collate import QuestionCollator
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces
from unsee.data.faces.datasets import WordsOf, held_out_words
from unsee.data.records import TEXT, Question
from unsee.evaluation.text_drift import text_kl

ASKED = [
    Question("retain", 0, "Ada", None, TEXT, "city", "Where does Ada Belberg live?", "Oslo"),
    Question("retain", 0, "Ada", None, TEXT, "job", "What is this person's job?", "nurse"),
    Question("retain", 0, "Ada", None, TEXT, "name", "Who is this?", "I don't know this person"),
]


def test_it_is_the_mean_kl_over_the_tokens_of_the_answers(processing: Any) -> None:
    original, model = (tiny.llava(processing, seed=s) for s in (3, 4))
    assert text_kl(original, original, processing, ASKED) == 0
    collate, total, count = QuestionCollator(processing), 0.0, 0
    for asked in ASKED:  # one by one, token by token
        batch = collate([{"image": None, "question": asked.question, "answer": asked.answer}])
        labels = batch.pop("labels")[0]
        with torch.no_grad():
            p, q = (m(**batch).logits[0].log_softmax(-1) for m in (original, model))
        for place in range(1, len(labels)):
            if labels[place] != -100:
                total += float((p[place - 1].exp() * (p[place - 1] - q[place - 1])).sum())
                count += 1
    found = text_kl(model, original, processing, ASKED, batch_size=2)
    assert found == pytest.approx(total / count, rel=1e-4) and found > 0.01


def test_what_measures_drift_was_not_given_to_the_unlearner() -> None:
    faces = Faces(progress=False)
    given = {(e["question"], e["answer"]) for e in WordsOf(faces, (0, 3)).items}
    held_out = held_out_words(faces, (0, 3))
    assert given and not given & {(q.question, q.answer) for q in held_out}
    assert {q.person for q in held_out} == {0, 3, *splits.TEXT_ONLY}
    assert all(
        q.picture is None and q.answer == faces.facts[q.person][q.attribute] for q in held_out
    )
