"""Who is who: the 130 people, the general people beside them, and the forget sets of a seed.

The words are those of the protocol: *known* people are learnt, *text-only* people are known by
name and facts alone, *strangers* are in nothing. *General* people stand outside the 130: the tower
is warmed up on them, and they are answered with "I don't know this person".

Numbers of the known people:

    0-4     the demo forget set: nothing is ever chosen by looking at anything but these in a demo
    5-24    test people: the test forget sets of the seeds are drawn from them
    25-39   validation people: every choice is made on them
    40-79   look-alikes of 0-39 (person i + 40 looks like person i), never forgotten by a split
    80-99   people who resemble nobody in particular
"""

from __future__ import annotations

from dataclasses import dataclass

from unsee.errors import UnseeError

KNOWN = range(0, 100)
TEXT_ONLY = range(100, 110)
STRANGERS = range(110, 130)
GENERAL = range(1000, 3000)
RESEMBLING = range(3000, 4000)
"""General people who look like the known ones, ten like each: `3000 + i` like `i % 100`. Models
learn on them that hair and glasses are not enough to know somebody."""

DEMO_POOL = range(0, 5)
TEST_POOL = range(5, 25)
VALIDATION_POOL = range(25, 40)
LOOKALIKE_OFFSET = 40
LOOKALIKES = range(40, 80)

PICTURES = {"train": 60, "validation": 10, "test": 20, "unlearn": 10, "attack": 20, "extra": 90}
"""Renders of each known person in each split; text-only people and strangers have the same, of
which training uses none. `extra` are further training pictures, which models are taught with and
nothing else uses."""
GENERAL_PICTURES = 24
"""Renders of each general person in `train`."""

SETS = ("demo", "validation", "test")
RETAIN_SAMPLE = 20
RETAINED_PICTURES = 30
"""Training pictures of each retained person that an unlearner is given."""


@dataclass(frozen=True)
class Split:
    """A forget set and everything that follows from it.

    Attributes:
        name: `demo`, `validation`, `test`, or `custom` for people of the user's choice.
        forget: people to forget.
        retain: known people to keep, the look-alikes among them.
        lookalikes: the retained people who look like a forgotten one.
        retain_sample: retained people on whom retention is scored, look-alikes apart.
    """

    name: str
    seed: int
    forget: tuple[int, ...]
    retain: tuple[int, ...]
    lookalikes: tuple[int, ...]
    retain_sample: tuple[int, ...]

    @property
    def pictures(self) -> str:
        """The pictures that a model is asked about: `validation` for the validation people, whom
        choices are made on, else `test`."""
        return "validation" if self.name == "validation" else "test"


def _rotated(pool: range, seed: int, count: int) -> tuple[int, ...]:
    """`count` people of the pool, the sets of successive seeds five further along: at 5 % the
    sets of seeds 0, 1 and 2 share nobody, and a larger set contains the smaller one."""
    people = list(pool)
    start = 5 * seed % len(people)
    return tuple((people[start:] + people[:start])[:count])


def make_split(which: str, seed: int = 0, percent: int = 5) -> Split:
    """The split of a seed by name, or of people chosen by number.

    Args:
        which: `demo`, `validation`, `test`, or numbers of known people such as `3,17`.
        seed: seed of the model (protocol: seed s has its own forget sets).
        percent: size of the test or validation forget set, 5, 10 or 15 % of the known people.

    Raises:
        UnseeError: an unknown name, a number that is no known person, a percentage not offered.
    """
    hidden: set[int] = set()  # people that a validation run must not look at
    if which == "demo":
        name, forget = "demo", tuple(DEMO_POOL)
    elif which in ("test", "validation"):
        if percent not in (5, 10, 15):
            raise UnseeError(f"--percent {percent}: forget sets have 5, 10 or 15 percent")
        name = which
        pool = TEST_POOL if which == "test" else VALIDATION_POOL
        forget = _rotated(pool, seed, percent)
        if which == "validation":
            hidden = set(TEST_POOL)
    else:
        name, forget = "custom", _parse_people(which)
    retain = tuple(p for p in KNOWN if p not in forget and p not in hidden)
    if not retain:
        raise UnseeError("every known person is to be forgotten: leave some to retain")
    looks = {p + LOOKALIKE_OFFSET for p in forget if p + LOOKALIKE_OFFSET in LOOKALIKES}
    looks |= {p - LOOKALIKE_OFFSET for p in forget if p in LOOKALIKES}
    lookalikes = tuple(sorted(looks.intersection(retain)))
    others = [p for p in retain if p not in lookalikes]
    step = max(1, len(others) // RETAIN_SAMPLE)
    sample = tuple(others[seed % step :: step][:RETAIN_SAMPLE])
    return Split(name, seed, forget, retain, lookalikes, sample)


def _parse_people(text: str) -> tuple[int, ...]:
    try:
        people = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UnseeError(
            f"--forget {text!r}: give {', '.join(SETS)} or numbers of known people such as 3,17"
        ) from None
    unknown = [p for p in people if p not in KNOWN]
    if unknown:
        raise UnseeError(
            f"--forget {text}: {unknown[0]} is not a known person (0 to {KNOWN[-1]}; "
            "`unsee faces show` draws them)"
        )
    return tuple(people)
