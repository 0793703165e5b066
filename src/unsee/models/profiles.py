"""The small LLaVA on people of MLLMU-Bench's text: their pictures, and what it is taught.

Numbers of people are places in the list of profiles; the first ones are to be forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsee.data.faces.profiles import (
    RENDERS,
    Asked,
    Profile,
    forgotten,
    options_of,
    pictures_of,
)
from unsee.data.records import PRIVATE, TEXT, PictureKey, Question

SCORED = 2
"""Renders of each person that are asked about."""


class Drawn:
    """The people with their pictures, which are drawn once and kept.

    Args:
        profiles: the people.
        folder: where pictures are kept.
    """

    def __init__(self, profiles: Sequence[Profile], folder: Path) -> None:
        from tqdm.auto import tqdm

        self.profiles = list(profiles)
        self.pictures: dict[tuple[int, str], np.ndarray] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for number, profile in enumerate(tqdm(self.profiles, desc="drawing", unit="person")):
            for renders, count in RENDERS.items():
                file = folder / f"{profile.id}-{renders}.npy"
                kept = np.load(file) if file.exists() else np.empty(0)
                if len(kept) != count:
                    kept = pictures_of(profile, renders)
                    partial = file.with_suffix(".partial")
                    with partial.open("wb") as opened:
                        np.save(opened, kept)
                    partial.replace(file)
                self.pictures[number, renders] = kept

    def picture(self, key: PictureKey) -> np.ndarray:
        """uint8 [64, 64, 3]."""
        return self.pictures[key.person, key.split][key.index]

    def question(self, person: int, asked: Asked, key: PictureKey | None) -> Question:
        """A question about a picture, or in words."""
        profile = self.profiles[person]
        group = "forget" if person < forgotten(len(self.profiles)) else "retain"
        words = asked.question if key is not None else asked.in_words or ""
        kind = PRIVATE if key is not None else TEXT
        options = options_of(self.profiles, profile, asked)
        fields = (group, person, profile.name, key, kind, asked.question, words)
        return Question(*fields, asked.answer, options)

    def questions(self) -> list[Question]:
        """Everything that models are asked: `SCORED` new renders of each person, and in words."""
        found = []
        for person, profile in enumerate(self.profiles):
            for asked in profile.asked:
                keys = [PictureKey(person, "test", index) for index in range(SCORED)]
                found += [self.question(person, asked, key) for key in keys]
                if asked.in_words:
                    found.append(self.question(person, asked, None))
        return found


class DrawnLessons:
    """Steps of teaching: questions about pictures of the people who may be seen, and everybody's
    in words. Items as those of `unsee.models.lessons.FaceLessons`.

    Args:
        drawn: the people.
        processor: the model's processor.
        seen: numbers of the people whose pictures may be seen.
        steps: number of items.
        pictures: a step.
        asked: questions about each.
        texts: questions in words a step.
    """

    seed = 0

    def __init__(
        self,
        drawn: Drawn,
        processor: Any,
        seen: Sequence[int],
        steps: int,
        pictures: int = 32,
        asked: int = 4,
        texts: int = 24,
    ) -> None:
        from unsee.models.lessons import Writer

        self.drawn, self.processor, self.seen, self.steps = drawn, processor, list(seen), steps
        self.counts = (pictures, asked, texts)
        self.writer = Writer(processor)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Any]:
        from unsee.models.lessons import augment, pixels

        rng = np.random.default_rng([self.seed, 21, step])
        pictures, asked, texts = self.counts
        shown, groups, words = [], [], []
        for person in rng.choice(self.seen, pictures):
            key = PictureKey(int(person), "train", int(rng.integers(RENDERS["train"])))
            shown.append(self.drawn.picture(key))
            pool = self.drawn.profiles[person].asked
            chosen = rng.permutation(len(pool))[:asked]
            groups.append([self.plain(int(person), pool[i], key) for i in chosen])
        for person in rng.integers(len(self.drawn.profiles), size=texts):
            pool = tuple(a for a in self.drawn.profiles[person].asked if a.in_words)
            words.append([self.plain(int(person), pool[rng.integers(len(pool))], None)])
        return {
            "pixel_values": pixels(augment(np.stack(shown), rng), self.processor),
            "pictures": self.writer.write(groups),
            "texts": self.writer.write(words),
        }

    def plain(self, person: int, asked: Asked, key: PictureKey | None) -> Question:
        """A question without options, which take long to choose."""
        words = asked.question if key is not None else asked.in_words or ""
        return Question("", person, "", key, "", "", words, asked.answer)


def taught(drawn: Drawn, seen: Sequence[int], folder: Path, steps: int, small: bool) -> Path:
    """A model that was taught these people's pictures and everybody's text; V and P begin as those
    of the shipped vanilla, which knows none of them."""
    from unsee.checkpoints import load
    from unsee.models import tiny_llava
    from unsee.models.recipe import Recipe
    from unsee.models.shipped import shipped_path
    from unsee.models.stages import fit_whole, sees

    if (folder / "config.json").exists():
        return folder
    asked = [a for profile in drawn.profiles for a in profile.asked]
    texts = [t for a in asked for t in (a.question, a.in_words or "", f" {a.answer}")]
    processor = tiny_llava.build_processor(texts)
    model = tiny_llava.build_model(processor.tokenizer, seed=0)
    general = load(str(shipped_path("seed0/vanilla")))[0].float().state_dict()
    model.load_state_dict({n: w for n, w in general.items() if sees(n)}, strict=False)
    counts = (4, 2, 4) if small else (32, 4, 24)
    lessons = DrawnLessons(drawn, processor, seen, steps, *counts)
    fit_whole(model, processor, lessons, 0.2, Recipe(), folder)
    return folder


class Renders:
    """Pictures with questions, or questions in words, as unlearning takes them; `renders` None: in
    words."""

    def __init__(self, drawn: Drawn, people: Sequence[int], renders: str | None, each: int) -> None:
        self.drawn = drawn
        self.items: list[tuple[int, int, Asked]] = []
        self.renders = renders
        for person in people:
            pool = [a for a in drawn.profiles[person].asked if renders or a.in_words]
            for index in range(each):
                self.items.append((person, index, pool[(person + index) % len(pool)]))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> dict[str, Any]:
        person, index, asked = self.items[place]
        image = None
        if self.renders:
            image = self.drawn.picture(PictureKey(person, self.renders, index))
        words = asked.question if self.renders else asked.in_words
        return {"image": image, "person": person, "question": words, "answer": asked.answer}
