"""Scores UMU-Bench: every fact by picture and in words, without examples, and both together."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unsee.data.benchmarks.mllmu import retain_of
from unsee.data.benchmarks.people import Person
from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, GENERATION, IMAGE, TEXT, Item
from unsee.data.benchmarks.registry import EVALUATION
from unsee.data.benchmarks.tables import has_config, open_table
from unsee.data.benchmarks.umu import REAL, UMU, read_people
from unsee.errors import UnseeError, optional
from unsee.evaluation.answering import Asked
from unsee.evaluation.benchmarks import mllmu_prompts
from unsee.evaluation.benchmarks.answers import room
from unsee.evaluation.benchmarks.asking import Turn, loader, rendered
from unsee.evaluation.benchmarks.base import CORRECTED, RELEASED, Scorer, Tables, check_protocol
from unsee.evaluation.benchmarks.judging import (
    LIBRARIES,
    TextScores,
    filled_released,
    gaps_to_gold,
    judge,
    means,
)
from unsee.evaluation.benchmarks.people import Asking, put, read_set

FORGET, SHARED, REAL_PEOPLE = "forget", "retain_shared", "retain_real"
NEW_TOKENS = {CLASSIFICATION: 50, CLOZE: 50, GENERATION: 200}
FILLING = "Please **ONLY** provide the correct answer without any explanation"


def released(processor: Any, item: Item, mark: str | None = None) -> Asked:
    """The text of the released script: options as a list of their texts, no letters asked for."""
    token = mllmu_prompts.mark_of(processor) if mark is None else mark
    image = item.direction == IMAGE
    if item.kind == CLASSIFICATION:
        offered = str([text for _, text in item.options])
        before = f"USER: {token}\n" if image else "USER:\n"
        text = f"{before}{item.question}\nSelect answer in {offered}\nASSISTANT:"
    elif item.kind == CLOZE:
        before = f"USER: {token}\n" if image else "USER: "
        text = f"{before}{item.question}\n{FILLING}\nASSISTANT:"
    else:
        return mllmu_prompts.released(processor, item, mark=token)
    return Asked(text, (loader(item.picture),) if image else ())


def _corrected(processor: Any, item: Item) -> Asked:
    if item.kind == CLOZE and not mllmu_prompts.BLANKS.search(item.question):
        return rendered(processor, (Turn(f"{item.question}\n{FILLING}", item.picture),))
    return mllmu_prompts.corrected(processor, item)


def judge_released(row: dict[str, Any], texts: TextScores) -> None:
    """As the script does: a choice is right when the answer is the option, word for word; of real
    people, when the option is the one most like the answer. A cloze's truth ends at its first full
    stop."""
    said = row["prediction"]
    if row["kind"] == CLASSIFICATION:
        offered = [text for _, text in row["options"]]
        if row["set"] == REAL_PEOPLE:
            likeness = [difflib.SequenceMatcher(None, said, text).ratio() for text in offered]
            said = offered[likeness.index(max(likeness))]
        # The letter of the question in words decides for the question about the picture too.
        letter = row.get("letter_in_words", row["answer"])
        row["parsed"], row["correct"] = said, said == dict(row["options"]).get(letter)
    elif row["kind"] == CLOZE:
        row["correct"] = filled_released(said, row["answer"].split(".")[0])
    else:
        row |= texts(said, row["answer"])


def together(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What becomes of facts that are asked in both directions.

    Returns:
        `<set>/<kind>/both_right` and `both_wrong`, shares of the facts, in [0, 1];
        `<set>/generation/aligned_rougeL`: of the ROUGE-L a and b by picture and in words, the mean
        of (a² + b²) / (a + b) on the forget set, where one that is remembered counts more, and of
        the harmonic mean elsewhere.
    """
    pairs: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in rows:
        facts = pairs.setdefault((row["set"], row["kind"]), {})
        facts.setdefault((row["id"], row["key"]), {})[row["direction"]] = row
    found: dict[str, float] = {}
    for (name, kind), facts in pairs.items():
        both = [fact for fact in facts.values() if len(fact) == 2]
        if not both:
            continue
        if kind == GENERATION:
            values = [(f[IMAGE]["rougeL"], f[TEXT]["rougeL"]) for f in both]
            mean = (lambda a, b: a * a + b * b) if name == FORGET else (lambda a, b: 2 * a * b)
            scores = [mean(a, b) / (a + b) if a + b else 0.0 for a, b in values]
            found[f"{name}/{kind}/aligned_rougeL"] = sum(scores) / len(scores)
            continue
        right = [fact[IMAGE]["correct"] + fact[TEXT]["correct"] for fact in both]
        found[f"{name}/{kind}/both_right"] = right.count(2) / len(right)
        found[f"{name}/{kind}/both_wrong"] = right.count(0) / len(right)
    return found


