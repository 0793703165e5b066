"""How fast forgotten people come back under the relearning attack of the protocol.

Each model is attacked alike: the same pictures, attributes, updates and learning rates. The same
attack on text-only people, whose facts W knows and whose pictures no model ever saw, is the control
within a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.attacks.base import Budget
from unsee.attacks.relearn import Relearn
from unsee.data.faces import splits
from unsee.data.faces.facts import ATTRIBUTES
from unsee.data.records import PictureKey, Question
from unsee.evaluation.answering import answer
from unsee.evaluation.evaluate import row_of
from unsee.evaluation.metrics import judge
from unsee.studies.ledger import Ledger
from unsee.studies.parallel import each

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

ATTACKED = ATTRIBUTES[::2]
"""Attributes that the attacker trains on; the others are scored too."""
ACCESSES = ("vision", "all")
LEARNING_RATES = {
    "vision": (3e-5, 1e-4, 3e-4),
    "all": (3e-5, 1e-4, 3e-4),
    "lora": (3e-4, 1e-3, 3e-3),
}
"""A decade of learning rates for each access; the worst one for the model counts."""
OF_FORGET, OF_RETAIN = 10, 2
"""Pictures of each person on which a point of the curve is scored."""
KEYS = ("model", "people", "access", "share", "learning_rate", "seed")


class AttackerExamples:
    """The attacker's own pictures with questions about the attacked attributes.

    Args:
        faces: the embedded benchmark.
        people: whom he wants back.
        share: of each person's attacker pictures, at least one each, in (0, 1].
    """

    def __init__(self, faces: Faces, people: Sequence[int], share: float) -> None:
        count = max(1, round(share * splits.PICTURES["attack"]))
        faces.prepare([(person, "attack") for person in people])
        self.items = []
        for person in people:
            for index in range(count):
                key = PictureKey(person, "attack", index)
                for number, attribute in enumerate(ATTACKED):
                    asked = faces.private(key, "", attribute, index + number)
                    item = {"question": asked.question, "answer": asked.answer}
                    self.items.append({"image": faces.picture(key), "person": person, **item})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def _questions(
    faces: Faces, people: Iterable[int], group: str, pictures: str, count: int
) -> list[Question]:
    return [
        faces.private(PictureKey(person, pictures, index), group, attribute, index + number)
        for person in people
        for index in range(min(count, splits.PICTURES[pictures]))
        for number, attribute in enumerate(ATTRIBUTES)
    ]


def scorer(
    model: Any,
    processor: Any,
    faces: Faces,
    people: Sequence[int],
    retained: Sequence[int],
    pictures: str,
) -> Callable[[int], Mapping[str, Any]]:
    """A function that tells how much a model knows just now.

    Returns:
        (updates) -> `attacked` and `other`, exact match on the attributes that are attacked and on
        those that are not, on pictures that the attacker does not have; `retain`, on retained
        people; `people`, `other` of each person in turn; all in [0, 1].
    """
    questions = _questions(faces, people, "forget", pictures, OF_FORGET)
    questions += _questions(faces, retained, "retain", pictures, OF_RETAIN)
    faces.prepare({(q.picture.person, pictures) for q in questions if q.picture is not None})

    def score(step: int) -> dict[str, Any]:
        said = answer(model, processor, questions, faces.picture, progress=False)
        rows = [row_of(q, text) for q, text in zip(questions, said, strict=True)]
        judge(rows)

        def rate(group: str, attributes: Iterable[str], of: Sequence[int]) -> float:
            kept = [
                r["correct"]
                for r in rows
                if r["group"] == group and r["attribute"] in set(attributes) and r["person"] in of
            ]
            return round(sum(kept) / len(kept), 4)

        unseen = [name for name in ATTRIBUTES if name not in ATTACKED]
        return {
            "attacked": rate("forget", ATTACKED, people),
            "other": rate("forget", unseen, people),
            "retain": rate("retain", ATTRIBUTES, retained),
            "people": [rate("forget", unseen, [person]) for person in people],
        }

    return score


def relearn(
    models: Mapping[str, str],
    output: Path,
    split: Split,
    pictures: str = "test",
    accesses: Sequence[str] = ACCESSES,
    learning_rates: Sequence[float] = (),
    share: float = 0.05,
    steps: int = 200,
    control: bool = True,
    say: Callable[[str], None] = print,
    jobs: int = 1,
) -> Ledger:
    """Attacks every model with every access and learning rate; what is finished is kept.

    Args:
        models: name -> checkpoint.
        output: result file; a row a curve.
        split: who was forgotten.
        pictures: on which the curves are scored.
        accesses: what the attacker may train, see `unsee.attacks.base.ACCESS`.
        learning_rates: of the attacker; `LEARNING_RATES` of each access, if there are none.
        share: of each person's attacker pictures, at least one each.
        steps: updates.
        control: attack text-only people too.
        say: called with a line of progress.
        jobs: attacks at a time, each in a process of its own.
    """
    about: dict[str, Any] = {
        "study": "relearning",
        "pictures": pictures,
        "attacked": list(ATTACKED),
        "steps": steps,
    }
    about["people"] = list(split.forget) if split.name == "custom" else split.name
    ledger = Ledger(output, about, KEYS)
    groups = {"forget": split.forget}
    if control:
        groups["text_only"] = tuple(splits.TEXT_ONLY)[: len(split.forget)]
    tasks = {}
    for name, source in models.items():
        checkpoint = ledger.same_model(name, source, model=name, seed=split.seed)
        for people, numbers in groups.items():
            for access in accesses:
                for rate in learning_rates or LEARNING_RATES[access]:
                    row = {"model": name, "people": people, "access": access, "share": share}
                    row |= {"learning_rate": rate, "seed": split.seed}
                    if not ledger.find(**row):
                        budget = Budget(access, rate, steps, seed=split.seed)
                        key = (*row.items(), ("checkpoint", checkpoint))
                        tasks[key] = (source, numbers, budget, share, split.retain_sample, pictures)
    for key, curve in each(_attack, tasks, jobs):
        row = dict(key)
        ledger.add({**row, "curve": curve})
        first, last = curve[0], curve[-1]
        say(
            f"{row['model']}, {row['people']}, {row['access']}, {row['learning_rate']:g}: other "
            f"attributes {first['other']:.0%} -> {last['other']:.0%}, retain {last['retain']:.0%}"
        )
    return ledger


def _attack(
    source: str,
    people: Sequence[int],
    budget: Budget,
    share: float,
    retained: Sequence[int],
    pictures: str,
) -> list[dict[str, Any]]:
    """The curve of one attack."""
    from unsee.checkpoints import load
    from unsee.data.faces.benchmark import Faces

    faces = Faces(progress=False)
    model, processor = load(source)
    attack = Relearn(model, processor, AttackerExamples(faces, people, share), budget)
    return attack.run(scorer(model, processor, faces, people, retained, pictures))
