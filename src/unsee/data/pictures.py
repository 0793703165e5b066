"""Sets of pictures as people have them: nested, mixed formats, a broken file among them.

- every picture is decoded once when a set is read: what cannot be is named and left out
- pictures come out upright, opaque and RGB, whatever they were on disk (`data/pixels.py`)
- a sub-folder is a person: `him/1.jpg` and `him/holiday/2.jpg` are pictures of `him`
- the same picture in two sets is found by its pixels, so renaming or re-packing does not hide it

Folders of pictures are read here; the other forms of data (`data/own.py`) become the same sets.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from unsee.data.looks import look_of
from unsee.data.pixels import load_rgb, reason_of, to_rgb, verify
from unsee.data.shots import AskedSet, PictureSet, Shot, tally
from unsee.errors import UnseeError

__all__ = ["AskedSet", "PictureSet", "Shot", "check_disjoint", "find_same", "load_rgb"]
__all__ += ["read_pictures", "to_rgb"]

SUFFIXES = frozenset(".png .jpg .jpeg .jfif .webp .bmp .gif .tif .tiff .ppm".split())
"""Names that are taken for pictures, in lower case; other files are counted and ignored."""


def read_pictures(folder: str | os.PathLike[str], may_be_empty: bool = False) -> PictureSet:
    """Reads a folder and its sub-folders; hidden files and folders are passed over.

    Args:
        folder: where the pictures are.
        may_be_empty: return the empty set where nothing is readable, to tell what is broken.

    Returns:
        The pictures that can be decoded; the others are named in `broken`.

    Raises:
        UnseeError: the folder does not exist, or nothing in it is a readable picture.
    """
    root = Path(folder)
    if not root.exists():
        raise UnseeError(f"there is no folder {root}")
    if not root.is_dir():
        raise UnseeError(f"{root} is a file: give the folder that holds the pictures")
    broken: list[tuple[Path, str]] = []
    candidates, ignored = sorted_files(root, broken)
    shots = [Shot(path, path, person_in(root, path)) for path in candidates]
    return examined(root, shots, broken, ignored, may_be_empty)


def examined(
    root: Path,
    candidates: Sequence[Shot],
    broken: list[tuple[Path, str]],
    ignored: Counter[str] | None = None,
    may_be_empty: bool = False,
) -> PictureSet:
    """The set of those candidates that can be decoded.

    Raises:
        UnseeError: none can; with `may_be_empty`, there are none.
    """
    ignored = Counter() if ignored is None else ignored
    shots: list[Shot] = []
    for shot in _checked(root, candidates):
        if isinstance(shot, Shot):
            shots.append(shot)
        else:
            broken.append(shot)
    if not shots and not (may_be_empty and broken):
        raise UnseeError(_nothing(root, broken, ignored))
    return PictureSet(root, shots, sorted(broken, key=_in_order), ignored)


def find_same(forget: PictureSet, retain: PictureSet) -> list[tuple[Path, Path]]:
    """All pairs of pictures that are equal pixel by pixel, whatever their names and formats."""
    kept: dict[str, list[Path]] = {}
    for path, digest in zip(retain.paths, retain.digests, strict=True):
        kept.setdefault(digest, []).append(path)
    pairs = zip(forget.paths, forget.digests, strict=True)
    return [(path, other) for path, digest in pairs for other in kept.get(digest, ())]


def check_disjoint(forget: PictureSet, retain: PictureSet) -> None:
    """Refuses a picture that is to be forgotten and kept at once.

    Raises:
        UnseeError: a picture is in both sets; the message names the first three.
    """
    same = find_same(forget, retain)
    if not same:
        return
    named = "; ".join(f"{one} = {other}" for one, other in same[:3])
    more = f"; and {len(same) - 3} more" if len(same) > 3 else ""
    number = len({one for one, _ in same})
    count = "1 picture is" if number == 1 else f"{number} pictures are"
    raise UnseeError(
        f"{count} both to be forgotten and to be retained ({named}{more}): "
        "remove them from one of the folders"
    )


def sorted_files(root: Path, broken: list[tuple[Path, str]]) -> tuple[list[Path], Counter[str]]:
    """The files below `root` that should be pictures, and how many there are of other suffixes."""
    candidates: list[Path] = []
    ignored: Counter[str] = Counter()
    for path in files_below(root, broken):
        if path.suffix.lower() in SUFFIXES:
            candidates.append(path)
        else:
            ignored[path.suffix.lower() or "no suffix"] += 1
    return candidates, ignored


def files_below(root: Path, broken: list[tuple[Path, str]]) -> list[Path]:
    """All files below `root`, sorted, hidden ones apart; links to folders are followed once."""

    def unreadable(error: OSError) -> None:
        broken.append((Path(error.filename), reason_of(error)))

    found: list[Path] = []
    seen: set[str] = set()
    for folder, inside, names in os.walk(root, onerror=unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found)


def person_in(root: Path, path: Path) -> str | None:
    """The first sub-folder that a picture lies in, None directly in `root`."""
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _checked(root: Path, candidates: Sequence[Shot]) -> Iterator[Shot | tuple[Path, str]]:
    """`_check` of every candidate, in order, on several threads; progress when it takes long."""
    from PIL import Image
    from tqdm.auto import tqdm

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            results = pool.map(_check, candidates)
            yield from tqdm(results, f"reading {root}", len(candidates), unit="picture", delay=2)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for what is queued


def _check(shot: Shot) -> Shot | tuple[Path, str]:
    """The picture with what is known after decoding it, or why it cannot be decoded."""
    try:
        if isinstance(shot.source, Path):
            status = shot.source.stat()
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("not a regular file")
            if status.st_size == 0:
                raise ValueError("empty file")
        data = shot.stored()
        kind = verify(data)
        pixels = load_rgb(data, shot.crop)
    except Exception as error:  # decoders raise anything on damaged files
        reason = reason_of(error)
        named = f"{shot.path}: " if shot.where not in (None, shot.path) else ""
        return shot.where or shot.path, f"{named}{reason}"
    digest = hashlib.blake2b(repr(pixels.size).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return replace(
        shot, digest=digest.hexdigest(), look=look_of(pixels), format=kind, size=pixels.size
    )


def _in_order(broken: tuple[Path, str]) -> tuple[str, int]:
    """Line 9 comes before line 10."""
    name = str(broken[0])
    start = name.rstrip("0123456789")
    return start, int(name[len(start) :] or 0)


def _nothing(root: Path, broken: list[tuple[Path, str]], ignored: Counter[str]) -> str:
    kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
    if broken:
        path, reason = broken[0]
        count = "the one picture" if len(broken) == 1 else f"none of the {len(broken)} pictures"
        can = "cannot" if len(broken) == 1 else "can"
        return f"{count} in {root} {can} be read ({path.name}: {reason})"
    found = f"only {tally(ignored)}" if ignored else "no file at all"
    return f"{root} holds no picture: found {found}; known are {kinds}"
