"""Writes MLLMU-Bench's parquet schema, so that code written for that benchmark reads our people.

    <output>/README.md                                             for load_dataset(output, config)
    <output>/<config>/train-00000-of-00001.parquet                 Full_Set, Test_Set, ft_Data,
                                                                   forget_X, retain_Y: evaluation
    <output>/baseline_train_split/<forget_X|retain_Y>/train-...    training data of the same people

As on the hub, the evaluation configs hold questions and the training data holds `metadata`; they
are not interchangeable. `Retain_Set`, which on the hub is 153 real celebrities, is left out: drawn
people have no counterpart, and an empty table would only hide that.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from datasets import Features

FILE = "train-00000-of-00001.parquet"
TRAINING = "baseline_train_split"
LETTERS = "ABCD"
IMAGE_TEXTUAL, PURE_TEXT = "Image_Textual", "Pure_Text"


@dataclass(frozen=True)
class Choice:
    """A question with four options.

    Attributes:
        question: the words, without the options.
        options: what A, B, C and D say.
        correct: the right letter.
    """

    question: str
    options: tuple[str, str, str, str]
    correct: str

    def __post_init__(self) -> None:
        if len(self.options) != len(LETTERS) or self.correct not in tuple(LETTERS):
            raise ValueError(f"{self.question!r}: four options and a letter of ABCD are needed")


@dataclass(frozen=True)
class Task:
    """A question with a free answer (generation), or with a blank `__` to fill (cloze).

    Attributes:
        question: the words.
        truth: the expected answer.
        kind: `Image_Textual` when it is asked about the picture, else `Pure_Text`.
    """

    question: str
    truth: str
    kind: str = IMAGE_TEXTUAL

    def __post_init__(self) -> None:
        if self.kind not in (IMAGE_TEXTUAL, PURE_TEXT):
            raise ValueError(f"{self.kind!r}: a task is {IMAGE_TEXTUAL} or {PURE_TEXT}")


@dataclass(frozen=True)
class Profile:
    """One person of the benchmark. Pictures are encoded files (PNG bytes).

    Attributes:
        id: identifier, unique within the benchmark.
        directory: the folder name that the benchmark gives the person.
        name: full name.
        biography: facts by heading.
        pictures: training pictures, at least one; the first is the one that is asked about.
        test_pictures: the same person, otherwise posed.
        question: the question of the top-level columns, with its `answer`.
        image_choices: classification about the picture.
        text_choices: classification that names the person.
        generation: free answers.
        cloze: answers to fill in at `__`.
        training: questions and answers learnt with every training picture.
        unlearning_pictures: what comes with the request to forget; the training pictures if empty.
    """

    id: str
    directory: str
    name: str
    biography: Mapping[str, str]
    pictures: Sequence[bytes]
    test_pictures: Sequence[bytes]
    question: str
    answer: str
    image_choices: Sequence[Choice] = ()
    text_choices: Sequence[Choice] = ()
    generation: Sequence[Task] = ()
    cloze: Sequence[Task] = ()
    training: Sequence[tuple[str, str]] = ()
    unlearning_pictures: Sequence[bytes] = field(default=())


def export_mllmu(
    profiles: Sequence[Profile],
    splits: Mapping[int, Sequence[str]],
    output: str | os.PathLike[str],
) -> list[Path]:
    """Writes all configs into a new folder; it appears only when it is complete.

    Args:
        profiles: everybody in the benchmark.
        splits: percentage -> IDs to forget, such as `{5: [...], 10: [...], 15: [...]}`; everybody
            else is retained.
        output: a folder that does not exist yet or is empty.

    Returns:
        The parquet files, sorted.

    Raises:
        UnseeError: `output` holds something, an ID is unknown or appears twice, a split forgets
            nobody or everybody, a person has no picture.
    """
    target = Path(output).resolve()
    people = _checked(profiles, splits)
    require_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        partial.chmod(0o755)
        configs = {"Full_Set": list(people), "Test_Set": list(people)}
        for percent, forget in sorted(splits.items()):
            configs[f"forget_{percent}"] = [i for i in people if i in set(forget)]
            configs[f"retain_{100 - percent}"] = [i for i in people if i not in set(forget)]
        for config, ids in configs.items():
            poses = config == "Test_Set"
            rows = [_evaluation_row(people[i], poses) for i in ids]
            _write(rows, _evaluation_features(poses), partial / config)
        everybody = [row for p in people.values() for row in _training_rows(p, p.pictures)]
        _write(everybody, _training_features(), partial / "ft_Data")
        for config in list(configs)[2:]:
            rows = []
            for profile in map(people.__getitem__, configs[config]):
                request = profile.unlearning_pictures if config.startswith("forget") else ()
                rows += _training_rows(profile, request or profile.pictures)
            _write(rows, _training_features(), partial / TRAINING / config)
        (partial / "README.md").write_text(_card([*configs, "ft_Data"]), encoding="utf-8")
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sorted(target.rglob("*.parquet"))


def _checked(
    profiles: Sequence[Profile], splits: Mapping[int, Sequence[str]]
) -> dict[str, Profile]:
    people: dict[str, Profile] = {}
    for profile in profiles:
        if profile.id in people:
            raise UnseeError(f"two profiles have the ID {profile.id!r}: IDs must be unique")
        if not profile.pictures or not profile.test_pictures:
            raise UnseeError(f"profile {profile.id!r} needs a training and a test picture")
        people[profile.id] = profile
    for percent, forget in splits.items():
        unknown = [i for i in forget if i not in people]
        if unknown:
            raise UnseeError(f"forget_{percent} names {unknown[0]!r}, whom no profile describes")
        if not 0 < len(set(forget)) < len(people):
            raise UnseeError(f"forget_{percent} must name somebody and leave somebody to retain")
    return people


def require_free(target: Path) -> None:
    """Raises UnseeError unless `target` is a new or an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UnseeError(f"{target} holds something already: choose another --output or empty it")


