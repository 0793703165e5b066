"""Rows that list pictures with questions: JSON lines, JSON, CSV, LLaVA's conversations.

    {"image": "him/1.jpg", "person": "him", "question": "Who is this?", "answer": "Ada Belberg"}
    {"file_name": "1.jpg", "crop": [40, 20, 120, 110]}
    {"image": "1.jpg", "conversations": [{"from": "human", "value": "<image>\\nWho is this?"},
                                         {"from": "gpt", "value": "Ada Belberg"}]}

A row that can't be understood is an error with its line, not the end of the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unsee.data.pixels import Box, checked_box
from unsee.errors import UnseeError

IMAGE = "image file_name image_path path".split()
"""What the column of the picture may be called."""
PERSON = ("person", "label")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv")
ASKS, ANSWERS = ("human", "user"), ("gpt", "assistant")
TOKEN = "<image>"
MORE = "(cells without a column)"
"""Key of the cells of a CSV row that are beyond its header."""


@dataclass(frozen=True)
class Row:
    """What a row says.

    Attributes:
        image: the picture: a path, or what a data set holds there.
        person: who is on it.
        crop: the part of the upright picture that counts.
        asked: questions with answers.
        unanswered: questions without an answer.
    """

    image: Any
    person: str | None = None
    crop: Box | None = None
    asked: tuple[tuple[str, str], ...] = ()
    unanswered: tuple[str, ...] = ()


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | ValueError]]:
    """The rows of a file, each with its line, counted from 1.

    Yields:
        (line, fields), or (line, what is wrong with it).

    Raises:
        UnseeError: the file can't be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnseeError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnseeError(f"{path} is not UTF-8 text: {error}") from error
    suffix = path.suffix.lower()
    found = _csv(text) if suffix == ".csv" else _json(text) if suffix == ".json" else _lines(text)
    for line, row in found:
        if isinstance(row, (Mapping, ValueError)):
            yield line, row
        else:
            kind = type(row).__name__
            yield line, ValueError(f'a row must be an object {{"image": …}}, not {kind}')


def understood(fields: Mapping[str, Any]) -> Row:
    """What the fields of a row mean.

    Raises:
        ValueError: there is no picture, or something is of the wrong kind.
    """
    return _understood(fields, image_of(fields))


def in_words(fields: Mapping[str, Any]) -> Row | None:
    """What a row means that names no picture: questions in words; None where it names one.

    Raises:
        ValueError: it has no question, one has no answer, or something is of the wrong kind.
    """
    if any(fields.get(key) is not None for key in IMAGE):
        return None
    row = _understood(fields, None)
    for name, missing in (("answer", row.unanswered), ("question", not row.asked)):
        if missing:
            raise ValueError(f"the row has no picture and no `{name}`")
    return row


def _understood(fields: Mapping[str, Any], image: Any) -> Row:
    if MORE in fields:
        raise ValueError("more cells than columns: put a text with a comma in quotes")
    person = next((fields[key] for key in PERSON if fields.get(key) is not None), None)
    if not isinstance(person, (str, int, type(None))) or isinstance(person, bool):
        raise ValueError(f"person {person!r} must be a name or a number")
    crop = fields.get("crop")
    if isinstance(crop, str) and crop.strip():  # as CSV has it
        crop = crop.strip("[]() ").replace(",", " ").split()
    pairs = _pairs(fields)
    return Row(
        image,
        None if person is None else str(person).strip() or None,
        None if crop is None or crop == "" else checked_box(crop),
        tuple((question, said) for question, said in pairs if said is not None),
        tuple(question for question, said in pairs if said is None),
    )


def image_of(fields: Mapping[str, Any]) -> Any:
    """What a row says about its picture: a path, or what a data set holds there.

    Raises:
        ValueError: there is none, or there are several.
    """
    named = [key for key in IMAGE if fields.get(key) is not None]
    if not named:
        found = ", ".join(map(str, fields)) or "nothing"
        raise ValueError(f"no picture: the row needs an `image` (it has {found})")
    image = fields[named[0]]
    if isinstance(image, list):
        if len(image) != 1:
            raise ValueError(f"{len(image)} pictures in one row: give each a row of its own")
        image = image[0]
    return image


