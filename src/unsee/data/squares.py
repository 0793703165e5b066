"""Pictures of one size, for models whose number of visual tokens depends on a picture's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unsee.data.collate import image_processor_of
from unsee.data.pixels import shown

LARGEST = 448
"""Pixels of a side where none is given and the first picture is larger."""


def squares(datasets: Sequence[Any], processing_class: Any, side: int = 0) -> list[Any]:
    """Datasets with pictures of one size.

    Args:
        datasets: map-style; one that is None stays so.
        processing_class: the model's processor.
        side: of the square, in pixels; 0: the longer side of the first picture of the first
            dataset, at most `LARGEST`.
    """
    pixels = side or side_of(shown(datasets[0][0]))
    mean = getattr(image_processor_of(processing_class), "image_mean", None)
    return [None if one is None else Squares(one, pixels, mean) for one in datasets]


def side_of(image: Any) -> int:
    """The longer side of a picture in pixels, at most `LARGEST`."""
    return min(max(_picture(image).size), LARGEST)


def squared(image: Any, side: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A picture as large as it fits in the middle of a square; one of that size is not touched.

    Args:
        image: `PIL.Image` or array, uint8 [H, W, 3].
        side: of the square, in pixels.
        colour: of what is added above and below, or left and right.

    Returns:
        uint8 [side, side, 3].
    """
    from PIL import Image

    picture = _picture(image)
    if picture.size == (side, side):
        return np.asarray(picture)
    scale = side / max(picture.size)
    wide, high = (max(1, round(scale * length)) for length in picture.size)
    square = Image.new("RGB", (side, side), colour)
    small = picture.resize((wide, high), Image.Resampling.BICUBIC)
    square.paste(small, ((side - wide) // 2, (side - high) // 2))
    return np.asarray(square)


def _picture(image: Any) -> Any:
    from PIL import Image

    found = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
    return found.convert("RGB")


class Squares:
    """A dataset whose pictures have one size.

    Args:
        examples: map-style dataset; an `image` may be None, a `crop` of it is cut out.
        side: of the square, in pixels.
        mean: the image processor's `image_mean`, with which the rest of the square is filled (as
            LLaVA does), so that there it is near 0 for the model.
    """

    def __init__(self, examples: Any, side: int, mean: Any = None) -> None:
        self.examples, self.side = examples, side
        red, green, blue = (round(255 * float(value)) for value in (mean or (0.5, 0.5, 0.5)))
        self.colour = (red, green, blue)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.examples[index]
        if example.get("image") is None:
            return example
        kept = {key: value for key, value in example.items() if key != "crop"}
        return {**kept, "image": squared(shown(example), self.side, self.colour)}
