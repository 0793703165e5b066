"""The stranger criterion on models that are known to know, or not to know, a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from unsee.errors import UnseeError
from unsee.evaluation import strangers
from unsee.evaluation.strangers import Familiarity, familiarity, rank_auc, said_by

PEOPLE = {
    "him": [tiny.picture(i) for i in range(4)],
    "her": [tiny.picture(20 + i) for i in range(3)],
}
STRANGERS = [tiny.picture(100 + i) for i in range(6)]
SAID = {
    "him": [("Who is this?", "baker"), ("What is this person's job?", "pilot")],
    "her": [("Who is this?", "nurse")],
}


def test_auc_against_counting() -> None:
    assert rank_auc([3, 4], [1, 2]) == 1
    assert rank_auc([1, 2], [3, 4]) == 0
    assert rank_auc([1, 3], [2, 2]) == 0.5
    assert rank_auc([1, 1], [1, 1]) == 0.5
    assert rank_auc([2, 5, 7], [3, 5]) == pytest.approx((0 + 0 + 1 + 0.5 + 1 + 1) / 6)


def test_picture_that_changes_nothing_makes_everybody_a_stranger(processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(model.model.multi_modal_projector.linear_2, name).zero_()
    found = familiarity(model, processing, PEOPLE, STRANGERS, SAID)
    assert found.by_person == {"him": 0.5, "her": 0.5}
    assert found.auc == 0.5 and found.known == []


def test_likelihood_on_sight_decides(processing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """He is told from strangers by one of two answers; she never is."""

    def weigh(model: Any, processor: Any, questions: Any, picture_of: Any, progress: bool) -> Any:
        his = {p.tobytes() for p in PEOPLE["him"]}
        shown = [picture_of(q.picture).tobytes() in his for q in questions]
        assert all(len(q.options) == 1 for q in questions)
        return [
            [1.0 if he and q.options == ("baker",) else 0.0]
            for q, he in zip(questions, shown, strict=True)
        ]

    monkeypatch.setattr(strangers, "option_log_likelihoods", weigh)
    found = familiarity(None, processing, PEOPLE, STRANGERS, SAID)
    assert found.by_person == {"him": 0.75, "her": 0.5}
    assert found.auc == pytest.approx(0.625) and found.known == ["him"]


def test_what_the_model_says_most_often(processing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["baker", "pilot", "baker", "nurse"])

    def fake(model: Any, processor: Any, questions: Any, picture_of: Any, progress: bool) -> Any:
        return [next(answers) for _ in questions]

    monkeypatch.setattr(strangers, "answer", fake)
    said = said_by(None, processing, {"him": PEOPLE["him"]}, ["Who is this?"])
    assert said == {"him": [("Who is this?", "baker")]}


def test_a_random_model_says_something_and_knows_nobody_for_sure(processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    said = said_by(model, processing, PEOPLE)
    assert {len(pairs) for pairs in said.values()} == {len(strangers.QUESTIONS)}
    found = familiarity(model, processing, PEOPLE, STRANGERS, said)
    assert all(0 <= auc <= 1 for auc in found.by_person.values())
    assert np.isfinite(found.auc)


def test_sides_without_pictures_are_refused(processing: Any) -> None:
    for people, others in ((PEOPLE, []), ({}, STRANGERS), ({"him": []}, STRANGERS)):
        with pytest.raises(UnseeError, match="needs pictures of each person and of strangers"):
            familiarity(None, processing, people, others, SAID)


def test_known_from() -> None:
    assert Familiarity({"a": 0.61, "b": 0.59}).known == ["a"]


class Fake:
    """A criterion whose answers are given: before, then look by look."""

    looks: tuple[float, ...] = ()

    def __init__(self, *given: Any) -> None:
        self.left = list(self.looks)
        self.before = self(None)

    def __call__(self, model: Any) -> Familiarity:
        return Familiarity({"him": self.left.pop(0) if self.left else 0.5})


@pytest.fixture
def unlearn(
    checkpoint_of: dict[str, Any],
    folders: tuple[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
    compare_in_process: None,
) -> Any:
    """`unsee unlearn` with looks at strangers as given; returns its exit status."""
    from unsee.cli.main import main
    from unsee.methods import run

    def command(*words: str, looks: tuple[float, ...]) -> int:
        monkeypatch.setattr(Fake, "looks", looks)
        monkeypatch.setattr(run, "StrangerCriterion", Fake)
        forget, retain = folders
        base = ["unlearn", "--model", str(checkpoint_of["llava"]), "--output", "out"]
        base += ["--forget", str(forget), "--retain", str(retain), "--max_steps", "6"]
        return main([*base, "--per_device_train_batch_size", "2", *words])

    return command


def metrics() -> dict[str, Any]:
    return json.loads(Path("out/metrics.json").read_text())


def test_person_who_was_not_known_is_found_before_training(
    unlearn: Any, folders: Any, capsys: Any
) -> None:
    assert unlearn("--strangers", str(folders[1]), looks=(0.55,)) == 0
    assert "the model does not know these people" in capsys.readouterr().out
    assert metrics() == {"known_before": False, "stranger_auc_before": 0.55}
    assert {p.name for p in Path("out").iterdir()} == {
        "metrics.json",
        "config.yaml",
        "versions.json",
    }
    assert not Path("out.unfinished").exists()


def test_strangers_are_compared_before_and_after(unlearn: Any, folders: Any, capsys: Any) -> None:
    assert unlearn("--strangers", str(folders[1]), looks=(0.98, 0.52)) == 0
    found = metrics()
    assert (found["stranger_auc_before"], found["stranger_auc"]) == (0.98, 0.52)
    assert found["steps"] == 6 and found["known_before"] is True
    assert "AUC 0.98 before, 0.52 after" in capsys.readouterr().out


def test_training_stops_at_strangers(unlearn: Any, folders: Any) -> None:
    words = ["--strangers", str(folders[1]), "--stop_at_strangers", "--stranger_steps", "2"]
    assert unlearn(*words, looks=(0.98, 0.8, 0.5, 0.5)) == 0
    assert metrics()["steps"] == 4


def test_stopping_needs_strangers(unlearn: Any, capsys: Any) -> None:
    assert unlearn("--stop_at_strangers", looks=()) == 2
    assert "stop_at_strangers needs pictures of strangers" in capsys.readouterr().err
    assert not Path("out").exists()


def test_criterion_keeps_what_the_original_said(processing: Any) -> None:
    model = tiny.llava(processing, seed=3).train()
    criterion = strangers.StrangerCriterion(
        model, processing, tiny.examples(2, 3), tiny.examples(2, 2, first=50)
    )
    assert set(criterion.said) == {0, 1} == set(criterion.before.by_person)
    assert criterion(model).by_person == criterion.before.by_person
    assert model.training
    with torch.no_grad():
        model.model.multi_modal_projector.linear_2.weight.zero_()
    assert criterion(model).auc == 0.5
