"""Folders of pictures as people have them: nested, mixed formats, a broken file among them.

- every file is decoded once when the folder is read: what cannot be is named and left out
- pictures come out upright, opaque and RGB, whatever they were on disk
- a sub-folder is a person: `him/1.jpg` and `him/holiday/2.jpg` are pictures of `him`
- the same picture in two sets is found by its pixels, so renaming or re-packing does not hide it
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(".png .jpg .jpeg .webp .bmp .gif .tif .tiff .ppm".split())
"""Names that are taken for pictures, in lower case; other files are counted and ignored."""


class Picture(TypedDict):
    """One picture of a set: upright RGB pixels, where they came from, and whose they are."""

    image: Image.Image
    path: str
    person: str | None


@dataclass(frozen=True)
class PictureSet:
    """The readable pictures of a folder, as a map-style dataset that decodes on access.

    Attributes:
        folder: the folder that was read.
        paths: the pictures, sorted by path.
        people: for each picture the first sub-folder that it lies in, None directly in `folder`.
        digests: for each picture a hash of its decoded RGB pixels.
        broken: files that should be pictures and cannot be read, each with the reason.
        ignored: how many files of each other suffix were passed over.
    """

    folder: Path
    paths: list[Path]
    people: list[str | None]
    digests: list[str]
    broken: list[tuple[Path, str]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Picture:
        path = self.paths[index]
        try:
            image = load_rgb(path)
        except Exception as error:
            raise UnseeError(f"{path} can no longer be read: {_reason(error)}") from error
        return {"image": image, "path": str(path), "person": self.people[index]}

    def __iter__(self) -> Iterator[Picture]:
        return (self[index] for index in range(len(self)))

    def warnings(self) -> list[str]:
        """One line for each file that was left out; one for all files of other kinds."""
        lines = [f"left out {path}: {reason}" for path, reason in self.broken]
        if self.ignored:
            lines.append(f"ignored in {self.folder}: {_tally(self.ignored)} (unknown as pictures)")
        return lines


def read_pictures(folder: str | os.PathLike[str]) -> PictureSet:
    """Reads a folder and its sub-folders; hidden files and folders are passed over.

    Args:
        folder: where the pictures are.

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
    candidates: list[Path] = []
    ignored: Counter[str] = Counter()
    for path in _files(root, broken):
        if path.suffix.lower() in SUFFIXES:
            candidates.append(path)
        else:
            ignored[path.suffix.lower() or "no suffix"] += 1

    paths, digests = [], []
    for path, digest, reason in _checked(root, candidates):
        if reason:
            broken.append((path, reason))
        else:
            paths.append(path)
            digests.append(digest)
    if not paths:
        raise UnseeError(_nothing(root, broken, ignored))
    people = [_person(root, path) for path in paths]
    return PictureSet(root, paths, people, digests, sorted(broken), ignored)


def load_rgb(path: str | os.PathLike[str]) -> Image.Image:
    """Decodes one picture as upright, opaque RGB; an animation gives its first frame.

    Raises:
        OSError: the file is missing, truncated or no picture.
    """
    from PIL import Image

    with Image.open(path) as image:
        return to_rgb(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB: turned upright by EXIF, transparency on white, 16 bit to 8."""
    from PIL import Image, ImageOps

    # A damaged EXIF block says nothing about the pixels.
    with suppress(SyntaxError, ValueError, KeyError, TypeError, struct.error, OSError):
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def find_same(forget: PictureSet, retain: PictureSet) -> list[tuple[Path, Path]]:
    """Pictures that are in both sets, pixel by pixel, whatever their names and formats."""
    kept: dict[str, Path] = {}
    for path, digest in zip(retain.paths, retain.digests, strict=True):
        kept.setdefault(digest, path)
    pairs = zip(forget.paths, forget.digests, strict=True)
    return [(path, kept[digest]) for path, digest in pairs if digest in kept]


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
    count = "1 picture is" if len(same) == 1 else f"{len(same)} pictures are"
    raise UnseeError(
        f"{count} both to be forgotten and to be retained ({named}{more}): "
        "remove them from one of the folders"
    )


def _files(root: Path, broken: list[tuple[Path, str]]) -> list[Path]:
    """All files below `root`, sorted, hidden ones apart; links to folders are followed once."""

    def unreadable(error: OSError) -> None:
        broken.append((Path(error.filename), _reason(error)))

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


def _person(root: Path, path: Path) -> str | None:
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _checked(root: Path, candidates: list[Path]) -> Iterator[tuple[Path, str, str]]:
    """`_check` of every candidate, in order, on several threads; progress when it takes long."""
    from PIL import Image
    from tqdm.auto import tqdm

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            results = pool.map(_check, candidates)
            bar = tqdm(results, f"reading {root}", len(candidates), unit="picture", delay=2)
            for path, (digest, reason) in zip(candidates, bar, strict=True):
                yield path, digest, reason
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for what is queued


def _check(path: Path) -> tuple[str, str]:
    """The hash of a picture's pixels and an empty reason, or the reason why it cannot be read."""
    from PIL import Image

    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "", "not a regular file"
        if status.st_size == 0:
            return "", "empty file"
        with Image.open(path) as image:
            image.verify()
        pixels = load_rgb(path)
    except Exception as error:  # decoders raise anything on damaged files
        return "", _reason(error)
    digest = hashlib.blake2b(repr(pixels.size).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return digest.hexdigest(), ""


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _eight_bits(image: Image.Image) -> Image.Image:
    """A greyscale picture of 16- or 32-bit integers, or of floats up to 1 or 255, as 8 bit."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        white = 1.0 if top <= 1 else 255.0
    elif image.mode.startswith("I;16"):
        white = 65535.0
    else:  # mode I: 8 or 16 bits in a 32-bit integer as a rule
        white = 255.0 if top <= 255 else 65535.0 if top <= 65535 else float(2**31 - 1)
    scaled = np.nan_to_num(values / white).clip(0, 1) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))


def _nothing(root: Path, broken: list[tuple[Path, str]], ignored: Counter[str]) -> str:
    kinds = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
    if broken:
        path, reason = broken[0]
        count = "the one picture" if len(broken) == 1 else f"none of the {len(broken)} pictures"
        can = "cannot" if len(broken) == 1 else "can"
        return f"{count} in {root} {can} be read ({path.name}: {reason})"
    found = f"only {_tally(ignored)}" if ignored else "no file at all"
    return f"{root} holds no picture: found {found}; known are {kinds}"


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(4))
