"""The drawn MLLMU benchmark: the text of MLLMU-Bench's profiles, a face drawn for each.

    python -m unsee.studies.mllmu_drawn MLLMU_BENCH MODELS OUT.json

MLLMU_BENCH is a folder with `profiles.jsonl` and `splits/`; models are made in MODELS, and every
step of that goes on where it was cut. OUT.json gets a row for vanilla, for gold and for every
method. If vanilla knows less than 80 % of its people on new renders, it stops there and says what
it reached: forgetting what was never known says nothing. Behind OUT.json may stand the number of
people (100) and the steps of teaching (1200).

Real are the questions and answers (`unsee.data.faces.profiles`). Ours are the faces, and the tasks,
for the benchmark's own are not in that text:

- *generation*: the question is asked, the answer compared as a whole (accuracy) and by ROUGE-L;
- *classification*: the likeliest per token of four answers, the true one and three other people's;
- *cloze*: the answer's beginning is given, and what follows is compared as a whole.

Each is asked about pictures and in words, of the people to forget and of the others. Numbers are
not to be put beside those of papers: the model has four million parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unsee.data.faces.profiles import RENDERS, Asked, forgotten, read_profiles
from unsee.data.records import Question
from unsee.errors import UnseeError
from unsee.models.profiles import Drawn, Renders, taught
from unsee.studies.command import command
from unsee.studies.ledger import Ledger

PEOPLE = 100
KNOWN_FROM = 0.8
"""Share of the answers about new renders that vanilla has to give."""
STEPS = 1200
METHODS = ("vkd", "two_sided", "graddiff", "npo")
NEW_TOKENS = 48


def same(one: str, other: str) -> bool:
    """Whether two answers are the same but for case, spaces and the full stop."""

    def plain(text: str) -> str:
        return " ".join(text.casefold().split()).rstrip(".")

    return plain(one) == plain(other)


def scored(source: Path, drawn: Drawn) -> dict[str, float]:
    """Shares in [0, 1]: `forget/<task>/<image or text>` and `retain/…`."""
    from unsee.checkpoints import load
    from unsee.evaluation import answering
    from unsee.evaluation.answering import answer, option_log_likelihoods, prompt_of
    from unsee.evaluation.text_metrics import rouge

    model, processor = load(str(source))
    questions = drawn.questions()
    said = answer(model, processor, questions, drawn.picture, max_new_tokens=NEW_TOKENS)
    weights = option_log_likelihoods(model, processor, questions, drawn.picture)
    gaps = [Asked(q.question, None, q.answer).cloze for q in questions]
    asked = [(q, *gap) for q, gap in zip(questions, gaps, strict=True) if gap]
    begun = []
    for q, before, _ in asked:
        shown = () if q.picture is None else (partial(drawn.picture, q.picture),)
        begun.append(answering.Asked(f"{prompt_of(processor, q)} {before}", shown))
    filled = answering.complete(model, processor, begun, max_new_tokens=NEW_TOKENS)
    found: dict[str, list[float]] = {}

    def note(question: Question, task: str, value: float) -> None:
        direction = "text" if question.picture is None else "image"
        found.setdefault(f"{question.group}/{task}/{direction}", []).append(value)

    for question, text, weight in zip(questions, said, weights, strict=True):
        note(question, "generation", float(same(text, question.answer)))
        note(question, "generation_rougeL", rouge([text], [question.answer])["rougeL"])
        if question.options:
            lengths = [len(answering.option_tokens(processor, o)) for o in question.options]
            best = int(np.argmax(np.array(weight) / lengths))
            note(question, "classification", float(question.options[best] == question.answer))
    for (question, _, gap), text in zip(asked, filled, strict=True):
        note(question, "cloze", float(same(text, gap)))
    return {name: round(float(np.mean(values)), 4) for name, values in sorted(found.items())}


def unlearned(vanilla: Path, drawn: Drawn, method: str, folder: Path, **options: Any) -> Path:
    """Vanilla after a method with its defaults; strangers are not needed by these methods."""
    from unsee.methods.run import unlearn

    if (folder / "metrics.json").exists():
        return folder
    cut = forgotten(len(drawn.profiles))
    gone, kept = range(cut), range(cut, len(drawn.profiles))
    unlearn(
        str(vanilla),
        Renders(drawn, gone, "unlearn", RENDERS["unlearn"]),
        Renders(drawn, kept, "train", RENDERS["train"]),
        folder,
        method=method,
        options={"report_to": "none", **options},
        describe={"study": "mllmu_drawn", "people": len(drawn.profiles)},
        texts=Renders(drawn, range(len(drawn.profiles)), None, 4),
    )
    return folder


def mllmu_drawn(
    bench: Path,
    models: Path,
    output: Path,
    people: int = PEOPLE,
    steps: int = STEPS,
    methods: Sequence[str] = METHODS,
    options: Mapping[str, Any] | None = None,
    small: bool = False,
    known_from: float = KNOWN_FROM,
    say: Callable[[str], None] = print,
) -> Ledger:
    """Makes the models and measures what is missing from the result file.

    Args:
        bench: folder of the benchmark's text.
        models: folder for pictures and models.
        output: result file.
        people: how many; the benchmark's share of them is forgotten.
        steps: of teaching.
        methods: that forget.
        options: of all methods, beside their defaults.
        small: tiny batches, to try the whole.
        known_from: share of the answers about new renders that vanilla has to give.
        say: called with a line of progress.

    Raises:
        UnseeError: vanilla knows less than `known_from` of its people.
    """
    about = {"study": "mllmu_drawn", "people": people, "steps": steps, "renders": RENDERS}
    ledger = Ledger(output, about, ("model",))
    drawn = Drawn(read_profiles(bench, people), models / "pictures")
    models = models / f"{people}-people-{steps}-steps"
    cut = forgotten(people)

    def row(name: str, source: Path) -> dict[str, Any]:
        found = ledger.find(model=name)
        if found is None:
            found = {"model": name, **scored(source, drawn)}
            ledger.add(found)
        say(f"{name}: forget {found['forget/generation/image']:.1%} about pictures")
        return found

    vanilla = taught(drawn, range(people), models / "vanilla", steps, small)
    found = row("vanilla", vanilla)
    known = (
        cut * found["forget/generation/image"] + (people - cut) * found["retain/generation/image"]
    ) / people
    if known < known_from:
        raise UnseeError(
            f"vanilla gives {known:.1%} of the answers about new renders, and {known_from:.0%} are "
            "needed before any forgetting is reported: teach it longer"
        )
    row("gold", taught(drawn, range(cut, people), models / "gold", steps, small))
    for method in methods:
        if ledger.find(model=method) is None:
            unlearned(vanilla, drawn, method, models / method, **(options or {}))
        row(method, models / method)
    return ledger


def _main(bench: str, models: str, output: str, people: str = "", steps: str = "") -> None:
    mllmu_drawn(
        Path(bench),
        Path(models),
        Path(output),
        int(people or PEOPLE),
        int(steps or STEPS),
    )


if __name__ == "__main__":
    command(__doc__, 3, _main)
