"""People of MLLMU-Bench's text with a face drawn for each: real questions, no real picture.

The benchmark's folder holds `profiles.jsonl`, a profile a line,
`{"ID", "metadata": [{"Question", "Answer"}]}`, and `splits/forget_5.json` …, lists of IDs. The face
fits the sex in the text and nothing else; everything is a function of `SEED` and the ID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unsee.data.faces.person import HAIR_STYLES, Person, sample_person, sample_view
from unsee.errors import UnseeError
from unsee.finetuning.lessons import ASKS_NAME, Lesson, in_words, name_of

SEED = 20261126
OF_WOMEN = ("fringe", "curly", "bob", "long", "bun")
OF_MEN = tuple(style for style in HAIR_STYLES if style not in ("bob", "long", "bun"))
RENDERS = {"train": 30, "unlearn": 10, "test": 6}
"""Renders of each person: what models are taught with, what an unlearner is given, and what is
asked about."""
GAP = re.compile(
    r"^(?P<before>.*?\b(?:is|was|are|has|in|at|on|of|as|named|from|enjoys|loves|works|does)"
    r"(?: (?:born|educated|located|named|called))?(?: (?:in|on|at|as|a|an|the))*)"
    r" (?P<gap>\S.*?)[.!]?$"
)


@dataclass(frozen=True)
class Asked:
    """A question about a person, in words and about their picture.

    Attributes:
        question: about the picture.
        in_words: the same with the name; None where the name itself is asked for.
        answer: the true answer.
    """

    question: str
    in_words: str | None
    answer: str

    @property
    def cloze(self) -> tuple[str, str] | None:
        """(beginning of the answer, what is left out); None where the answer has no such form."""
        found = GAP.match(self.answer)
        return (found["before"], found["gap"]) if found else None


@dataclass(frozen=True)
class Profile:
    """One person of the text.

    Attributes:
        id: as in the benchmark.
        name: from the answer to the question of the name.
        sex: `female`, `male` or `` where the text says neither.
        asked: the questions, each once.
    """

    id: str
    name: str
    sex: str
    asked: tuple[Asked, ...]


def read_profiles(folder: Path, count: int, forget: str = "forget_5") -> list[Profile]:
    """`count` profiles, as large a share of them in the forget split as in the benchmark; the
    forgotten come first (see `forgotten`).

    Raises:
        UnseeError: a file is missing or of another form, or holds fewer people.
    """
    percent = int(forget.rpartition("_")[2])
    everybody = {str(p["ID"]): p for p in _lines(folder / "profiles.jsonl")}
    lists = [_ids(folder, name) for name in (forget, f"retain_{100 - percent}")]
    wanted = [count * percent // 100, count - count * percent // 100]
    chosen: list[Profile] = []
    for name, ids, many in zip((forget, "the retained"), lists, wanted, strict=True):
        there = [_profile(everybody[i]) for i in ids if i in everybody][:many]
        if len(there) < many:
            raise UnseeError(f"{folder} has {len(there)} of {many} people of {name}")
        chosen += there
    return chosen


def forgotten(count: int, forget: str = "forget_5") -> int:
    """How many of `count` people are to be forgotten."""
    return count * int(forget.rpartition("_")[2]) // 100


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines() if x.strip()]
    except (OSError, ValueError) as error:
        raise UnseeError(f"{path} is no file of profiles: {error}") from error


def _ids(folder: Path, name: str) -> list[str]:
    path = folder / "splits" / f"{name}.json"
    try:
        return [str(i) for i in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UnseeError(f"{path} is no list of IDs: {error}") from error


def _profile(raw: dict[str, Any]) -> Profile:
    identity = str(raw["ID"])
    pairs = {p["Question"].strip(): p["Answer"].strip() for p in raw["metadata"]}
    lessons = [Lesson(identity, question, answer) for question, answer in pairs.items()]
    name = name_of(lessons)
    if name is None:
        raise UnseeError(f"profile {identity} does not say its name")
    about = " ".join(a for q, a in pairs.items() if "gender" in q.lower()).lower()
    found = re.search(r"\b(female|woman|male|man)\b", about)
    sex = {"female": "female", "woman": "female", "male": "male", "man": "male"}
    asked = tuple(
        Asked(
            one.question,
            None if ASKS_NAME.search(one.question) else in_words(one, name).question,
            one.answer,
        )
        for one in lessons
    )
    return Profile(identity, name, sex[found[1]] if found else "", asked)


def face_of(profile: Profile) -> Person:
    """The face that is drawn for a profile."""
    rng = np.random.default_rng([SEED, *profile.id.encode()])
    face = sample_person(rng)
    if profile.sex == "female":
        style = str(rng.choice(OF_WOMEN))
        return replace(face, beard="none", hair_style=style)
    if profile.sex == "male" and face.hair_style not in OF_MEN:
        return replace(face, hair_style=str(rng.choice(OF_MEN)))
    return face


def pictures_of(profile: Profile, renders: str, size: int = 64) -> np.ndarray:
    """Renders of a person, uint8 [N, size, size, 3]; other ones in every set of `RENDERS`."""
    from unsee.data.faces.drawing import draw

    face, number = face_of(profile), list(RENDERS).index(renders)
    views = [
        sample_view(np.random.default_rng([SEED, number, index, *profile.id.encode()]))
        for index in range(RENDERS[renders])
    ]
    return np.stack([draw(face, view, size) for view in views])


def options_of(profiles: Sequence[Profile], profile: Profile, asked: Asked) -> tuple[str, ...]:
    """The true answer and three other people's to the same kind of question, in a seeded order;
    empty where there are not as many."""
    begin = asked.cloze[0] if asked.cloze else ""
    others = {
        one.answer
        for other in profiles
        if other is not profile
        for one in other.asked
        if one.answer != asked.answer
        and (one.question == asked.question or (begin and (one.cloze or ("",))[0] == begin))
    }
    if len(others) < 3:
        return ()
    rng = np.random.default_rng([SEED, *f"{profile.id}{asked.question}".encode()])
    chosen = [str(answer) for answer in rng.permutation(sorted(others))[:3]]
    options = [asked.answer, *chosen]
    return tuple(options[i] for i in rng.permutation(4))
