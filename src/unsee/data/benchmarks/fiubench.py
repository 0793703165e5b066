"""FIUBench (arXiv 2411.03554): 400 invented people with a face and questions about private facts.

    full.json      a list of people: unique_id, image_path, qa_list
    split.json     lists of IDs: forget1, forget5, forget10, retain5, retain15
    pictures       at `image_path`, from the folder of full.json or its parent, or by their name

A question has `question`, `answer`, `keywords`, `paraphrased_question` (several),
`paraphrased_answer`, `perturbed_answer` (several); `q` and `a` are taken too. The benchmark is the
first 400 people of full.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unsee.data.benchmarks.records import Item, LazyPicture
from unsee.data.benchmarks.registry import EVALUATION, TRAINING, Benchmark, Config, register
from unsee.data.benchmarks.training import ItemRows
from unsee.errors import UnseeError

PEOPLE = 400
FULL, SPLIT = "full.json", "split.json"
FORGET, RETAIN = ("forget1", "forget5", "forget10"), ("retain5", "retain15")
REST, EVERYBODY = "retain", "full"
"""Not in split.json: those in no forget split, as the published script retains them; and all."""
KEYS = {
    "question": ("question", "q"),
    "answer": ("answer", "a"),
    "keywords": ("keywords",),
    "paraphrased_question": ("paraphrased_question", "paraphrased_questions", "paraphrased_q"),
    "paraphrased_answer": ("paraphrased_answer", "paraphrased_a"),
    "perturbed_answer": ("perturbed_answer", "perturbed_answers", "perturbed_a"),
}

FIUBENCH = register(
    Benchmark(
        name="fiubench",
        title="FIUBench",
        hub="gray311/FIUBench",
        configs=tuple(
            Config(name, {EVALUATION: (), TRAINING: ()})
            for name in (*FORGET, *RETAIN, REST, EVERYBODY)
        ),
        forget="forget5",
        scorer="unsee.evaluation.benchmarks.fiubench.FIUBenchScorer",
        summary="400 invented people: a face, and questions about private facts",
        wants={
            f"forget/{kind}/image": {"released": "low", "visual": "low"}
            for kind in ("generation", "paraphrase")
        },
    )
)


@dataclass(frozen=True)
class People:
    """full.json and split.json, read.

    Attributes:
        source: where full.json is.
        entries: its first 400 people, as they are.
        splits: split -> IDs.
    """

    source: Path
    entries: Sequence[Mapping[str, Any]]
    splits: Mapping[str, Sequence[str]]

    def cell(self, row: int, column: str) -> dict[str, Any]:
        """Where the picture of a person is."""
        return {"bytes": None, "path": _found(self.source.parent, self.entries[row][column])}

    def of(self, split: str) -> list[int]:
        """Numbers of the entries of a split.

        Raises:
            UnseeError: there is no such split, or nobody of it is among the first 400.
        """
        if split == EVERYBODY:
            return list(range(len(self.entries)))
        if split == REST:
            gone = {i for name in FORGET for i in self.splits.get(name, ())}
            return [
                n for n, entry in enumerate(self.entries) if str(entry["unique_id"]) not in gone
            ]
        if split not in self.splits:
            raise UnseeError(
                f"{self.source.parent / SPLIT} has no split {split!r}: "
                f"it has {', '.join(self.splits)} (and {REST}, {EVERYBODY} go without it)"
            )
        wanted = set(self.splits[split])
        found = [n for n, entry in enumerate(self.entries) if str(entry["unique_id"]) in wanted]
        if not found:
            raise UnseeError(f"nobody of {split} is among the first {PEOPLE} people: other data?")
        return found


def read_people(source: str | None = None) -> People:
    """Reads and checks full.json and split.json.

    Args:
        source: their folder, the path of full.json, or a name on the hub; None: the authors'.

    Raises:
        UnseeError: a file is missing or damaged, an entry lacks what every entry has, two people
            have the same ID, a picture is not there.
    """
    file = _full(source)
    read = _json(file)
    if not isinstance(read, list) or not read or not all(isinstance(e, dict) for e in read):
        raise UnseeError(f"{file} is no list of people: give FIUBench's {FULL}")
    entries = read[:PEOPLE]
    known: dict[str, int] = {}
    for number, entry in enumerate(entries):
        for key in ("unique_id", "image_path", "qa_list"):
            if entry.get(key) in (None, "", []):
                raise UnseeError(f"{file}: person {number} has no {key}")
        if not isinstance(entry["qa_list"], list):
            raise UnseeError(f"{file}: qa_list of person {number} is no list of questions")
        ident = str(entry["unique_id"])
        if ident in known:
            raise UnseeError(f"{file}: persons {known[ident]} and {number} are both {ident}")
        known[ident] = number
        if _found(file.parent, entry["image_path"]) is None:
            raise UnseeError(
                f"the picture {entry['image_path']} of {ident} is not in {file.parent}: "
                "unpack FIUBench's pictures there"
            )
    splits = _json(file.parent / SPLIT)
    if not isinstance(splits, dict):
        raise UnseeError(f"{file.parent / SPLIT} is no table of splits")
    for name, ids in splits.items():
        if not isinstance(ids, list) or not all(isinstance(i, (str, int)) for i in ids):
            raise UnseeError(f"{file.parent / SPLIT}: {name} is no list of IDs")
    return People(file, entries, {k: [str(i) for i in v] for k, v in splits.items()})


def items(people: People, split: str, limit: int | None = None) -> list[Item]:
    """The questions about the people of a split.

    `extras`: `keywords`, `paraphrases` (of the question), `paraphrase` (of the answer, or the
    answer where there is none), `wrong` (perturbed answers).

    Args:
        people: what `read_people` gave.
        split: such as `forget5`; `retain`: all who are in no forget split; `full`.
        limit: at most so many people.

    Raises:
        UnseeError: there is no such split, a question has no words or no answer.
    """
    found = []
    for number in people.of(split)[:limit]:
        entry = people.entries[number]
        ident = str(entry["unique_id"])
        picture = LazyPicture(f"{people.source}, person {ident}", people, number, "image_path")
        for index, asked in enumerate(entry["qa_list"]):
            where = f"{people.source}: question {index} of {ident}"
            question, answer = (_words(asked, key, where) for key in ("question", "answer"))
            if not question or not answer:
                missing = "answer" if question else "question"
                raise UnseeError(f"{where} has no {missing}")
            extras = {
                "keywords": _list(asked, "keywords", where),
                "paraphrases": _list(asked, "paraphrased_question", where),
                "paraphrase": _words(asked, "paraphrased_answer", where) or answer,
                "wrong": _list(asked, "perturbed_answer", where),
                "row": f"{ident}-{index}",
            }
            found.append(Item(ident, picture, question, answer, extras=extras))
    return found


def _full(source: str | None) -> Path:
    path = Path(source or FIUBENCH.hub)
    if source is not None and path.is_file():
        return path
    if source is None or not path.exists():
        path = _downloaded(source or FIUBENCH.hub)
    for folder in (path, path / "dataset", path / "FIUBench"):
        if (folder / FULL).is_file():
            return folder / FULL
    raise UnseeError(f"there is no {FULL} in {path}: give the folder of FIUBench's files")


def _downloaded(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UnseeError(f"there is no folder or file {name}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, repo_type="dataset"))
    except Exception as error:  # whatever the network and the hub's client raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnseeError(
            f"{name} can't be had from the hub: {first}; download it and give the folder"
        ) from error


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnseeError(f"there is no {file}: it belongs to FIUBench") from None
    except ValueError as error:
        raise UnseeError(f"{file} is no JSON, or only a part of it: {error}") from error


def _found(folder: Path, path: Any) -> Path | None:
    """A picture of full.json, whose paths are those of its authors' machine."""
    named = Path(str(path))
    inside = [part for part in named.parts if part not in (".", "dataset")]
    places = [folder / named, folder.parent / named, folder.joinpath(*inside)]
    places += [folder / named.name, folder / named.parent.name / named.name]
    return next((place for place in places if place.is_file()), None)


def _value(asked: Any, key: str, where: str) -> Any:
    if not isinstance(asked, dict):
        raise UnseeError(f"{where} is no question with its answer")
    return next((asked[name] for name in KEYS[key] if asked.get(name) is not None), None)


def _words(asked: Any, key: str, where: str) -> str:
    value = _value(asked, key, where)
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value or "").strip()


def _list(asked: Any, key: str, where: str) -> tuple[str, ...]:
    value = _value(asked, key, where)
    many = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(many, list):
        raise UnseeError(f"{where}: {key} {value!r} is no list of texts")
    return tuple(dict.fromkeys(str(one).strip() for one in many if str(one).strip()))


def training_rows(source: str | None, config: str = "full") -> ItemRows:
    """What a model is taught, or is to forget or retain, by fine-tuning: questions and answers as
    they stand, a picture with each.

    Args:
        source: as in `read_people`.
        config: a split, such as `forget5`, or `retain`, `full`.

    Raises:
        UnseeError: there is no such split; an entry is damaged.
    """
    return ItemRows(items(read_people(source), config))