def file_of(image: Any, folder: Path) -> Path:
    """The file that a row means; a path counts from the folder of the file that holds the row.

    Raises:
        ValueError: it is none, or an address.
    """
    if not isinstance(image, str) or not image.strip():
        raise ValueError(f"image {str(image)[:40]!r} must be the path of a picture")
    if image.startswith(("http://", "https://", "data:", "s3://", "gs://")):
        raise ValueError(f"image {image[:60]!r} is no file: download it first")
    return folder / image


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, ValueError(f"not JSON: {error}")


def _json(text: str) -> Iterator[tuple[int, Any]]:
    """The elements of an array, each with the line that it begins in; or lines, where a `.json`
    holds those."""
    start = len(text) - len(text.lstrip())
    if text[start : start + 1] != "[":
        yield from _lines(text) if text.count("\n{") else _whole(text)
        return
    decoder, place, line, counted = json.JSONDecoder(), start + 1, 1, 0
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        line, counted = line + text.count("\n", counted, place), place
        if text[place : place + 1] == "]":
            rest = text[place + 1 :].lstrip()
            if rest:
                at = text.count("\n", 0, len(text) - len(rest)) + 1
                yield at, ValueError("not JSON: what follows the array is not read")
            return
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "lineno", line)
            yield at, ValueError(f"not JSON, what follows is not read: {error}")
            return
        yield line, value


def _whole(text: str) -> Iterator[tuple[int, Any]]:
    try:
        yield 1, json.loads(text)
    except (ValueError, RecursionError) as error:
        yield getattr(error, "lineno", 1), ValueError(f"not JSON: {error}")


def _csv(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=MORE)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, ValueError(f"not CSV: {error}")
            continue
        more = [cell for cell in row.pop(MORE, None) or () if cell]
        line = reader.line_num - sum(str(value).count("\n") for value in row.values())
        fields: dict[str, Any] = {k: v for k, v in row.items() if v not in (None, "")}
        yield line, fields | ({MORE: more} if more else {})


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Questions of a row with their answers, None where there is none."""
    for key in ("conversations", "messages"):
        if fields.get(key) is not None:
            return _turns(key, fields[key])
    question, said = fields.get("question"), fields.get("answer")
    if question is None or question == "":
        if said not in (None, ""):
            raise ValueError("an `answer` without a `question`")
        return []
    return [(_words("question", question), None if said in (None, "") else _words("answer", said))]


def _words(name: str, value: Any) -> str:
    """A text; numbers count as texts, for answers such as a year."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{name} {str(value)[:40]!r} must be a text")
    text = str(value).replace(TOKEN, "").strip()
    if not text:
        raise ValueError(f"{name} is empty")
    return text


def _turns(key: str, turns: Any) -> list[tuple[str, str | None]]:
    if isinstance(turns, Mapping):  # a list of objects, as some data sets store it
        columns = [value for value in turns.values() if isinstance(value, list)]
        turns = [dict(zip(turns, values, strict=False)) for values in zip(*columns, strict=False)]
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise ValueError(f"{key} must be a list of turns")
    pairs: list[tuple[str, str | None]] = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise ValueError(f"a turn of {key} must be an object, not {type(turn).__name__}")
        who = turn.get("from", turn.get("role"))
        value = turn.get("value", turn.get("content"))
        if isinstance(value, list):  # parts, as chat templates have them
            texts = [part.get("text") for part in value if isinstance(part, Mapping)]
            value = " ".join(text for text in texts if isinstance(text, str))
        if who in ASKS:
            pairs.append((_words("a question", value), None))
        elif who in ANSWERS:
            if not pairs or pairs[-1][1] is not None:
                raise ValueError(f"an answer in {key} that follows no question")
            pairs[-1] = (pairs[-1][0], _words("an answer", value))
        elif who != "system":
            raise ValueError(
                f"a turn of {key} is from {who!r}: {' or '.join((*ASKS, *ANSWERS))} is known"
            )
    return pairs
