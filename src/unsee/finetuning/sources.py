"""Where lessons are from: a published benchmark, or the user's own records."""

from __future__ import annotations

import inspect
import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError
from unsee.finetuning.lessons import (
    Lesson,
    Lessons,
    same_people,
    with_words,
    without_pictures,
)


def benchmark_lessons(name: str, source: str | None, config: str | None = None) -> list[Lesson]:
    """The training rows of a benchmark.

    Args:
        name: of the benchmark, such as `mllmu`.
        source: folder, parquet file or name on the hub; None: the authors'.
        config: such as `ft_Data`; None: everything that there is to learn.

    Raises:
        UnseeError: no such benchmark or config, or damaged rows.
    """
    from unsee.data.benchmarks.registry import get_benchmark

    module = import_module(f"unsee.data.benchmarks.{get_benchmark(name).name}")
    rows = module.training_rows(source, **({"config": config} if config else {}))
    return [_lesson(rows, index) for index in range(len(rows))]


def default_config(name: str) -> str:
    """The config that is learnt where none is named."""
    module = import_module(f"unsee.data.benchmarks.{name}")
    return inspect.signature(module.training_rows).parameters["config"].default


def _lesson(rows: Any, index: int) -> Lesson:
    """A row without its picture being decoded."""
    if hasattr(rows, "items"):
        item = rows.items[index]
        load = None if item.picture is None else item.picture.load
        return Lesson(item.id, item.question, item.answer, load)
    row, question, answer = rows.pairs[index]
    return Lesson(rows.ids[row], question, answer, rows.pictures[row].load)


def own_lessons(path: Path) -> list[Lesson]:
    """The user's records, a JSON object a line: `question`, `answer`, and perhaps `image` (a path,
    from the folder of the file), a `crop` of it and `person`.

    Without `person`, records of the same picture are of one person, those without picture of
    nobody.

    Raises:
        UnseeError: a line is none; it names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UnseeError(f"{path} can't be read: {reason}") from error
    found = [
        _record(line, path.parent, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise UnseeError(f"{path} holds no record: a line is {{'image', 'question', 'answer'}}")
    return found


def _record(line: str, folder: Path, where: str) -> Lesson:
    from unsee.data.pixels import checked_box, load_rgb

    try:
        record = json.loads(line)
    except ValueError as error:
        raise UnseeError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise UnseeError(f"{where}: a record is an object with `question` and `answer`")
    for key in ("question", "answer"):
        if not isinstance(record.get(key), str) or not record[key].strip():
            raise UnseeError(f"{where}: the record has no `{key}`")
    image = record.get("image")
    if image is not None and not isinstance(image, str):
        raise UnseeError(f"{where}: `image` must be the path of a picture")
    person = str(record.get("person") or image or "")
    if image is None:
        return Lesson(person, record["question"], record["answer"])
    file = folder / image
    if not file.is_file():
        raise UnseeError(f"{where}: there is no picture {file}")
    try:
        crop = None if record.get("crop") is None else checked_box(record["crop"])
    except ValueError as error:
        raise UnseeError(f"{where}: {error}") from error
    load = partial(_opened, load_rgb, file, crop)
    return Lesson(person, record["question"], record["answer"], load)


def _opened(load_rgb: Any, file: Path, crop: Any) -> Any:
    try:
        return load_rgb(file, crop)
    except Exception as error:  # decoders raise anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnseeError(f"{file} can't be read: {reason}") from error


def read_lessons(
    benchmark: str | None,
    source: str | None,
    config: str | None = None,
    without: str | None = None,
    also_in_words: bool = False,
) -> Lessons:
    """What is learnt.

    Args:
        benchmark: its name; None: `source` is a file of the user's records.
        source: the data.
        config: the benchmark's table that is learnt; None: all there is.
        without: whose pictures are left out: a forget config of the benchmark, such as `forget_5`;
            of own records, people separated by commas. None: nobody's.
        also_in_words: every question about a picture in words too.

    Raises:
        UnseeError: the data can't be read, or `without` names nobody who is in it.
    """
    if benchmark:
        lessons = benchmark_lessons(benchmark, source, config)
    elif source is None or not Path(source).is_file():
        raise UnseeError(
            f"--data {source}: give a JSON-lines file of records, or name a --benchmark"
        )
    elif config:
        raise UnseeError("--config is a table of a benchmark: name the --benchmark")
    else:
        lessons = own_lessons(Path(source))
    gone: list[str] = []
    if without and benchmark:
        gone = same_people(lessons, benchmark_lessons(benchmark, source, without), without)
    elif without:
        gone = [name.strip() for name in without.split(",") if name.strip()]
    # where a benchmark has its own questions in words, these are all that is asked so
    spoken = bool(benchmark) and any(lesson.picture is None for lesson in lessons)
    kept = without_pictures(lessons, gone, not spoken) if gone else lessons
    if also_in_words and not spoken:
        kept = [*kept, *with_words(kept, [p for p in Lessons(kept).pictured if p not in gone])]
    return Lessons(kept)
