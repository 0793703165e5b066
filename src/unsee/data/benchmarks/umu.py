"""UMU-Bench (NeurIPS 2025): the people of MLLMU-Bench, every question asked in both directions.

Columns ID, image, Biography; MM_QA and UM_QA, to learn with the picture and in words; Classify,
Cloze and Generation, to score. The last five are text that holds JSON, or the same as a Python
literal, which is what the released code reads.

    Classify, Cloze, Generation   {"unimodal": {key: {"question", "answer", "options"}},
                                   "muitimodal" (so spelt in the released code): {key: {…}}}
    MM_QA, UM_QA                  {"question": {key: …}, "answer": {key: …}}

We know these shapes from the released code alone: no row of the data was at hand. Those of
MLLMU-Bench, on which it builds, are read too: `Image_Textual_Questions` and `Pure_Text_Questions`,
lists of questions with a `Type`, `Correct_Answer` and `Ground_Truth`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from unsee.data.benchmarks.people import Person, identity, picture_to_learn
from unsee.data.benchmarks.records import (
    CLASSIFICATION,
    CLOZE,
    GENERATION,
    IMAGE,
    TEXT,
    Item,
    parse_json,
)
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config, register
from unsee.data.benchmarks.tables import Table, open_table
from unsee.data.benchmarks.training import ItemRows
from unsee.errors import UnseeError

SIDES = {"muitimodal": IMAGE, "multimodal": IMAGE, "unimodal": TEXT}
OF_MLLMU = {"Image_Textual": IMAGE, "Pure_Text": TEXT}
ANSWERS = ("answer", "correct_answer", "ground_truth")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TASKS = {"Classify": CLASSIFICATION, "Cloze": CLOZE, "Generation": GENERATION}
LESSONS = {"MM_QA": IMAGE, "UM_QA": TEXT}
REAL = "Real_Person_Set"
PURPOSES = {
    EVALUATION: ("ID", "image", *TASKS),
    TRAINING: ("ID", "image", *LESSONS),
}
CONFIGS = (
    *("Full_Set", REAL),
    *(f"forget_{percent}" for percent in (5, 10, 15)),
    *(f"retain_{percent}" for percent in (95, 90, 85)),
)

UMU = register(
    Benchmark(
        name="umu",
        title="UMU-Bench",
        hub="linbojunzi/UMU-bench",
        configs=tuple(Config(name, PURPOSES) for name in CONFIGS),
        forget="forget_5",
        scorer="unsee.evaluation.benchmarks.umu.UMUScorer",
        summary="the same facts asked by picture and in words: is both forgotten, and both kept?",
        wants={
            f"forget/{kind}/{direction}": {
                "released": "low",
                "visual": "low" if direction == IMAGE else "kept",
            }
            for kind in TASKS.values()
            for direction in (IMAGE, TEXT)
        },
    )
)


def _read(table: Table, row: int, column: str, text: Any) -> Any:
    """JSON text of a cell, or a Python literal."""
    try:
        return parse_json(text, table.where(row, column))
    except UnseeError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
        raise


def _keyed(value: Any) -> dict[str, Any]:
    """Entries by key: a list's are its numbers."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value or ())
    return {str(key): entry for key, entry in pairs}


def read_people(table: Table) -> list[Person]:
    """The people of a config, in its order.

    Raises:
        UnseeError: a row lacks an ID, its text is of another shape, an answer is none of the
            options; the message names the row.
    """
    return [_person(table, row) for row in range(len(table))]


def _person(table: Table, row: int) -> Person:
    read = table[row]
    pictures = () if read["image"] is None else (read["image"],)
    questions: list[Item] = []
    for column, kind in TASKS.items():
        where = table.where(row, column)
        for direction, key, asked in _asked(_read(table, row, column, read[column]), where):
            questions.append(_item(str(read["ID"]), where, kind, direction, key, asked))
    return Person(identity(table, row, read), pictures, tuple(questions), table, row)


