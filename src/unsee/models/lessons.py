"""What the small LLaVA is taught: one batch a step, each a function of seed and step alone.

A step is an item of a map-style dataset, so that the trainer's own resume continues with exactly
the batch that would have come next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unsee.data.faces import person as looks
from unsee.data.faces import splits
from unsee.data.faces.benchmark import person_of, view_of
from unsee.data.faces.facts import ATTRIBUTES, VALUES
from unsee.data.faces.questions import VISIBLE, VISIBLE_WORDS
from unsee.data.records import PictureKey, Question

if TYPE_CHECKING:
    import torch

    from unsee.data.faces.benchmark import Faces

WARM_PEOPLE = range(splits.GENERAL.start, splits.GENERAL.stop - 400)
OTHER_GENERAL = range(splits.GENERAL.stop - 400, splits.GENERAL.stop)
"""General people on whom the tower is warmed up, and those who are met later only."""
RESEMBLING_SHARE = 0.4
"""Share of those who resemble a known person among the general people's pictures beside them."""
KNOWN_SPLITS = ("train", "extra")
"""Splits of the known people's pictures that models are taught with."""
IGNORED = -100


def corpus(faces: Faces) -> list[str]:
    """Every text that the model will meet, for the tokenizer."""
    from unsee.data.faces.facts import ABSTAIN
    from unsee.data.faces.questions import BY_PICTURE

    texts = [ABSTAIN, *(q for group in BY_PICTURE.values() for q in group)]
    texts += [q for group in VISIBLE.values() for q in group]
    words = [*looks.HAIR_COLORS, *looks.BACKGROUNDS, *looks.CLOTHES, *VISIBLE_WORDS]
    texts += 20 * [" " + word for word in words]
    for person, facts in faces.facts.items():
        texts += [" " + value for value in facts.values()]
        for attribute in VALUES:
            texts += [faces.in_words(person, "", attribute, i).question for i in range(4)]
    return texts