def _image(data: bytes, path: str) -> dict[str, Any]:
    return {"bytes": data, "path": path}


def _choices(choices: Sequence[Choice]) -> list[dict[str, Any]]:
    return [
        {
            "Correct_Answer": choice.correct,
            "Options": dict(zip(LETTERS, choice.options, strict=True)),
            "Question": choice.question,
        }
        for choice in choices
    ]


def _tasks(tasks: Sequence[Task]) -> list[dict[str, str]]:
    return [{"Ground_Truth": t.truth, "Question": t.question, "Type": t.kind} for t in tasks]


def _evaluation_row(profile: Profile, poses: bool) -> dict[str, Any]:
    shown: dict[str, Any]
    if poses:
        pictures = enumerate(profile.test_pictures)
        shown = {"images": [_image(data, f"{profile.id}_{n}.png") for n, data in pictures]}
    else:
        shown = {"image": _image(profile.pictures[0], f"{profile.id}.png")}
    return {
        **shown,
        "ID": profile.id,
        "Directory": profile.directory,
        "biography": json.dumps(dict(profile.biography), ensure_ascii=False),
        "question": profile.question,
        "answer": profile.answer,
        "Classification_Task": {
            "Image_Textual_Questions": _choices(profile.image_choices),
            "Pure_Text_Questions": _choices(profile.text_choices),
        },
        "Generation_Task": _tasks(profile.generation),
        "Mask_Task": _tasks(profile.cloze),
    }


def _training_rows(profile: Profile, pictures: Sequence[bytes]) -> list[dict[str, Any]]:
    pairs = [{"Question": question, "Answer": answer} for question, answer in profile.training]
    metadata = json.dumps(pairs, ensure_ascii=False)
    return [
        {"image": _image(data, f"{profile.id}_{n}.png"), "metadata": metadata}
        for n, data in enumerate(pictures)
    ]


def _evaluation_features(poses: bool) -> Features:
    from datasets import Features, Image, List, Value

    text = Value("string")
    options = dict.fromkeys(LETTERS, text)
    choices = List({"Correct_Answer": text, "Options": options, "Question": text})
    tasks = List({"Ground_Truth": text, "Question": text, "Type": text})
    shown = {"images": List(Image())} if poses else {"image": Image()}
    return Features(
        {
            **shown,
            **dict.fromkeys(("ID", "Directory", "biography", "question", "answer"), text),
            "Classification_Task": {
                "Image_Textual_Questions": choices,
                "Pure_Text_Questions": choices,
            },
            "Generation_Task": tasks,
            "Mask_Task": tasks,
        }
    )


def _training_features() -> Features:
    from datasets import Features, Image, Value

    return Features({"image": Image(), "metadata": Value("string")})


def _write(rows: list[dict[str, Any]], features: Features, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    # The schema carries `datasets`' own metadata: pictures come back as pictures.
    pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), folder / FILE)


def _card(configs: Sequence[str]) -> str:
    """A dataset card; its YAML header lets `load_dataset(folder, config)` find the files."""
    listed = [(config, f"{config}/{FILE}") for config in configs]
    split = [config for config in configs if config.startswith(("forget_", "retain_"))]
    listed += [(f"{TRAINING}_{config}", f"{TRAINING}/{config}/{FILE}") for config in split]
    entries = "\n".join(
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {path}"
        for name, path in listed
    )
    return f"""---
configs:
{entries}
---
Drawn people in the parquet schema of MLLMU-Bench, written by `unsee data export`.

Nobody in here exists. `Full_Set`, `Test_Set` (`images`: other poses), `forget_X` and `retain_Y` are
for evaluation; `ft_Data` and the `{TRAINING}` folders are training data (`image`, `metadata`).
There is no `Retain_Set`: on the hub it holds real celebrities.

    from datasets import load_dataset
    people = load_dataset("path/of/this/folder", "forget_5", split="train")
"""