def _asked(value: Any, where: str) -> list[tuple[str, str, Any]]:
    """(direction, key, question) of all questions of a cell."""
    if isinstance(value, list) and all(
        isinstance(one, Mapping) and one.get("Type") in OF_MLLMU for one in value
    ):
        counts = dict.fromkeys(OF_MLLMU, 0)
        found = []
        for one in value:
            found.append((OF_MLLMU[one["Type"]], str(counts[one["Type"]]), one))
            counts[one["Type"]] += 1
        return found
    named = {f"{kind}_Questions": direction for kind, direction in OF_MLLMU.items()}
    sides = {**SIDES, **named}
    if not isinstance(value, Mapping) or not set(value) & set(sides):
        raise UnseeError(f"{where} holds no questions under {' and '.join(SIDES)}")
    return [
        (direction, key, asked)
        for side, direction in sides.items()
        for key, asked in _keyed(value.get(side)).items()
    ]


def _item(who: str, where: str, kind: str, direction: str, key: str, asked: Any) -> Item:
    fields = {str(k).lower(): v for k, v in asked.items()} if isinstance(asked, Mapping) else {}
    question = fields.get("question")
    answer = next((fields[name] for name in ANSWERS if fields.get(name)), None)
    if not question or not answer:
        raise UnseeError(f"{where}: {key!r} is no question with an answer")
    options: tuple[tuple[str, str], ...] = ()
    if kind == CLASSIFICATION:
        offered = fields.get("options")
        if isinstance(offered, Mapping):
            options = tuple(sorted((str(k), str(v)) for k, v in offered.items()))
        else:
            options = tuple(zip(LETTERS, map(str, offered or ()), strict=False))
        for letter, _ in options:
            if len(letter) != 1 or letter not in LETTERS:
                raise UnseeError(f"{where}, {key!r}: the option {letter!r} is no capital letter")
        answer = _letter(str(answer), dict(options), f"{where}, {key!r}")
    return Item(who, None, str(question), str(answer), options, kind, direction, {"key": key})


def _letter(answer: str, options: Mapping[str, str], where: str) -> str:
    """The letter of `B`, `B. Oslo`, `B: Oslo`, `B) Oslo` or `Oslo`."""
    letter = re.split(r"[.:)]", answer)[0].strip()
    if letter in options:
        return letter
    for letter, text in options.items():
        if text == answer:
            return letter
    raise UnseeError(f"{where}: the right answer {answer!r} is none of its options")


def training_rows(
    source: str | None, config: str = "Full_Set", direction: str | None = None
) -> ItemRows:
    """What a model is taught, or is to forget or retain, by fine-tuning: MM_QA with the picture,
    UM_QA in words alone.

    Args:
        source: folder, parquet file or name on the hub; None: the authors'.
        config: such as `Full_Set`, `forget_5`.
        direction: `image` or `text` alone.

    Raises:
        UnseeError: a row's text is of another shape, or a row has no picture.
    """
    table = open_table(UMU, source, config, TRAINING)
    items = [item for item in training_items(table) if direction in (None, item.direction)]
    return ItemRows(items)


def training_items(table: Table) -> Iterator[Item]:
    """The questions to learn, row by row; see `training_rows`."""
    for row in range(len(table)):
        read = table[row]
        who = identity(table, row, read)
        for column, direction in LESSONS.items():
            where = table.where(row, column)
            lessons = _read(table, row, column, read[column])
            picture = picture_to_learn(table, row, read["image"]) if direction == IMAGE else None
            for key, question, answer in _lessons(lessons, where):
                extras = {"key": key}
                yield Item(who, picture, question, answer, (), GENERATION, direction, extras)


def _lessons(lessons: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """(key, question, answer) of `{"question": {…}, "answer": {…}}` or of a list of pairs."""
    if isinstance(lessons, Mapping) and {"question", "answer"} <= set(lessons):
        questions, answers = _keyed(lessons["question"]), _keyed(lessons["answer"])
        found = {k: {"question": q, "answer": answers.get(k)} for k, q in questions.items()}
    elif isinstance(lessons, (list, Mapping)):
        found = _keyed(lessons)
    else:
        raise UnseeError(f"{where} holds no questions with answers")
    for key, pair in found.items():
        fields = {str(k).lower(): v for k, v in pair.items()} if isinstance(pair, Mapping) else {}
        if not fields.get("question") or not fields.get("answer"):
            raise UnseeError(f"{where}: {key!r} is no question with an answer")
        yield key, str(fields["question"]), str(fields["answer"])
