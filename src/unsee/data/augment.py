"""Small changes of a picture that leave open who is on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unsee.errors import UnseeError

ZOOM, SHIFT, TURN = 0.12, 0.08, 6.0
"""Largest change of size, as a share; of place, as a share of the width; of angle, in degrees."""
LIGHT = 0.2
"""Largest change of brightness and of contrast, as a share."""
LARGEST = 1024
"""Pixels of the longer side, beyond which details are of no use to a vision encoder."""
BORDER = 0.2
"""What is added at the edges, by repeating them, before a picture is cut out anew."""


def varied(image: Any, seed: Sequence[int], mirror: bool = True) -> np.ndarray:
    """A variant of a picture: turned, moved, zoomed, lighter or darker, perhaps mirrored.

    Args:
        image: `PIL.Image` or array, uint8 [H, W, 3].
        seed: the same seed gives the same variant.
        mirror: mirror every other variant.

    Returns:
        uint8 [H, W, 3], the size of the picture; larger ones shrink to `LARGEST`.

    Raises:
        UnseeError: neither a `PIL.Image` nor such an array.
    """
    from PIL import Image

    if not isinstance(image, Image.Image):
        array = np.asarray(image)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] not in (3, 4):
            raise UnseeError(
                "only PIL images and uint8 arrays [H, W, 3] can be varied: give pictures so, or "
                "set augment=False"
            )
        image = Image.fromarray(array)
    image = image.convert("RGB")
    image.thumbnail((LARGEST, LARGEST))  # never makes it larger
    picture = np.asarray(image)
    rng = np.random.default_rng(list(seed))
    if mirror and rng.random() < 0.5:
        picture = picture[:, ::-1]
    high, wide = picture.shape[:2]
    edges = round(BORDER * high), round(BORDER * wide)
    padded = np.pad(picture, ((edges[0],) * 2, (edges[1],) * 2, (0, 0)), mode="edge")
    zoom = 1 + rng.uniform(-ZOOM, ZOOM)
    angle = np.radians(rng.uniform(-TURN, TURN))
    move = rng.uniform(-SHIFT, SHIFT, 2) * (wide, high)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    centre = np.array([wide, high]) / 2
    start = centre + np.array(edges[::-1]) + move - turn @ centre
    cut = Image.fromarray(padded).transform(
        (wide, high),
        Image.Transform.AFFINE,
        (*turn[0], start[0], *turn[1], start[1]),
        Image.Resampling.BILINEAR,
    )
    contrast, brightness = rng.uniform(-LIGHT, LIGHT, 2)
    pixels = np.asarray(cut, dtype=np.float32)
    pixels = (pixels - 128) * (1 + contrast) + 128 * (1 + brightness)
    return np.clip(pixels.round(), 0, 255).astype(np.uint8)
