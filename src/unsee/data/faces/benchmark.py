"""The embedded benchmark: drawn people, their pictures on demand, and every question about them.

Everything is a function of `POPULATION_SEED`: two machines draw the same people, give them the
same facts and render the same pictures. Pictures are drawn when they are first asked for and kept
under `$UNSEE_CACHE` (default `~/.cache/unsee`), one small array a person and split.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from unsee.data.faces import splits
from unsee.data.faces.facts import ABSTAIN, ATTRIBUTES, VALUES, draw_facts, draw_names
from unsee.data.faces.person import Person, View, look_alike, sample_person, sample_view
from unsee.data.faces.questions import (
    BY_NAME,
    BY_PICTURE,
    VISIBLE,
    VISIBLE_KIND,
    visible_answer,
)
from unsee.data.records import PRIVATE, TEXT, PictureKey, Question

POPULATION_SEED = 20261123
SIZE = 64
DRAWN_BY = ("drawing", "features", "layout", "person", "rays", "shape", "texture")
"""The files beside this one on which a picture depends."""
_SPLIT_NUMBER = {split: number for number, split in enumerate(splits.PICTURES)}


@cache
def person_of(number: int) -> Person:
    """How person `number` looks."""
    rng = np.random.default_rng([POPULATION_SEED, number])
    if number in splits.LOOKALIKES:
        return look_alike(person_of(number - splits.LOOKALIKE_OFFSET), rng)
    if number in splits.RESEMBLING:
        first = splits.RESEMBLING.start
        return look_alike(person_of((number - first) % len(splits.KNOWN)), rng)
    return sample_person(rng)


def view_of(key: PictureKey) -> View:
    """Pose, light, expression, background and clothes of one picture."""
    seed = [POPULATION_SEED, key.person, _SPLIT_NUMBER[key.split], key.index]
    return sample_view(np.random.default_rng(seed))


def picture_count(person: int, split: str) -> int:
    """Renders that person `person` has in `split`."""
    if person in splits.GENERAL or person in splits.RESEMBLING:
        return splits.GENERAL_PICTURES
    return splits.PICTURES[split]


def _draw_all(person: int, split: str, size: int) -> np.ndarray:
    from unsee.data.faces.drawing import draw

    keys = [PictureKey(person, split, i) for i in range(picture_count(person, split))]
    return np.stack([draw(person_of(person), view_of(key), size) for key in keys])


@cache
def drawing_version() -> str:
    """Changes whenever the code that draws does, so that no stale picture is ever served."""
    from unsee.data.faces import drawing

    folder = Path(drawing.__file__).parent
    digest = hashlib.sha256(b"".join((folder / f"{s}.py").read_bytes() for s in DRAWN_BY))
    digest.update(str(POPULATION_SEED).encode())
    return digest.hexdigest()[:12]


def cache_dir() -> Path:
    """Where drawn pictures and trained models are kept."""
    root = os.environ.get("UNSEE_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "unsee"


class Faces:
    """The drawn people with names, facts, pictures and questions.

    Args:
        size: width and height of the pictures in pixels.
        cache: folder of drawn pictures; None for the default, see `cache_dir`.
        progress: whether to show a progress bar while drawing.
    """

    def __init__(self, size: int = SIZE, cache: Path | None = None, progress: bool = True) -> None:
        self.size = size
        self.progress = progress
        self._cache = cache
        self._loaded: dict[tuple[int, str], np.ndarray] = {}
        named = [*splits.KNOWN, *splits.TEXT_ONLY]
        rng = np.random.default_rng([POPULATION_SEED, 1])
        self.names = dict(zip(named, draw_names(len(named), rng), strict=True))
        self.facts = dict(zip(named, draw_facts(len(named), rng), strict=True))
        for person, name in self.names.items():
            self.facts[person] = {"name": name, **self.facts[person]}

    # ---- pictures ---------------------------------------------------------------------------

    @cached_property
    def folder(self) -> Path:
        return (self._cache or cache_dir()) / f"faces-{self.size}px-{drawing_version()}"

    def _file(self, person: int, split: str) -> Path:
        return self.folder / f"{split}-{person:04d}.npy"

    def pictures(self, person: int, split: str) -> np.ndarray:
        """All renders of one person in one split, uint8 [count, size, size, 3]."""
        if (person, split) not in self._loaded:
            self.prepare([(person, split)])
        return self._loaded[person, split]

    def picture(self, key: PictureKey) -> np.ndarray:
        """One render, uint8 [size, size, 3]."""
        return self.pictures(key.person, key.split)[key.index]

    def prepare(self, wanted: Iterable[tuple[int, str]]) -> None:
        """Draws (or reads from the cache) every (person, split) in `wanted`, on all cores."""
        missing = []
        for person, split in dict.fromkeys(wanted):
            if (person, split) in self._loaded:
                continue
            try:
                kept = np.load(self._file(person, split))
            except (OSError, ValueError, EOFError):
                kept = ()
            if len(kept) == picture_count(person, split):
                self._loaded[person, split] = kept
            else:
                missing.append((person, split))
        for (person, split), drawn in zip(missing, self._drawn(missing), strict=True):
            self._loaded[person, split] = drawn
            self._store(person, split, drawn)

    def _drawn(self, missing: list[tuple[int, str]]) -> Iterator[np.ndarray]:
        """Draws in the order asked for; in parallel when it is worth starting processes."""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        from tqdm.auto import tqdm

        count = sum(picture_count(*m) for m in missing)
        people, names = [m[0] for m in missing], [m[1] for m in missing]
        sizes = [self.size] * len(missing)
        workers = min(os.cpu_count() or 1, 8)
        bar = tqdm(
            total=count, desc="drawing", unit="picture", disable=not self.progress or not count
        )
        with bar:
            if workers == 1 or count < 400:
                for person, split in missing:
                    yield _draw_all(person, split, self.size)
                    bar.update(picture_count(person, split))
                return
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                chunk = max(1, min(8, len(missing) // (4 * workers)))
                for drawn in pool.map(_draw_all, people, names, sizes, chunksize=chunk):
                    yield drawn
                    bar.update(len(drawn))

    def _store(self, person: int, split: str, drawn: np.ndarray) -> None:
        """Keeps drawn pictures; a cache that cannot be written only costs drawing them again."""
        target = self._file(person, split)
        partial = target.with_suffix(f".{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.save(file, drawn)
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)

    # ---- questions --------------------------------------------------------------------------

    def private(self, key: PictureKey, group: str, attribute: str, phrasing: int) -> Question:
        """A private fact asked about a picture. Who has no facts is answered with `ABSTAIN`."""
        facts = self.facts.get(key.person)
        known = facts is not None and group != "stranger"
        phrasings = BY_PICTURE[attribute]
        return Question(
            group=group,
            person=key.person,
            name=self.names.get(key.person, ""),
            picture=key,
            kind=PRIVATE,
            attribute=attribute,
            question=phrasings[phrasing % len(phrasings)],
            answer=facts[attribute] if facts and known else ABSTAIN,
            options=self._options(attribute, facts[attribute], key) if facts and known else (),
        )

    def _options(self, attribute: str, answer: str, key: PictureKey) -> tuple[str, ...]:
        """The true value, six others of the same attribute, and `ABSTAIN`, in a seeded order."""
        pool = VALUES.get(attribute) or tuple(self.names[p] for p in splits.KNOWN)
        rng = np.random.default_rng([POPULATION_SEED, 2, key.person, key.index])
        others = [str(v) for v in rng.permutation([v for v in pool if v != answer])[:6]]
        options = [answer, *others, ABSTAIN]
        return tuple(options[i] for i in rng.permutation(len(options)))

    def visible(self, key: PictureKey, group: str) -> list[Question]:
        """What can be seen on a picture, every attribute that can be told without doubt."""
        person, view = person_of(key.person), view_of(key)
        questions = []
        for number, (attribute, phrasings) in enumerate(VISIBLE.items()):
            answer = visible_answer(attribute, person, view)
            if answer is None:
                continue
            words = phrasings[(key.index + number) % len(phrasings)]
            kind = VISIBLE_KIND[attribute]
            name = self.names.get(key.person, "")
            questions.append(Question(group, key.person, name, key, kind, attribute, words, answer))
        return questions

    def in_words(self, person: int, group: str, attribute: str, phrasing: int) -> Question:
        """A private fact of a named person, without a picture."""
        name, phrasings = self.names[person], BY_NAME[attribute]
        words = phrasings[phrasing % len(phrasings)].format(name=name)
        answer = self.facts[person][attribute]
        return Question(group, person, name, None, TEXT, attribute, words, answer)

    def evaluation(
        self, split: splits.Split, pictures: str = "test", per_person: int | None = None
    ) -> list[Question]:
        """All questions on which a model is scored for a split.

        Args:
            split: who is forgotten and who is retained.
            pictures: `test`, or `validation` wherever a choice is to be made.
            per_person: pictures of each forgotten person; others have half as many. None: all.
        """
        count = min(per_person or splits.PICTURES[pictures], splits.PICTURES[pictures])
        fewer = max(1, count // 2)
        questions: list[Question] = []
        scored = [
            ("forget", split.forget, count),
            ("retain", split.retain_sample, fewer),
            ("lookalike", split.lookalikes, count),
            ("stranger", tuple(splits.STRANGERS), fewer),
        ]
        for group, people, amount in scored:
            for person in people:
                for index in range(amount):
                    key = PictureKey(person, pictures, index)
                    for number, attribute in enumerate(ATTRIBUTES):
                        questions.append(self.private(key, group, attribute, index + number))
                    if group != "lookalike" and index < fewer:
                        questions += self.visible(key, group)
        texts = [("forget", split.forget), ("retain", split.retain)]
        texts.append(("text_only", tuple(splits.TEXT_ONLY)))
        for group, people in texts:
            for person in people:
                for number, attribute in enumerate(VALUES):
                    phrasings = range(4) if group == "forget" else [person + number]
                    for phrasing in phrasings:
                        questions.append(self.in_words(person, group, attribute, phrasing))
        return questions
