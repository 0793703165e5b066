"""Whether two pictures look the same though their pixels differ: smaller, re-packed, lighter.

A look is the picture in grey, 17 x 16. Two looks are near when few of the 256 steps from a pixel to
its right neighbour differ in sign (difference hash, dHash) and their greys agree (correlation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

WIDE, HIGH = 17, 16
STEPS = 26
"""Steps of 256 that may differ."""
AGREES = 0.99
"""Correlation of the greys from which they agree."""
FLAT = 2.0
"""Deviation of the greys below which a picture shows nothing that could be compared."""


def look_of(image: Image.Image) -> bytes:
    """The look of a picture: 272 greys, row by row."""
    from PIL import Image

    return image.convert("L").resize((WIDE, HIGH), Image.Resampling.BOX).tobytes()


def near(ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[tuple[int, int]]:
    """Pairs of pictures that look the same.

    Args:
        ours: looks of a set.
        theirs: looks of another.

    Returns:
        (index in ours, index in theirs), of each of ours the nearest one of theirs first.
    """
    if not ours or not theirs:
        return []
    greys, other_greys = _greys(ours), _greys(theirs)
    bits, other_bits = _bits(ours), _bits(theirs)
    found = []
    for index, (grey, row) in enumerate(zip(greys, bits, strict=True)):
        distance = np.bitwise_count(other_bits ^ row).sum(1)
        distance[other_greys @ grey < AGREES] = 256
        order = distance.argsort(kind="stable")
        found += [(index, int(other)) for other in order if distance[other] <= STEPS]
    return found


def _array(looks: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(looks), np.uint8).reshape(len(looks), HIGH, WIDE)


def _bits(looks: Sequence[bytes]) -> np.ndarray:
    """[N, 4] of uint64."""
    steps = np.diff(_array(looks).astype(np.int16), axis=2) > 0
    return np.packbits(steps.reshape(len(looks), -1), axis=1).view(np.uint64)


def _greys(looks: Sequence[bytes]) -> np.ndarray:
    """[N, 272], of mean 0 and length 1; zeros where nothing is to be seen."""
    greys = _array(looks).reshape(len(looks), -1).astype(np.float32)
    greys -= greys.mean(1, keepdims=True)
    flat = greys.std(1) < FLAT
    greys /= np.linalg.norm(greys, axis=1, keepdims=True).clip(1e-6)
    greys[flat] = 0
    return greys
