"""The relearning attack: budget, data, curve, command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from unsee.attacks.base import Budget
from unsee.attacks.relearn import Relearn
from unsee.cli.main import main
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces
from unsee.data.faces.facts import ATTRIBUTES
from unsee.errors import UnseeError
from unsee.studies.relearning import ATTACKED, AttackerExamples

JOBS = ("baker", "pilot")
EXAMPLES = tiny.asked(tiny.examples(1, 2), JOBS[0]) + tiny.asked(tiny.examples(1, 2, 1), JOBS[1])


@pytest.mark.parametrize(("access", "parts"), [("vision", {"vision", "projector"}), ("all", None)])
def test_attacker_moves_what_he_may_and_learns(
    access: str, parts: set[str] | None, processing: Any
) -> None:
    from unsee.anatomy import anatomy_of

    model = tiny.llava(processing, seed=3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    attack = Relearn(model, processing, EXAMPLES, Budget(access, 3e-3, 30, 4, score_every=10))
    batch = attack.collate(EXAMPLES)

    def score(step: int) -> dict[str, float]:
        with torch.no_grad():
            return {"loss": float(attack.loss(batch))}

    curve = attack.run(score)
    anatomy = anatomy_of(model)
    moved = {
        anatomy.part_of(n) for n, p in model.named_parameters() if not torch.equal(p, before[n])
    }
    assert moved == (parts or {"vision", "projector", "language"})
    assert [point["step"] for point in curve] == [0, 10, 20, 30]
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.1


def test_adapters_alone_are_trained_and_learn(processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    attack = Relearn(model, processing, EXAMPLES, Budget("lora", 1e-2, 30, 4, score_every=30))
    batch = attack.collate(EXAMPLES)

    def score(step: int) -> dict[str, float]:
        with torch.no_grad():
            return {"loss": float(attack.loss(batch))}

    first, last = attack.run(score)
    assert last["loss"] < first["loss"] - 0.1
    after = {n.replace(".base_layer", ""): p for n, p in model.named_parameters()}
    assert all(torch.equal(after[name], p) for name, p in before.items())
    adapted = {name.split(".")[1] for name in after if "lora_B" in name and after[name].any()}
    assert adapted == {"vision_tower", "multi_modal_projector", "language_model"}


def test_the_same_seed_gives_the_same_attack(processing: Any) -> None:
    def attacked(seed: int) -> torch.Tensor:
        model = tiny.llava(processing, seed=3)
        Relearn(model, processing, EXAMPLES, Budget(steps=3, batch_size=2, seed=seed)).run(
            lambda step: {}
        )
        return model.model.multi_modal_projector.linear_1.weight.detach()

    assert torch.equal(attacked(0), attacked(0)) and not torch.equal(attacked(0), attacked(1))


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.parametrize(("share", "count"), [(0.05, 1), (0.5, 1), (1.0, 2)])
def test_attacker_has_a_share_of_his_pictures_and_half_of_the_attributes(
    share: float, count: int
) -> None:
    faces, people = Faces(progress=False), (0, 3)
    examples = AttackerExamples(faces, people, share)
    assert len(examples) == len(people) * count * len(ATTACKED)
    assert len(ATTACKED) == 4 and set(ATTACKED) < set(ATTRIBUTES)
    answers = {(e["person"], e["answer"]) for e in examples.items}
    assert answers == {(p, faces.facts[p][a]) for p in people for a in ATTACKED}
    seen = {e["image"].tobytes() for e in examples.items}
    assert seen == {x.tobytes() for p in people for x in faces.pictures(p, "attack")[:count]}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"access": "W"}, "access='W' is not offered; choose vision, lora, all"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_budget_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UnseeError, match=message):
        Budget(**option)


@pytest.mark.usefixtures("few_pictures")
def test_command_keeps_its_curves(
    checkpoint_of: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(splits, "RETAIN_SAMPLE", 2)
    model = checkpoint_of["llava"]
    words = ["attack", "relearn", f"one={model}", "--steps", "2", "--access", "vision"]
    words += ["--learning-rates", "1e-4", "--output", "curves.json"]
    assert main(words) == 0
    rows = json.loads(Path("curves.json").read_text())["rows"]
    assert [(r["model"], r["people"], r["access"]) for r in rows] == [
        ("one", "forget", "vision"),
        ("one", "text_only", "vision"),
    ]
    assert [point["step"] for point in rows[0]["curve"]] == [0, 2]
    assert set(rows[0]["curve"][0]) == {"step", "attacked", "other", "retain", "people"}
    kept = Path("curves.json").read_text()
    assert main(words) == 0 and Path("curves.json").read_text() == kept
    said = capsys.readouterr().out
    assert said.count("one, forget, vision, 0.0001: other attributes") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a/x", "b/x"], "two models have the same name"),
        (["x", "--learning-rates", "fast"], "give numbers such as 3e-5"),
        (["x", "--share", "0"], "--share must be above 0"),
        (["x", "--access", "none"], "access='none' is not offered"),
    ],
)
def test_bad_options_are_refused(words: list[str], message: str, capsys: Any) -> None:
    assert main(["attack", "relearn", *words]) == 2
    assert message in capsys.readouterr().err
