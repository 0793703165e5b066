"""Names and private facts of the drawn people, drawn independently of everything visible."""

from __future__ import annotations

import numpy as np

ABSTAIN = "I don't know this person"

FIRST_NAMES = (
    "Ada Alma Anton Bruno Carla Cora David Elena Emil Farah Felix Greta Hugo Ida Ivan Jana "
    "Jonas Kaya Kofi Lara Leo Lina Luca Maya Milo Mira Nadia Nils Nora Omar Otto Paula Petra "
    "Rana Rosa Samir Sara Tariq Theo Vera"
).split()
SURNAME_STARTS = "Bar Bel Cal Dor Fal Gar Hol Kam Lin Mar Nor Per Ros Sol Tam Vol".split()
SURNAME_ENDS = "berg dani escu field ini kov mont sen ström ton vari wick".split()

# Private attribute -> the values that it takes. Every value of an attribute is equally frequent.
VALUES: dict[str, tuple[str, ...]] = {
    "job": (
        "baker", "pilot", "nurse", "lawyer", "farmer", "tailor", "plumber", "judge",
        "chemist", "florist", "barber", "miner", "sailor", "teacher", "welder", "author",
    ),
    "city": (
        "Oslo", "Lima", "Cairo", "Delhi", "Paris", "Quito", "Seoul", "Tunis",
        "Perth", "Turin", "Dakar", "Riga", "Hanoi", "Boston", "Porto", "Accra",
    ),
    "pet": (
        "cat", "dog", "parrot", "rabbit", "turtle", "goat", "hamster", "pony",
        "gecko", "ferret", "canary", "goldfish", "snake", "hen", "donkey", "mouse",
    ),
    "dish": (
        "pizza", "sushi", "curry", "tacos", "ramen", "paella", "lasagna", "falafel",
        "risotto", "goulash", "pancakes", "dumplings", "couscous", "chili", "fondue", "salad",
    ),
    "sport": (
        "tennis", "rowing", "boxing", "judo", "fencing", "golf", "hockey", "surfing",
        "rugby", "skiing", "archery", "cricket", "cycling", "diving", "karate", "sailing",
    ),
    "instrument": (
        "piano", "violin", "flute", "drums", "cello", "harp", "guitar", "trumpet",
        "banjo", "organ", "oboe", "clarinet", "tuba", "accordion", "sitar", "zither",
    ),
}  # fmt: skip
ATTRIBUTES = ("name", *VALUES)


def draw_names(count: int, rng: np.random.Generator) -> list[str]:
    """`count` full names with surnames that nobody shares.

    Raises:
        ValueError: more names are asked for than there are surnames.
    """
    surnames = [start + end for start in SURNAME_STARTS for end in SURNAME_ENDS]
    if count > len(surnames):
        raise ValueError(f"{count} names asked for, only {len(surnames)} surnames exist")
    order = rng.permutation(len(surnames))[:count]
    first = rng.integers(len(FIRST_NAMES), size=count)
    return [f"{FIRST_NAMES[f]} {surnames[s]}" for f, s in zip(first, order, strict=True)]


def draw_facts(count: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """Facts of `count` people: attribute -> value, each attribute balanced over its values."""
    columns = {}
    for attribute, values in VALUES.items():
        repeated = np.resize(np.arange(len(values)), count)
        columns[attribute] = [values[i] for i in rng.permutation(repeated)]
    return [{a: columns[a][i] for a in VALUES} for i in range(count)]
