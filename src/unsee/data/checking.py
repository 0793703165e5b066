"""What is wrong with pictures that are to be forgotten or kept: `unsee data check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from unsee.data.looks import near
from unsee.data.pictures import PictureSet, Shot, find_same

TIMES = 10
"""Pictures to retain for one to forget: with fewer, look-alikes suffer (docs/method.md)."""
PEOPLE = 10
"""People to retain below whom a warning is given; that there should be many is measured, this
number is not."""
SMALL = 32
"""Pixels of the shorter side below which a face is hard to tell."""
NOBODY = "(nobody named)"

T = TypeVar("T")


def described(pictures: PictureSet) -> dict[str, Any]:
    """What was found in one set, for JSON.

    Returns:
        `pictures`, `people` (name -> pictures), `formats`, `smallest` and `largest` [width,
        height], `small` (how many are small), `questions`, `unanswered`, `without_questions`,
        `crops`, `broken` ([where, reason]), `ignored`, `twice` (pictures that are there again).
    """
    shots = pictures.shots
    sizes = sorted((shot.size for shot in shots), key=lambda size: size[0] * size[1])
    people = Counter(shot.person or NOBODY for shot in shots)
    return {
        "pictures": len(shots),
        "people": dict(sorted(people.items())),
        "formats": dict(Counter(shot.format for shot in shots).most_common()),
        "smallest": list(sizes[0]) if sizes else None,
        "largest": list(sizes[-1]) if sizes else None,
        "small": sum(min(size) < SMALL for size in sizes),
        "questions": sum(len(shot.asked) for shot in shots),
        "unanswered": sum(len(shot.unanswered) for shot in shots),
        "without_questions": sum(not shot.asked for shot in shots),
        "crops": sum(shot.crop is not None for shot in shots),
        "broken": [[str(where), reason] for where, reason in pictures.broken],
        "ignored": dict(pictures.ignored),
        "twice": [[str(a.path), str(b.path)] for a, b in _twice(shots)],
    }


def compared(forget: PictureSet, retain: PictureSet) -> dict[str, Any]:
    """What is wrong between a set to forget and one to retain, for JSON.

    Returns:
        `same`, `near` and `same_photograph` (pairs of pictures: equal pixels, alike, one file with
        other crop boxes), `same_people`, `times` (pictures to retain for one to forget),
        `wanted_times`, `retained_people`, `enough` (whether they are as many as wanted).
    """
    same = [[str(a), str(b)] for a, b in find_same(forget, retain)]
    known = set(map(tuple, same))
    alike = [
        [str(forget.paths[a]), str(retain.paths[b])]
        for a, b in near([s.look for s in forget.shots], [s.look for s in retain.shots])
    ]
    files: dict[Hashable, list[Shot]] = {}
    for shot in retain.shots:
        if isinstance(shot.source, Path):
            files.setdefault(_file(shot), []).append(shot)
    shared = [(s, other) for s in forget.shots for other in files.get(_file(s), ())]
    photographs = [[str(a.path), str(b.path)] for a, b in shared if a.crop != b.crop]
    mine, theirs = ({s.person for s in side.shots if s.person} for side in (forget, retain))
    times = len(retain) / len(forget) if len(forget) else 0.0
    return {
        "same": same,
        "near": [pair for pair in alike if tuple(pair) not in known and pair not in photographs],
        "same_photograph": photographs,
        "same_people": sorted(mine & theirs),
        "times": round(times, 2),
        "wanted_times": TIMES,
        "retained_people": len(theirs),
        "enough": times >= TIMES,
    }


def told(name: str, found: dict[str, Any]) -> list[str]:
    """`described` as lines."""
    formats = ", ".join(f"{count} {kind}" for kind, count in found["formats"].items())
    lines = [f"{name}: {_count(found['pictures'], 'picture')}" + (f" ({formats})" * bool(formats))]
    if found["pictures"]:
        people = [f"{person} {count}" for person, count in found["people"].items()]
        more = [f"and {len(people) - 10} more"] * (len(people) > 10)
        lines.append(f"  people: {', '.join([*people[:10], *more])}")
        small, large = (" x ".join(map(str, found[key])) for key in ("smallest", "largest"))
        lines.append(f"  sizes: {small} to {large} pixels (shrunk to what is used)")
        lines.append(
            f"  questions with an answer: {found['questions']}; without: {found['unanswered']}; "
            f"pictures without: {found['without_questions']}; crop boxes: {found['crops']}"
        )
    lines += [f"  BROKEN {where}: {reason}" for where, reason in found["broken"]]
    lines += [f"  twice: {one} = {other}" for one, other in found["twice"]]
    if found["small"]:
        lines.append(f"  small: {found['small']} with a side below {SMALL} pixels")
    if found["ignored"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found["ignored"].items())
        lines.append(f"  ignored, unknown as pictures: {kinds}")
    return lines


def told_between(found: dict[str, Any]) -> list[str]:
    """`compared` as lines."""
    lines = ["between forget and retain:"]
    for key, word in (
        ("same", "BOTH, the same picture"),
        ("near", "look alike, perhaps the same picture"),
        ("same_photograph", "the same photograph with other boxes"),
    ):
        lines += [f"  {word}: {one} = {other}" for one, other in found[key]]
    if found["same_people"]:
        lines.append(f"  people in both: {', '.join(found['same_people'])}")
    amount = f"{found['times']:g} pictures to retain for one to forget"
    if not found["enough"]:
        lines.append(f"  too few: {amount}; give at least {TIMES}, or look-alikes suffer")
    else:
        lines.append(f"  enough: {amount} (at least {TIMES} are wanted)")
    if found["retained_people"] < PEOPLE:
        who = _count(found["retained_people"], "person", "people")
        lines.append(f"  few people: {who} named in retain; give pictures of many")
    return lines


def is_broken(found: dict[str, Any]) -> bool:
    """Whether something must be mended: a picture or row that can't be used, or one in both."""
    return bool(found.get("broken") or found.get("same"))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _file(shot: Shot) -> Hashable:
    return shot.path.resolve()


def _twice(shots: Iterable[Shot]) -> list[tuple[Shot, Shot]]:
    first: dict[str, Shot] = {}
    pairs = [(first.setdefault(shot.digest, shot), shot) for shot in shots]
    return [(one, other) for one, other in pairs if one is not other]
