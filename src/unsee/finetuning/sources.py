"""Where lessons are from: a published benchmark, or the user's own data."""

from __future__ import annotations

import inspect
import os
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
        UnseeError: no such benchmark or config, damaged rows, or a picture that can't be read.
    """
    from unsee.data.benchmarks.registry import get_benchmark
    from unsee.evaluation.benchmarks.base import check_pictures

    module = import_module(f"unsee.data.benchmarks.{get_benchmark(name).name}")
    rows = module.training_rows(source, **({"config": config} if config else {}))
    asked = hasattr(rows, "items")
    check_pictures([item.picture for item in rows.items] if asked else rows.pictures)
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


def own_lessons(source: str | os.PathLike[str]) -> list[Lesson]:
    """The user's own pictures with the questions about them, in every form that
    `unsee.data.own.read_own` reads; rows without a picture are questions in words.

    Without `person`, questions about the same picture are of one person, those without picture of
    nobody.

    Raises:
        UnseeError: something can't be read, or a picture has no question with an answer. What would
            be left out of a set to forget is an error here: nobody would miss what was not learnt.
    """
    from unsee.data.own import read_own

    pictures = read_own(source, may_be_empty=True, words_too=True)
    if pictures.broken:
        where, reason = pictures.broken[0]
        more = f" (and {len(pictures.broken) - 1} more)" if len(pictures.broken) > 1 else ""
        raise UnseeError(f"{where}: {reason}{more}; nothing was learnt, mend it first")
    bare = next((shot for shot in pictures.shots if not shot.asked or shot.unanswered), None)
    if bare is not None:
        lacks = f"no answer to {bare.unanswered[0]!r}" if bare.unanswered else "no question"
        raise UnseeError(
            f"{bare.where or bare.path}: there is {lacks}: every picture needs a `question` and an "
            "`answer` (`unsee data probe` asks a model); a benchmark's data needs its --benchmark"
        )
    found = []
    for number, shot in enumerate(pictures.shots):
        person = shot.person or _from(shot.path, Path(source))
        load = partial(_picture, pictures, number)
        found += [Lesson(person, question, said, load) for question, said in shot.asked]
    return found + [Lesson(who or "", asked, said) for who, asked, said in pictures.in_words]


def _from(path: Path, source: Path) -> str:
    """A picture's path as the data names it."""
    folder = source if source.is_dir() else source.parent
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _picture(pictures: Any, number: int) -> Any:
    return pictures[number]["image"]


def read_lessons(
    benchmark: str | None,
    source: str | None,
    config: str | None = None,
    without: str | None = None,
    also_in_words: bool = False,
) -> Lessons:
    """What is learnt.

    Args:
        benchmark: its name; None: `source` is the user's own data.
        source: the data.
        config: the benchmark's table that is learnt; None: all there is.
        without: whose pictures are left out: a forget config of the benchmark, such as `forget_5`;
            of own records, people separated by commas. None: nobody's.
        also_in_words: every question about a picture in words too.

    Raises:
        UnseeError: the data can't be read, or `without` names nobody who is in it.
    """
    if benchmark and without and source and Path(source).suffix == ".parquet":
        raise UnseeError(
            f"{source} is one table, and --without {without} is another one: give the folder of "
            "all configs"
        )
    if benchmark:
        lessons = benchmark_lessons(benchmark, source, config)
    elif source is None:
        raise UnseeError("give --data of your own (docs/own-pictures.md), or name a --benchmark")
    elif config:
        raise UnseeError("--config is a table of a benchmark: name the --benchmark")
    else:
        lessons = own_lessons(source)
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
