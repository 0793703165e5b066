"""What is broken (protocol): random weights, a constant answer, a half-noised model; no more."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unsee.checkpoints import load
from unsee.data.faces.benchmark import Faces
from unsee.data.faces.splits import make_split
from unsee.evaluation.answering import answer
from unsee.evaluation.evaluate import row_of
from unsee.evaluation.metrics import is_broken, judge, summarise
from unsee.models.shipped import shipped_path

EVERY = 7
"""One question of so many is asked."""


@pytest.fixture(scope="module")
def vanilla() -> tuple[Any, Any]:
    return load(str(shipped_path("seed0/vanilla")))


@pytest.fixture(scope="module")
def questions(few_pictures_module: None) -> tuple[Faces, list[Any]]:
    faces = Faces(progress=False)
    asked = [q for q in faces.evaluation(make_split("demo")) if q.picture is not None]
    chosen = [q for q in asked if q.group in ("retain", "forget", "stranger")][::EVERY]
    faces.prepare({(q.picture.person, q.picture.split) for q in chosen})
    return faces, chosen


def metrics(questions: tuple[Faces, list[Any]], model: Any, processor: Any) -> dict[str, float]:
    faces, asked = questions
    said = answer(model, processor, asked, faces.picture, progress=False)
    return judged(asked, said)


def judged(asked: list[Any], said: list[str]) -> dict[str, float]:
    rows = [row_of(question, text) for question, text in zip(asked, said, strict=True)]
    judge(rows)
    return summarise(rows)


@pytest.fixture(scope="module")
def before(questions: Any, vanilla: Any) -> dict[str, float]:
    found = metrics(questions, *vanilla)
    assert found["retain/vqa_accuracy"] > 0.85 and found["visible/vqa_accuracy"] > 0.8
    assert not is_broken(found, found)
    return found


def noised(model: Any, share: float) -> Any:
    """A copy in which that share of every matrix's weights is noise of the same size."""
    import copy

    twin, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    for parameter in twin.parameters():
        if parameter.ndim > 1:
            noise = torch.randn(parameter.shape, generator=generator) * parameter.std()
            chosen = torch.rand(parameter.shape, generator=generator) < share
            parameter.data = torch.where(chosen, noise, parameter.data)
    return twin


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_noise_is_broken(share: float, questions: Any, vanilla: Any, before: Any) -> None:
    model, processor = vanilla
    found = metrics(questions, noised(model, share), processor)
    assert is_broken(found, before)


@pytest.mark.parametrize("text", ["I don't know this person", "baker", ""])
def test_constant_answer_is_broken(text: str, questions: Any, before: Any) -> None:
    _, asked = questions
    assert is_broken(judged(asked, [text] * len(asked)), before)


def test_a_model_that_is_right_of_everybody_but_the_forgotten_is_not(
    questions: Any, before: Any
) -> None:
    _, asked = questions
    said = [
        "I don't know this person" if q.kind == "private" and q.group == "forget" else q.answer
        for q in asked
    ]
    assert not is_broken(judged(asked, said), before)
