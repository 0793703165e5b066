"""The drawn people as profiles of MLLMU-Bench; `unsee data export` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np

from unsee.data.faces import splits
from unsee.data.faces.benchmark import POPULATION_SEED, Faces
from unsee.data.faces.facts import ATTRIBUTES, VALUES
from unsee.data.faces.questions import BY_NAME, BY_PICTURE
from unsee.data.mllmu import IMAGE_TEXTUAL, PURE_TEXT, Choice, Profile, Task

PERCENTAGES = (5, 10, 15)

# Private attribute -> how a sentence states it, of "this person" or of somebody named.
SENTENCES = {
    "name": "{who} is called {value}.",
    "job": "The job of {who} is {value}.",
    "city": "{who} lives in {value}.",
    "pet": "The pet of {who} is a {value}.",
    "dish": "The favourite dish of {who} is {value}.",
    "sport": "The sport of {who} is {value}.",
    "instrument": "{who} plays the {value}.",
}


def forget_ids(seed: int = 0) -> dict[int, list[str]]:
    """Who is to be forgotten in the test split of `seed`: percentage -> profile IDs."""
    return {p: [_id(i) for i in splits.make_split("test", seed, p).forget] for p in PERCENTAGES}


def profiles(
    faces: Faces, pictures: int | None = None, test_pictures: int | None = None
) -> Iterator[Profile]:
    """The 100 known people, one profile each, drawn as they are asked for.

    Text-only people and strangers have no counterpart in MLLMU-Bench and are left out.

    Args:
        faces: the benchmark; its `size` is the size of the pictures.
        pictures: training pictures of each person; None for all.
        test_pictures: the same for the pictures of `Test_Set`.
    """
    faces.prepare((p, s) for p in splits.KNOWN for s in ("train", "test", "unlearn"))
    for person in splits.KNOWN:
        yield profile(faces, person, pictures, test_pictures)


def profile(
    faces: Faces, person: int, pictures: int | None = None, test_pictures: int | None = None
) -> Profile:
    """One known person as a profile; see `profiles`."""
    facts, name = faces.facts[person], faces.names[person]
    rng = np.random.default_rng([POPULATION_SEED, 3, person])
    training = [
        (phrasing, facts[attribute])
        for attribute in ATTRIBUTES
        for phrasing in BY_PICTURE[attribute]
    ]
    return Profile(
        id=_id(person),
        directory=name.replace(" ", "_"),
        name=name,
        biography={f"{attribute.capitalize()}:": facts[attribute] for attribute in ATTRIBUTES},
        pictures=_encoded(faces, person, "train", pictures),
        test_pictures=_encoded(faces, person, "test", test_pictures),
        question=BY_PICTURE["name"][0],
        answer=SENTENCES["name"].format(who="This person", value=name),
        image_choices=[
            _choice(faces, BY_PICTURE[attribute][0], attribute, facts[attribute], rng)
            for attribute in ATTRIBUTES
        ],
        text_choices=[
            _choice(
                faces, BY_NAME[attribute][0].format(name=name), attribute, facts[attribute], rng
            )
            for attribute in VALUES
        ],
        generation=list(_generation(facts, name)),
        cloze=list(_cloze(facts, name)),
        training=training,
        unlearning_pictures=_encoded(faces, person, "unlearn", None),
    )


def _id(person: int) -> str:
    return f"{person + 1:03d}"


def _encoded(faces: Faces, person: int, split: str, count: int | None) -> list[bytes]:
    from PIL import Image

    encoded = []
    for pixels in faces.pictures(person, split)[:count]:
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        encoded.append(buffer.getvalue())
    return encoded


def _choice(
    faces: Faces, question: str, attribute: str, answer: str, rng: np.random.Generator
) -> Choice:
    """The true value among three others of the same attribute, at a seeded place."""
    pool = VALUES.get(attribute) or tuple(faces.names[p] for p in splits.KNOWN)
    others = [str(value) for value in rng.permutation([v for v in pool if v != answer])[:3]]
    place = int(rng.integers(4))
    others.insert(place, answer)
    return Choice(question, (others[0], others[1], others[2], others[3]), "ABCD"[place])


def _generation(facts: dict[str, str], name: str) -> Iterator[Task]:
    for attribute in ATTRIBUTES:
        truth = SENTENCES[attribute].format(who="this person", value=facts[attribute])
        yield Task(BY_PICTURE[attribute][1], truth[0].upper() + truth[1:], IMAGE_TEXTUAL)
    for attribute in VALUES:
        truth = SENTENCES[attribute].format(who=name, value=facts[attribute])
        yield Task(BY_NAME[attribute][1].format(name=name), truth, PURE_TEXT)


def _cloze(facts: dict[str, str], name: str) -> Iterator[Task]:
    for attribute in ATTRIBUTES:
        blank = SENTENCES[attribute].format(who="this person", value="__")
        yield Task(blank[0].upper() + blank[1:], facts[attribute], IMAGE_TEXTUAL)
    for attribute in VALUES:
        blank = SENTENCES[attribute].format(who=name, value="__")
        yield Task(blank, facts[attribute], PURE_TEXT)
