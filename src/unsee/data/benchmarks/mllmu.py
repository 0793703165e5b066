"""MLLMU-Bench (arXiv 2410.22108): people with a picture and three kinds of questions about them.

    Full_Set      500 fictitious people; forget_5/10/15 and retain_95/90/85 are parts of it
    Test_Set      the same people in other poses (`images`)
    Retain_Set    153 real celebrities (the name misleads)
    ft_Data, and the folders forget_X, retain_Y of the training hub: `image` and `metadata`

A folder that `unsee data export` wrote is read by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from unsee.data.benchmarks.people import Person, identity, picture_to_learn
from unsee.data.benchmarks.records import (
    CLASSIFICATION,
    CLOZE,
    GENERATION,
    IMAGE,
    TEXT,
    Item,
)
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config, register
from unsee.data.benchmarks.tables import Table, entries, open_table
from unsee.data.benchmarks.training import ItemRows
from unsee.errors import UnseeError

KINDS = {"Image_Textual": IMAGE, "Pure_Text": TEXT}
CHOICES = {"Image_Textual_Questions": IMAGE, "Pure_Text_Questions": TEXT}
TASKS = {"Mask_Task": CLOZE, "Generation_Task": GENERATION}
ASKED = ("ID", "Classification_Task", "Generation_Task", "Mask_Task")
PICTURED, POSED, LEARNT = ("image", *ASKED), ("images", *ASKED), ("image", "metadata")
PERCENTS = (5, 10, 15)
TEST, CELEBRITIES = "Test_Set", "Retain_Set"


def retain_of(forget: str) -> str:
    """The config of those who are kept: `forget_5` -> `retain_95`."""
    return f"retain_{100 - int(forget.removeprefix('forget_'))}"


def _splits() -> tuple[Config, ...]:
    both = {EVALUATION: PICTURED, TRAINING: LEARNT}
    forget = [f"forget_{percent}" for percent in PERCENTS]
    return tuple(Config(name, both) for name in [*forget, *map(retain_of, forget)])


MLLMU = register(
    Benchmark(
        name="mllmu",
        title="MLLMU-Bench",
        hub="MLLMMU/MLLMU-Bench",
        training_hub="MLLMMU/baseline_train_split",
        configs=(
            Config("Full_Set", {EVALUATION: PICTURED}),
            Config(TEST, {EVALUATION: POSED}, "other poses, in a list"),
            Config(CELEBRITIES, {EVALUATION: PICTURED}, "real celebrities"),
            *_splits(),
            Config("ft_Data", {TRAINING: LEARNT}),
        ),
        forget="forget_5",
        scorer="unsee.evaluation.benchmarks.mllmu.MLLMUScorer",
        summary="500 fictitious people and 153 celebrities: choice, cloze, one-sentence answers",
        folders={TRAINING: ("baseline_train_split",)},
        wants={
            f"forget/{kind}/{direction}": {
                "released": "low",
                "visual": "low" if direction == IMAGE else "kept",
            }
            for kind in (CLASSIFICATION, CLOZE, GENERATION)
            for direction in (IMAGE, TEXT)
        },
    )
)


def read_people(table: Table) -> list[Person]:
    """The people of an evaluation config, in its order.

    Raises:
        UnseeError: a row lacks an ID or a question, or its right answer is not among its options;
            the message names the row.
    """
    return [_person(table, row) for row in range(len(table))]


def _person(table: Table, row: int) -> Person:
    read = table[row]
    shown = read["images"] if "images" in read else [read["image"]]
    pictures = tuple(picture for picture in shown or () if picture is not None)
    questions = tuple(_questions(table, row, read))
    return Person(identity(table, row, read), pictures, questions, table, row)


def _questions(table: Table, row: int, read: Mapping[str, Any]) -> Iterator[Item]:
    who = str(read["ID"])
    for column, direction in CHOICES.items():
        for asked in entries((read["Classification_Task"] or {}).get(column)):
            if not asked["Question"]:
                where = table.where(row, "Classification_Task")
                raise UnseeError(f"{where}: a question of {column} without words")
            options = {k: v for k, v in (asked["Options"] or {}).items() if v is not None}
            if asked["Correct_Answer"] not in options:
                raise UnseeError(
                    f"{table.where(row, 'Classification_Task')}: the right answer "
                    f"{asked['Correct_Answer']!r} of {asked['Question']!r} is none of its options"
                )
            yield Item(
                who,
                None,
                asked["Question"],
                asked["Correct_Answer"],
                tuple(sorted(options.items())),
                CLASSIFICATION,
                direction,
            )
    for column, kind in TASKS.items():
        for asked in entries(read[column]):
            if asked["Type"] not in KINDS:
                known = " or ".join(KINDS)
                raise UnseeError(
                    f"{table.where(row, column)}: a question of the type {asked['Type']!r}, and "
                    f"{known} is known"
                )
            question, truth = asked["Question"], asked["Ground_Truth"]
            if not question or not truth:
                raise UnseeError(f"{table.where(row, column)}: a question without words or answer")
            yield Item(who, None, question, truth, (), kind, KINDS[asked["Type"]])


def _file_name(picture: Mapping[str, Any] | None) -> str:
    """The name of a picture's file without suffix; empty where there is none."""
    return PurePath((picture or {}).get("path") or "").stem


def training_items(table: Table) -> Iterator[Item]:
    """The questions of a training config, each with its picture.

    The `id` of an item is the name of the picture's file without suffix, unless rows that teach
    different things share one or have none; then it is the number of the row. Training data names
    nobody.

    Raises:
        UnseeError: a row holds no picture, or no list of questions with answers.
    """
    names = [_file_name(table.cell(row, "image")) for row in range(len(table))]
    taught: dict[str, set[str]] = {}
    for row, name in enumerate(names):
        taught.setdefault(name, set()).add(str(table.cell(row, "metadata")))
    if "" in taught or any(len(lessons) > 1 for lessons in taught.values()):
        names = [str(row) for row in range(len(table))]
    for row, name in enumerate(names):
        pairs, where = table.json(row, "metadata"), table.where(row, "metadata")
        picture = picture_to_learn(table, row, table[row]["image"])
        if not isinstance(pairs, list) or not pairs:
            raise UnseeError(f"{where} holds no list of questions with answers")
        for pair in pairs:
            if not isinstance(pair, dict) or not pair.get("Question") or not pair.get("Answer"):
                raise UnseeError(f"{where}: {pair!r} is no Question with an Answer")
            yield Item(name, picture, str(pair["Question"]), str(pair["Answer"]))


def training_rows(source: str | None, config: str = "ft_Data") -> ItemRows:
    """What a model is taught, or is to forget or retain, by fine-tuning.

    Args:
        source: a folder (the hub's layout, the folder of one config, or what `unsee data export`
            wrote), a parquet file, or a name on the hub; None: the authors' on the hub.
        config: `ft_Data`, `forget_X` or `retain_Y`.

    Raises:
        UnseeError: it is an evaluation config; see also `training_items`, `open_table`.
    """
    return ItemRows(list(training_items(open_table(MLLMU, source, config, TRAINING))))
