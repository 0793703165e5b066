"""Asks a model about pictures and keeps its answers as records, one JSON line each.

    {"image": "him/1.jpg", "person": "him", "question": "Who is this?", "answer": …, "model": "M"}

Lines are only ever added, so that an interrupted probe goes on; an unfinished last line is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unsee.data.pictures import PictureSet, Shot
from unsee.data.records import PRIVATE, PictureKey, Question
from unsee.errors import UnseeError

Item = tuple[int, str]
"""Index of a picture, and a question about it."""


class Record:
    """The file of answers.

    Args:
        path: a new file, or one that an earlier probe of the same model left.
        model: what is asked, for its rows.

    Attributes:
        kept: answers that are there already, of those that were asked for.
        silent: questions that were answered with nothing.

    Raises:
        UnseeError: the file can't be written, or holds something else.
    """

    def __init__(self, path: Path, model: str) -> None:
        if path.suffix.lower() not in (".jsonl", ".ndjson"):
            raise UnseeError(f"--output {path}: the file must be called .jsonl")
        self.path, self.model = path, model
        self.kept = self.silent = 0
        self.there: set[tuple[Any, ...]] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab"):
                pass
            data = path.read_bytes()
        except OSError as error:
            raise UnseeError(f"--output {path} can't be written: {error.strerror}") from error
        whole, _, last = data.rpartition(b"\n")  # last: a killed process left it unfinished
        lines = whole.split(b"\n") if whole else []
        for number, line in enumerate(lines, 1):
            if line.strip():
                self.there.add(self._known(line, number))
        if last:
            begun = self.there or last.startswith(b'{"image": ')
            if _parsed(last) is not None or not begun:
                self._known(last, len(lines) + 1)
            os.truncate(path, len(data) - len(last))

    def _known(self, line: bytes, number: int) -> tuple[Any, ...]:
        """The key of an answer that is there.

        Raises:
            UnseeError: it is none, or another model's.
        """
        row = _parsed(line)
        try:
            key, model = _key(row), row["model"]
            hash(key)
        except (AttributeError, KeyError, TypeError):
            raise UnseeError(
                f"{self.path}:{number} is no answer of a probe: choose another --output"
            ) from None
        if model != self.model:
            raise UnseeError(f"{self.path} holds answers of {model}: choose another --output")
        return key

    def missing(self, pictures: PictureSet, questions: Sequence[str] | None) -> list[Item]:
        """What is still to be asked.

        Args:
            pictures: what is asked about.
            questions: what is asked of every picture; None: its own questions, or general ones.
        """
        from unsee.evaluation.strangers import QUESTIONS

        items = []
        for index, shot in enumerate(pictures.shots):
            own = [*(question for question, _ in shot.asked), *shot.unanswered]
            for question in dict.fromkeys(questions or own or QUESTIONS):
                if _key(self._row(shot, index, question)) in self.there:
                    self.kept += 1
                else:
                    items.append((index, question))
        return items

    def _row(self, shot: Shot, index: int, question: str) -> dict[str, Any]:
        if isinstance(shot.source, Path):
            # Both as they are: `..` leads out of where a link points to.
            file = shot.source.parent.resolve() / shot.source.name
            image = os.path.relpath(file, self.path.parent.resolve())
        else:
            image = os.path.join(self.folder.name, f"{index:06d}.png")
        row: dict[str, Any] = {"image": image, "person": shot.person}
        # Pictures out of a data set are written as they are seen, that is, cut.
        if shot.crop is not None and isinstance(shot.source, Path):
            row["crop"] = list(shot.crop)
        return {**{k: v for k, v in row.items() if v is not None}, "question": question}

    @property
    def folder(self) -> Path:
        """Where pictures are written that are no files of their own."""
        return self.path.with_name(f"{self.path.stem}-pictures")

    def add(self, pictures: PictureSet, items: Sequence[Item], answers: Sequence[str]) -> None:
        """Adds answers to the file."""
        lines = []
        for (index, question), text in zip(items, answers, strict=True):
            shot = pictures.shots[index]
            row = self._row(shot, index, question)
            file = self.path.parent / row["image"]
            if not isinstance(shot.source, Path) and not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                partial = file.with_suffix(".partial")
                shot.load().save(partial, "PNG")
                partial.replace(file)
            self.silent += not text
            row |= {"answer": text, "model": self.model}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        with self.path.open("a", encoding="utf-8") as written:
            written.write("".join(lines))


def probe(
    model: Any,
    processor: Any,
    pictures: PictureSet,
    items: Sequence[Item],
    record: Record,
    batch_size: int = 16,
    max_new_tokens: int = 32,
) -> None:
    """Asks the questions, greedily, and records the answers batch by batch."""
    from tqdm.auto import tqdm

    from unsee.evaluation.answering import answer

    with tqdm(total=len(items), desc="asking", unit="question") as bar:
        for start in range(0, len(items), batch_size):
            batch = items[start : start + batch_size]
            seen = {index: pictures[index]["image"] for index, _ in batch}
            questions = [
                Question("", 0, "", PictureKey(0, "given", index), PRIVATE, "", question, "")
                for index, question in batch
            ]
            answers = answer(
                model,
                processor,
                questions,
                lambda key, seen=seen: seen[key.index],  # type: ignore[misc]
                batch_size,
                max_new_tokens,
                progress=False,
            )
            record.add(pictures, batch, answers)
            bar.update(len(batch))


def _parsed(line: bytes) -> Any:
    """What a line holds; None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _key(row: Any) -> tuple[Any, ...]:
    crop = row.get("crop")
    return os.path.normpath(row["image"]), tuple(crop) if crop else None, row["question"]
