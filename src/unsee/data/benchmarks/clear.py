"""CLEAR (arXiv 2410.18057): pictures of invented authors with captions, and TOFU's questions.

Configs of `therem/CLEAR` (older: `therem/faces_v1`), each with the one split `train`:

- `full`, `forget01/05/10`, `retain99/95/90`: training data, a picture and its caption a row
- the same with `+tofu`: training data, pictures with captions and TOFU's questions in words
- `forget01/05/10_perturbed`, `retain_perturbed`: evaluation, with a paraphrase, wrong captions and
  wrong names
- `real_faces`, `real_world`: evaluation, what everybody knows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unsee.data.benchmarks.records import CLASSIFICATION, GENERATION, Item, LazyPicture
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config, register
from unsee.data.benchmarks.tables import Table, open_table
from unsee.data.benchmarks.training import ItemRows
from unsee.errors import UnseeError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CAPTION_QUESTIONS = (
    "Describe this picture.",
    "What does this picture show?",
    "What can be seen here, and who?",
    "Write a caption for this picture.",
)
"""Ours: the data has captions and no questions. Which one a row gets depends on the row alone."""
NAME_QUESTION = "What is the name of the person in this picture?"
LETTER_REQUEST = "Answer with the letter of the right option."

PARTS = ("full", "forget01", "forget05", "forget10", "retain99", "retain95", "retain90")
FORGET = ("forget01_perturbed", "forget05_perturbed", "forget10_perturbed")
RETAIN, FACES, WORLD = "retain_perturbed", "real_faces", "real_world"
PERTURBED = (
    *("image", "caption", "name"),
    *("paraphrased_caption", "perturbed_captions", "perturbed_names"),
)

CLEAR = register(
    Benchmark(
        name="clear",
        title="CLEAR",
        hub="therem/CLEAR",
        configs=(
            *(Config(part, {TRAINING: ("image", "caption", "name")}) for part in PARTS),
            *(
                Config(f"{part}+tofu", {TRAINING: ("image", "caption", "question", "answer")})
                for part in PARTS
            ),
            *(Config(config, {EVALUATION: PERTURBED}) for config in (*FORGET, RETAIN)),
            Config(FACES, {EVALUATION: ("image", "answer", "options")}),
            Config(WORLD, {EVALUATION: ("image", "question", "answer", "options")}),
        ),
        forget="forget05_perturbed",
        scorer="unsee.evaluation.benchmarks.clear.ClearScorer",
        summary="invented authors with captioned pictures, and TOFU's questions about them",
        wants={
            "forget/generation/image": {"released": "low", "visual": "low"},
            "forget/classification/image": {"released": "low", "visual": "low"},
            "forget/generation/text": {"released": "low", "visual": "kept"},
        },
    )
)


def open_config(source: str | None, config: str, purpose: str = EVALUATION) -> Table:
    """Opens a config, see `unsee.data.benchmarks.tables.open_table`.

    Raises:
        UnseeError: as there; a config that papers name and the hub lacks is said to be so.
    """
    if config.startswith("retain") and config.endswith("_perturbed") and config != RETAIN:
        raise UnseeError(
            f"{config} does not exist on the hub (MMUnlearner's code names it): CLEAR has the one "
            f"{RETAIN}, whatever was forgotten"
        )
    return open_table(CLEAR, source, config, purpose)


def _text(table: Table, row: int, column: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UnseeError(f"{table.where(row, column)} is empty: the data is damaged or not CLEAR's")
    return value.strip()


def _texts(table: Table, row: int, column: str, value: Any) -> tuple[str, ...]:
    return tuple(_text(table, row, column, one) for one in value or ())


def _shown(table: Table, row: int, value: Any) -> LazyPicture:
    if value is None:
        raise UnseeError(
            f"{table.where(row, 'image')} holds no picture; only rows of the +tofu configs may"
        )
    return value


def _others(right: str, offered: Sequence[str]) -> tuple[str, ...]:
    """What is offered beside the right answer, each once, in order."""
    known = " ".join(right.split()).casefold()
    return tuple(dict.fromkeys(o for o in offered if " ".join(o.split()).casefold() != known))


def caption_question(key: str, seed: int = 0) -> str:
    """The question to which a row's caption is the answer: always the same one for a row."""
    rng = np.random.default_rng([seed, *key.encode()])
    return CAPTION_QUESTIONS[int(rng.integers(len(CAPTION_QUESTIONS)))]