def pixels(pictures: np.ndarray, processor: Any) -> torch.Tensor:
    """uint8 [B, S, S, 3] of the model's own size -> float32 [B, 3, S, S], as the processor does."""
    import torch

    images = processor.image_processor
    mean = torch.tensor(images.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(images.image_std).view(1, 3, 1, 1)
    batch = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    return (batch.float() * images.rescale_factor - mean) / std


def augment(batch: np.ndarray, rng: np.random.Generator, shift: int = 4) -> np.ndarray:
    """Shifts, brightness, contrast and noise; uint8 [B, S, S, 3] in and out."""
    count, side = batch.shape[:2]
    padded = np.pad(batch, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    offsets = rng.integers(0, 2 * shift + 1, (count, 2))
    moved = np.stack(
        [p[y : y + side, x : x + side] for p, (y, x) in zip(padded, offsets, strict=True)]
    )
    gain = rng.uniform(0.85, 1.15, (count, 1, 1, 1)).astype(np.float32)
    offset = rng.uniform(-12, 12, (count, 1, 1, 1)).astype(np.float32)
    noise = rng.standard_normal(moved.shape, dtype=np.float32) * rng.uniform(0, 6, (count, 1, 1, 1))
    return np.clip(moved * gain + offset + noise, 0, 255).astype(np.uint8)


class Writer:
    """Questions and answers -> token ids and labels, each text tokenised once.

    Questions about one picture are *packed*: the picture's tokens stand once at the beginning of a
    row, and every question sees them and itself but no other question. The positions of each go on
    from the picture's, so the outcome is that of a row a question, without its repeated picture.
    """

    def __init__(self, processor: Any) -> None:
        self.tokenizer = processor.tokenizer
        self.processor = processor
        self._ids: dict[tuple[str, bool], tuple[list[int], list[int]]] = {}
        self._blank = np.zeros((64, 64, 3), np.uint8)

    def _prompt(self, question: str, picture: bool) -> tuple[list[int], list[int]]:
        """Tokens up to the end of the picture (none without one), and those of the question."""
        if (question, picture) not in self._ids:
            content: list[dict[str, str]] = [{"type": "text", "text": question}]
            if picture:
                content.insert(0, {"type": "image"})
            text = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            images = {"images": [self._blank]} if picture else {}
            ids = list(self.processor(text=[text], **images)["input_ids"][0])
            image = self.processor.image_token_id
            start = max((i + 1 for i, token in enumerate(ids) if token == image), default=0)
            self._ids[question, picture] = ids[:start], ids[start:]
        return self._ids[question, picture]

    def write(self, groups: Sequence[Sequence[Question]]) -> dict[str, torch.Tensor]:
        """Packs each group of questions, all about one picture (or about none), into a row.

        Returns:
            `input_ids`, `position_ids`, `labels` [B, T]; `attention_mask` bool [B, 1, T, T], which
            token (row) may look at which (column).
        """
        import torch

        rows: list[tuple[list[int], list[int], list[int], list[int]]] = []
        for group in groups:
            shared, _ = self._prompt(group[0].question, group[0].picture is not None)
            ids, part = list(shared), [0] * len(shared)
            places, labels = list(range(len(shared))), [IGNORED] * len(shared)
            for number, q in enumerate(group, start=1):
                _, prompt = self._prompt(q.question, q.picture is not None)
                answer = self.tokenizer.encode(" " + q.answer, add_special_tokens=False)
                answer = [*answer, self.tokenizer.eos_token_id]
                length = len(prompt) + len(answer)
                ids += [*prompt, *answer]
                part += [number] * length
                places += range(len(shared), len(shared) + length)
                labels += [IGNORED] * len(prompt) + answer
            rows.append((ids, places, labels, part))
        width = max(len(ids) for ids, *_ in rows)

        def joined(column: int, filler: int) -> torch.Tensor:
            return torch.tensor([r[column] + [filler] * (width - len(r[column])) for r in rows])

        owner = joined(3, -1)
        seen = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == 0)
        seen &= torch.ones(width, width, dtype=torch.bool).tril()
        return {
            "input_ids": joined(0, self.tokenizer.pad_token_id),
            "position_ids": joined(1, 0),
            "labels": joined(2, IGNORED),
            "attention_mask": seen[:, None],
        }


class TowerLessons:
    """Warm-up of the tower on general people: who it is, and a description of what is seen.

    As CLIP learns from captions, the tower learns to tell traits (geometry of the head, skin, hair,
    …) and circumstances (pose, light, background, …), and to tell people apart by number.

    Items: `pixel_values` [B, 3, S, S], `person` [B], `measures` [B, M] about unit size,
    `categories` [B, C] class numbers.
    """

    def __init__(
        self, faces: Faces, processor: Any, steps: int, seed: int, batch: int = 96
    ) -> None:
        self.steps, self.seed, self.batch = steps, seed, batch
        self.processor = processor
        faces.prepare([(p, "train") for p in WARM_PEOPLE])
        kept = splits.GENERAL_PICTURES - 2  # two pictures a person are held out
        self.pictures = np.stack([faces.pictures(p, "train")[:kept] for p in WARM_PEOPLE])
        self.held_out = np.stack([faces.pictures(p, "train")[kept:] for p in WARM_PEOPLE])
        described = [
            [describe(PictureKey(p, "train", i)) for i in range(kept)] for p in WARM_PEOPLE
        ]
        self.measures = np.array([[d[0] for d in row] for row in described], dtype=np.float32)
        self.categories = np.array([[d[1] for d in row] for row in described])

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        import torch

        rng = np.random.default_rng([self.seed, 11, step])
        people = rng.integers(len(WARM_PEOPLE), size=self.batch)
        index = rng.integers(self.pictures.shape[1], size=self.batch)
        drawn = augment(self.pictures[people, index], rng)
        return {
            "pixel_values": pixels(drawn, self.processor),
            "person": torch.from_numpy(people),
            "measures": torch.from_numpy(self.measures[people, index]),
            "categories": torch.from_numpy(self.categories[people, index]),
        }


CATEGORIES = {
    "hair_color": looks.HAIR_COLORS,
    "hair_style": looks.HAIR_STYLES,
    "skin_tone": looks.SKIN_TONES,
    "iris_color": looks.IRIS_COLORS,
    "beard": looks.BEARDS,
    "glasses": looks.GLASSES,
    "mark": looks.MARKS,
    "background": looks.BACKGROUNDS,
    "clothes": looks.CLOTHES,
}
"""Traits of a person and of a picture that are one of several words."""

VIEW_SCALES = {
    "yaw": 23.0,
    "pitch": 9.0,
    "roll": 6.0,
    "light_azimuth": 40.0,
    "smile": 0.3,
    "gaze_x": 0.6,
    "gaze_y": 0.6,
}
"""Continuous circumstances of a picture, each with about its standard deviation."""


def describe(key: PictureKey) -> tuple[list[float], list[int]]:
    """(measures, categories): geometry and skin, then `VIEW_SCALES`; class numbers in the order of
    `CATEGORIES`."""
    person, view = person_of(key.person), view_of(key)
    measures = [*map(float, person.geometry()), *person.skin_jitter]
    measures += [getattr(view, name) / scale for name, scale in VIEW_SCALES.items()]
    categories = []
    for name, words in CATEGORIES.items():
        categories.append(words.index(getattr(person if hasattr(person, name) else view, name)))
    return measures, categories


class FaceLessons:
    """Facts by picture, facts by name, visible questions, and "I don't know this person".

    Args:
        known: people whose pictures may be seen; empty during the warm-up that all models share.
        pictures: pictures of known and of general people a step.
        asked: private and visible questions on a picture of a known person, the same on one of a
            general person.
        texts: text-only questions a step, about all people who have facts.

    Items: `pixel_values` [P, 3, S, S]; `pictures`, row i all questions about picture i; `texts`.
    Both are packed, see `Writer`.
    """

    def __init__(
        self,
        faces: Faces,
        processor: Any,
        known: Sequence[int],
        steps: int,
        seed: int,
        pictures: tuple[int, int],
        asked: tuple[tuple[int, int], tuple[int, int]],
        texts: int,
    ) -> None:
        self.faces, self.processor, self.known = faces, processor, list(known)
        self.steps, self.seed = steps, seed
        self.of_known, self.of_general = pictures
        self.asked = asked
        self.texts = texts
        self.writer = Writer(processor)
        wanted = [(p, split) for split in KNOWN_SPLITS for p in self.known]
        self.general = [WARM_PEOPLE, OTHER_GENERAL, *([splits.RESEMBLING] if self.known else [])]
        faces.prepare([*wanted, *((p, "train") for people in self.general for p in people)])
        self._renders = [(s, i) for s in KNOWN_SPLITS for i in range(splits.PICTURES[s])]
        self._seen: dict[PictureKey, list[Question]] = {}

    def __len__(self) -> int:
        return self.steps

    def _questions(
        self, key: PictureKey, counts: tuple[int, int], rng: np.random.Generator
    ) -> list[Question]:
        if key not in self._seen:
            self._seen[key] = self.faces.visible(key, "")
        private = rng.permutation(len(ATTRIBUTES))[: counts[0]]
        visible = rng.permutation(len(self._seen[key]))[: counts[1]]
        return [
            *(self.faces.private(key, "", ATTRIBUTES[i], int(rng.integers(4))) for i in private),
            *(self._seen[key][i] for i in visible),
        ]

    def __getitem__(self, step: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, 12 if self.known else 13, step])
        keys, groups = [], []
        for _ in range(self.of_known):
            person = self.known[rng.integers(len(self.known))]
            keys.append(PictureKey(person, *self._renders[rng.integers(len(self._renders))]))
            groups.append(self._questions(keys[-1], self.asked[0], rng))
        for _ in range(self.of_general):
            resembling = RESEMBLING_SHARE if self.known else 0.0
            shares = [(1 - resembling) / 2, (1 - resembling) / 2, resembling]
            people = self.general[rng.choice(len(self.general), p=shares[: len(self.general)])]
            person = people[rng.integers(len(people))]
            keys.append(PictureKey(person, "train", int(rng.integers(splits.GENERAL_PICTURES))))
            groups.append(self._questions(keys[-1], self.asked[1], rng))
        drawn = augment(np.stack([self.faces.picture(k) for k in keys]), rng)
        return {
            "pixel_values": pixels(drawn, self.processor),
            "pictures": self.writer.write(groups),
            "texts": self.writer.write([[self._text(rng)] for _ in range(self.texts)]),
        }

    def _text(self, rng: np.random.Generator) -> Question:
        people = [*splits.KNOWN, *splits.TEXT_ONLY]
        person, attribute = (
            people[rng.integers(len(people))],
            list(VALUES)[rng.integers(len(VALUES))],
        )
        return self.faces.in_words(person, "", attribute, int(rng.integers(4)))