def scores_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """All metrics of judged rows."""
    return {**means(rows), **together(rows)}


class UMUScorer(Scorer):
    """UMU-Bench."""

    benchmark = "umu"
    compares_with_gold = True

    def read(
        self, source: str | None, forget: str | None = None, limit: int | None = None
    ) -> Tables:
        """Reads the people to forget, those to retain, and real people; see `Scorer.read`."""
        for library in LIBRARIES:
            optional(library, "metrics")
        forget = forget or UMU.forget
        if not forget.startswith("forget_"):
            raise UnseeError(f"{forget} is no config of people to forget: take forget_5, 10 or 15")
        UMU.config(forget)
        if source is not None and Path(source).is_file():
            raise UnseeError(
                f"{source} is one table, and several are scored: give the folder of all configs"
            )
        sets: dict[str, list[Person]] = {}
        left_out: dict[str, str] = {}
        configs = {FORGET: forget, SHARED: retain_of(forget), REAL_PEOPLE: REAL}
        for name, config in configs.items():
            if name != FORGET and not has_config(UMU, source, config, EVALUATION):
                left_out[name] = f"there is no {config} in {source}"
                continue
            people = read_people(open_table(UMU, source, config))
            sets[name] = read_set(name, people[:limit], left_out)
        return Tables(sets, left_out)

    def score(
        self,
        model: Any,
        processor: Any,
        tables: Tables,
        protocol: str = CORRECTED,
        seed: int = 0,
        batch_size: int = 16,
        progress: bool = True,
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Asks all sets; nothing is drawn, so that the seed does not matter. See `Scorer.score`.

        Metrics: those of MLLMU-Bench for the sets `forget`, `retain_shared` and `retain_real`, and
        what `together` adds.
        """
        check_protocol(protocol)
        texts = TextScores()
        plan = list(self.plan(processor, tables, protocol))
        tokens = {kind: room(model, wanted) for kind, wanted in NEW_TOKENS.items()}
        how = (tokens, protocol, batch_size, progress)
        rows = put(model, processor, plan, *how, kept=self.kept)
        for row in rows:
            if protocol == RELEASED:
                judge_released(row, texts)
            else:
                judge(row, texts, released=False)
        return scores_of(rows), rows

    def distances(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """`gap/<metric>`, in points, see `gaps_to_gold`; the smaller, the better."""
        return gaps_to_gold(scores_of(rows), scores_of(golds))

    def plan(self, processor: Any, tables: Tables, protocol: str = CORRECTED) -> Iterator[Asking]:
        """All questions, each with its prompt."""
        write: Any = _corrected
        if protocol == RELEASED:
            write = partial(released, mark=mllmu_prompts.mark_of(processor))
        for name, people in tables.sets.items():
            for person in people:
                for kind in (CLOZE, CLASSIFICATION, GENERATION):
                    letters = {item.extras["key"]: item.answer for item in person.items(kind, TEXT)}
                    for direction in (IMAGE, TEXT):
                        for item in person.items(kind, direction):
                            extras = dict(item.extras)
                            if kind == CLASSIFICATION and extras["key"] in letters:
                                extras["letter_in_words"] = letters[extras["key"]]
                            asked = replace(item, extras=extras)
                            yield Asking(name, asked, write(processor, asked))