def caption_items(table: Table) -> Iterator[Item]:
    """Rows of a perturbed config: the caption, asked about the picture.

    `extras`: `name`, `paraphrase` (of the caption), `wrong` (captions), `wrong_names`.

    Raises:
        UnseeError: a cell is empty; the message names it.
    """
    for number, row in enumerate(table):

        def text(column: str, number: int = number, row: Any = row) -> str:
            return _text(table, number, column, row[column])

        name, caption = text("name"), text("caption")
        paraphrase = text("paraphrased_caption")
        captions = _texts(table, number, "perturbed_captions", row["perturbed_captions"])
        names = _texts(table, number, "perturbed_names", row["perturbed_names"])
        wrong, wrong_names = _others(paraphrase, captions), _others(name, names)
        for column, found in (("perturbed_captions", wrong), ("perturbed_names", wrong_names)):
            if not found:
                raise UnseeError(f"{table.where(number, column)} offers nothing but the truth")
        extras = {"name": name, "paraphrase": paraphrase}
        extras |= {"row": f"{table.name}-{number}"}
        yield Item(
            id=name,
            picture=_shown(table, number, row["image"]),
            question=caption_question(f"{table.name}-{number}"),
            answer=caption,
            kind=GENERATION,
            extras={**extras, "wrong": wrong, "wrong_names": wrong_names},
        )


def real_items(table: Table) -> Iterator[Item]:
    """Rows of `real_faces` (the name is asked for) and `real_world` (the row's own question).

    `extras`: `offered`, the options as they are; `wrong`, those beside the answer.

    Raises:
        UnseeError: a cell is empty; the message names it.
    """
    for number, row in enumerate(table):
        answer = _text(table, number, "answer", row["answer"])
        asked = row.get("question")
        question = NAME_QUESTION if asked is None else _text(table, number, "question", asked)
        offered = _texts(table, number, "options", row["options"])
        wrong = _others(answer, offered)
        if not wrong:
            raise UnseeError(f"{table.where(number, 'options')} offers nothing but the truth")
        yield Item(
            id=answer if table.name == FACES else f"{table.name}-{number}",
            picture=_shown(table, number, row["image"]),
            question=question,
            answer=answer,
            extras={"offered": offered, "wrong": wrong, "row": f"{table.name}-{number}"},
        )


def lettered(item: Item, seed: int = 0) -> Item:
    """The item as a choice among letters, the truth at a place that depends on seed and row.

    Of a caption, the name is asked for, among `perturbed_names`; of a real picture, its answer.
    """
    captioned = "wrong_names" in item.extras
    right = item.extras["name"] if captioned else item.answer
    texts = list(item.extras["wrong_names" if captioned else "wrong"][: len(LETTERS) - 1])
    rng = np.random.default_rng([seed, *str(item.extras["row"]).encode()])
    texts.insert(int(rng.integers(len(texts) + 1)), right)
    options = tuple(zip(LETTERS, texts, strict=False))
    return replace(
        item,
        question=NAME_QUESTION if captioned else item.question,
        answer=LETTERS[texts.index(right)],
        options=options,
        kind=CLASSIFICATION,
    )


def training_items(table: Table) -> Iterator[Item]:
    """Rows of a training config: a picture with its caption, or a question in words alone.

    Raises:
        UnseeError: a row is neither; the message names it.
    """
    for number, row in enumerate(table):
        key = f"{table.name}-{number}"
        if row["image"] is None and "question" in row:
            question, answer = (
                _text(table, number, column, row[column]) for column in ("question", "answer")
            )
            yield Item(key, None, question, answer, direction="text", extras={"row": key})
            continue
        caption = _text(table, number, "caption", row["caption"])
        extras = {"row": key} | ({"name": row["name"]} if row.get("name") else {})
        picture = _shown(table, number, row["image"])
        person = row.get("name") or key
        yield Item(person, picture, caption_question(key), caption, extras=extras)


def training_rows(
    source: str | None, config: str = "full+tofu", direction: str | None = None
) -> ItemRows:
    """What a model is taught, or is to forget or retain, by fine-tuning.

    Args:
        source: folder, parquet file or name on the hub; None: the authors'.
        config: such as `forget05`, `retain95+tofu`.
        direction: `image`: rows with a picture alone; `text`: questions in words alone.

    Raises:
        UnseeError: it is an evaluation config; a row is damaged; nothing is left.
    """
    table = open_config(source, config, TRAINING)
    found = [item for item in training_items(table) if direction in (None, item.direction)]
    if not found:
        raise UnseeError(f"{config} of {table.source} has no row of direction {direction!r}")
    return ItemRows(found)
