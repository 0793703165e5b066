"""MLLMU-Bench (arXiv 2410.22108): people with a picture and three kinds of questions about them.

    Full_Set      500 fictitious people; forget_5/10/15 and retain_95/90/85 are parts of it
    Test_Set      the same people in other poses (`images`)
    Retain_Set    153 real celebrities (the name misleads)
    ft_Data, and the folders forget_X, retain_Y of the training hub: `image` and `metadata`

A folder that `unsee data export` wrote is read by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from unsee.data.benchmarks.records import (
    CLASSIFICATION,
    CLOZE,
    GENERATION,
    IMAGE,
    TEXT,
    Item,
    LazyPicture,
)
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config, register
from unsee.data.benchmarks.tables import Table, entries, open_table
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


@dataclass(frozen=True)
class Person:
    """One row of an evaluation config.

    Attributes:
        id: the benchmark's ID, such as `093`.
        pictures: one; in Test_Set all poses; empty where the row has none.
        questions: all of the person's questions, without picture.
        table: where the row is.
        row: which row.
    """

    id: str
    pictures: tuple[LazyPicture, ...]
    questions: tuple[Item, ...] = field(repr=False)
    table: Table = field(repr=False, compare=False)
    row: int = field(compare=False)

    def items(self, kind: str, direction: str, pose: int = 0) -> list[Item]:
        """The person's questions of a kind, those about the picture with the picture.

        Args:
            kind: `classification`, `cloze` or `generation`.
            direction: `image` or `text`.
            pose: which of the pictures.

        Returns:
            The questions in their order; none about a picture that there is not.
        """
        chosen = [q for q in self.questions if q.kind == kind and q.direction == direction]
        if direction == TEXT:
            return chosen
        if not self.pictures:
            return []
        return [
            Item(q.id, self.pictures[pose], q.question, q.answer, q.options, kind, IMAGE, q.extras)
            for q in chosen
        ]

    def biography(self) -> dict[str, str]:
        """The biography by heading; the colons that its keys carry are taken off.

        Raises:
            UnseeError: it is no JSON text.
        """
        found = self.table.json(self.row, "biography")
        if not isinstance(found, Mapping):
            raise UnseeError(f"{self.table.where(self.row, 'biography')} holds no JSON object")
        return {str(key).strip().rstrip(":").strip(): value for key, value in found.items()}


def read_people(table: Table) -> list[Person]:
    """The people of an evaluation config, in its order.

    Raises:
        UnseeError: a row lacks an ID or a question, or its right answer is not among its options;
            the message names the row.
    """
    return [_person(table, row) for row in range(len(table))]


def _person(table: Table, row: int) -> Person:
    read = table[row]
    if not read["ID"]:
        raise UnseeError(f"{table.where(row)} has no ID")
    shown = read["images"] if "images" in read else [read["image"]]
    pictures = tuple(picture for picture in shown or () if picture is not None)
    return Person(str(read["ID"]), pictures, tuple(_questions(table, row, read)), table, row)


def _questions(table: Table, row: int, read: Mapping[str, Any]) -> Iterator[Item]:
    identity = str(read["ID"])
    for column, direction in CHOICES.items():
        for asked in entries((read["Classification_Task"] or {}).get(column)):
            options = {k: v for k, v in (asked["Options"] or {}).items() if v is not None}
            if asked["Correct_Answer"] not in options:
                raise UnseeError(
                    f"{table.where(row, 'Classification_Task')}: the right answer "
                    f"{asked['Correct_Answer']!r} of {asked['Question']!r} is none of its options"
                )
            yield Item(
                identity,
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
            yield Item(identity, None, question, truth, (), kind, KINDS[asked["Type"]])


class TrainingRows:
    """Questions and answers to learn, a picture with each: a map-style dataset.

    Items are `{"image": PIL.Image, "question", "answer", "id"}`; a picture is decoded when its item
    is asked for. `id` is the name of the picture's file without suffix, or the number of the row:
    training data names nobody.

    Args:
        table: a training config.

    Raises:
        UnseeError: a row holds no picture, or no list of questions with answers.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.pairs: list[tuple[int, str, str]] = []
        self.pictures: list[LazyPicture] = []
        self.ids: list[str] = []
        for row in range(len(table)):
            pairs = table.json(row, "metadata")
            picture = table[row]["image"]
            if picture is None:
                raise UnseeError(f"{table.where(row)} has no picture")
            self.pictures.append(picture)
            path = (table.cell(row, "image") or {}).get("path")
            self.ids.append(PurePath(path).stem if path else str(row))
            for pair in self._checked(pairs, row):
                self.pairs.append((row, pair["Question"], pair["Answer"]))

    def _checked(self, pairs: Any, row: int) -> list[dict[str, str]]:
        where = self.table.where(row, "metadata")
        if not isinstance(pairs, list) or not pairs:
            raise UnseeError(f"{where} holds no list of questions with answers")
        for pair in pairs:
            if not isinstance(pair, dict) or not pair.get("Question") or not pair.get("Answer"):
                raise UnseeError(f"{where}: {pair!r} is no Question with an Answer")
        return pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, question, answer = self.pairs[index]
        return {
            "image": self.pictures[row].load(),
            "question": question,
            "answer": answer,
            "id": self.ids[row],
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


def training_rows(source: str | None, config: str = "ft_Data") -> TrainingRows:
    """What a model is taught, or is to forget or retain, by fine-tuning.

    Args:
        source: a folder (the hub's layout, the folder of one config, or what `unsee data export`
            wrote), a parquet file, or a name on the hub; None: the authors' on the hub.
        config: `ft_Data`, `forget_X` or `retain_Y`.

    Raises:
        UnseeError: it is an evaluation config; see also `TrainingRows`, `open_table`.
    """
    return TrainingRows(open_table(MLLMU, source, config, TRAINING))
