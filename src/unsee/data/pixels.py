"""Decodes photographs as they come: upright, opaque, RGB, of a size that can be worked with.

- turned upright by EXIF, CMYK and palettes to RGB, transparency on white, 16 bit scaled to 8
- an animation gives its first frame
- a crop box is cut out of the upright picture before that is shrunk, so that a face in a crowd
  keeps its details; what is longer than `LARGEST` is shrunk
- a JPEG that is too large to be decoded whole is decoded at a fraction of its size
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext, suppress
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

LARGEST = 2048
"""Pixels of the longer side, beyond which pictures are shrunk on reading."""
THINNEST = 100
"""Ratio of the sides beyond which a picture can't show anybody: processors scale by the shorter."""
JPEG_LIMIT = 8
"""JPEGs may have so many times `PIL.Image.MAX_IMAGE_PIXELS`: they are decoded at a fraction."""
SEVERAL = 20_000_000
"""Pixels up to which pictures are decoded several at a time; larger ones one by one."""
ORIENTATION = 0x0112
_LARGE = Lock()

Source = str | os.PathLike[str] | bytes | IO[bytes]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the upright picture."""


def load_rgb(source: Source, crop: Box | None = None) -> Image.Image:
    """Decodes one picture as upright, opaque RGB; an animation gives its first frame.

    Args:
        source: a file's path, its bytes, or the opened file.
        crop: what is cut out of the upright picture; None: all of it.

    Returns:
        RGB, its longer side at most `LARGEST` pixels.

    Raises:
        OSError: the file is missing, truncated or no picture.
        ValueError: the crop box reaches beyond the picture, or it is a mere line.
    """
    with _opened(source) as file, _decoder(file) as image:
        full = image.size
        _draft(image, crop)
        with _LARGE if image.width * image.height > SEVERAL else nullcontext():
            return _rgb_of(image, crop, full)


def verify(source: Source) -> str:
    """Checks what can be checked without decoding; returns the format, such as `JPEG`.

    Raises:
        OSError: the file is missing, damaged or no picture.
    """
    with _opened(source) as file, _decoder(file) as image:
        kind = image.format or "?"
        image.verify()
        return kind


def _rgb_of(image: Image.Image, crop: Box | None, full: tuple[int, int]) -> Image.Image:
    upright = _turned(image)
    if crop is not None:
        turned = _orientation(image) >= 5
        upright = _cut(upright, crop, full[::-1] if turned else full)
    wide, high = upright.size
    if max(wide, high) > THINNEST * min(wide, high):
        raise ValueError(f"a mere line of {wide} x {high} pixels")
    return _shrunk(_opaque(upright))


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB: turned upright by EXIF, transparency on white, 16 bit to 8."""
    return _opaque(_turned(image))


def shown(example: Mapping[str, Any]) -> Any:
    """The picture of an example: its `image`, or what `crop` cuts out of it.

    Args:
        example: with an `image` (`PIL.Image`, or uint8 [H, W, 3]) and perhaps a `crop`.

    Raises:
        UnseeError: the crop box is none, or reaches beyond the picture.
    """
    image, crop = example["image"], example.get("crop")
    if crop is None or image is None:
        return image
    try:
        box = checked_box(crop)
        if hasattr(image, "crop"):
            return _cut(image, box, image.size)
        _within(box, (image.shape[1], image.shape[0]))
    except ValueError as error:
        raise UnseeError(str(error)) from error
    return image[box[1] : box[3], box[0] : box[2]]


def checked_box(crop: Any) -> Box:
    """A crop box as four whole numbers.

    Raises:
        ValueError: it is something else, or holds no pixel.
    """
    try:
        values = [float(v) for v in crop]
    except (TypeError, ValueError, OverflowError):
        values = []
    if len(values) != 4 or not all(math.isfinite(v) for v in values):
        raise ValueError(f"crop {crop!r} must be [left, top, right, bottom] in pixels")
    if max(values) <= 1 and any(v != round(v) for v in values):
        raise ValueError(f"crop {list(crop)} looks like fractions: give pixels")
    left, top, right, bottom = (round(v) for v in values)
    if left < 0 or top < 0 or right <= left or bottom <= top:
        raise ValueError(f"crop {list(crop)} holds nothing: [left, top, right, bottom] in pixels")
    return left, top, right, bottom


def reason_of(error: BaseException) -> str:
    """Why a picture can't be read, in a few words."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    if not isinstance(source, (str, os.PathLike)):
        yield source
        return
    with Path(source).open("rb") as file:
        yield file


def _decoder(file: IO[bytes]) -> Image.Image:
    """The picture in a file, its pixels not decoded yet."""
    from PIL import Image, JpegImagePlugin, UnidentifiedImageError

    start = file.read(3)
    file.seek(0)
    if start != b"\xff\xd8\xff":
        return Image.open(file)
    # Not through `Image.open`, which refuses photographs that can be decoded at a fraction.
    try:
        image = JpegImagePlugin.JpegImageFile(file)
    except (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error) as error:
        raise UnidentifiedImageError("not a picture") from error
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > JPEG_LIMIT * limit:
        raise Image.DecompressionBombError(f"more than {limit} pixels")
    return image


def _draft(image: Image.Image, crop: Box | None) -> None:
    """Lets a JPEG be decoded at a half, a quarter or an eighth, where no detail is lost by it; the
    other formats know of no such thing."""
    from PIL import Image

    wide, high = image.size
    longest = max(crop[2] - crop[0], crop[3] - crop[1]) if crop else max(wide, high)
    share = min(1.0, LARGEST / longest)
    if limit := Image.MAX_IMAGE_PIXELS:
        share = min(share, math.sqrt(limit / 4 / (wide * high)))
    if share <= 0.5:
        image.draft(None, (max(1, int(wide * share)), max(1, int(high * share))))


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # a damaged EXIF block says nothing
        return int(image.getexif().get(ORIENTATION, 1))
    return 1


def _turned(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    # A damaged EXIF block says nothing about the pixels.
    with suppress(SyntaxError, ValueError, KeyError, TypeError, struct.error, OSError):
        return ImageOps.exif_transpose(image)
    return image


def _within(box: Box, size: tuple[int, int]) -> None:
    if box[2] > size[0] or box[3] > size[1]:
        raise ValueError(
            f"crop {list(box)} reaches beyond the upright picture of {size[0]} x {size[1]} pixels"
        )


def _cut(image: Image.Image, box: Box, full: tuple[int, int]) -> Image.Image:
    """Cuts a box out of a picture that may have been decoded at a fraction of its full size."""
    _within(box, full)
    across, down = image.width / full[0], image.height / full[1]
    left, top = int(box[0] * across), int(box[1] * down)
    right, bottom = math.ceil(box[2] * across), math.ceil(box[3] * down)
    return image.crop((left, top, min(right, image.width), min(bottom, image.height)))


def _opaque(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _shrunk(image: Image.Image) -> Image.Image:
    image.thumbnail((LARGEST, LARGEST))  # never makes it larger
    return image


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
