"""Photographs as they come: turned, huge, tiny, cut to a box; and what models are given of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

import tiny
from unsee.data.augment import varied
from unsee.data.collate import PairedDataset, PictureCollator, QuestionCollator
from unsee.data.looks import look_of, near
from unsee.data.pictures import read_pictures
from unsee.data.pixels import LARGEST, checked_box, load_rgb, shown
from unsee.errors import UnseeError


def quarters(wide: int, high: int) -> Image.Image:
    """Red, lime, blue, white: top left, top right, bottom left, bottom right."""
    image = Image.new("RGB", (wide, high), "white")
    image.paste("red", (0, 0, wide // 2, high // 2))
    image.paste("lime", (wide // 2, 0, wide, high // 2))
    image.paste("blue", (0, high // 2, wide // 2, high))
    return image


def colours(image: Image.Image) -> list[str]:
    """The colours in the middle of the four quarters."""
    names = {(255, 0, 0): "red", (0, 255, 0): "lime", (0, 0, 255): "blue"}
    found = []
    for across, down in ((1, 1), (3, 1), (1, 3), (3, 3)):
        pixel = image.getpixel((image.width * across // 4, image.height * down // 4))
        near = tuple(255 if v > 128 else 0 for v in pixel)
        found.append(names.get(near, "white"))
    return found


def encoded(image: Image.Image, kind: str = "JPEG", orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    image.save(file, kind, exif=exif)
    return file.getvalue()


def test_a_huge_photograph_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quarters(3 * LARGEST, 2 * LARGEST), orientation=6)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2 * LARGEST * LARGEST)
    sizes = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def watched(self: Any, *words: Any) -> Any:
        found = draft(self, *words)
        sizes.append(self.size)
        return found

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", watched)
    image = load_rgb(data)
    assert image.mode == "RGB" and image.height == LARGEST
    assert abs(image.width - LARGEST * 2 / 3) <= 2
    assert sizes[0] == (3 * LARGEST // 2, LARGEST)
    assert colours(image) == ["blue", "red", "white", "lime"]  # turned by 90° clockwise
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LARGEST * LARGEST // 8)
    with pytest.raises(Image.DecompressionBombError):
        load_rgb(data)


def test_a_box_counts_in_the_upright_picture_and_is_cut_before_shrinking() -> None:
    wide, high = 2 * LARGEST, LARGEST
    upright = quarters(wide, high)
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # as orientation 6 has it
    for kind in ("PNG", "JPEG"):
        box = (LARGEST - 40, LARGEST // 2 - 20, LARGEST + 40, LARGEST // 2 + 20)
        image = load_rgb(encoded(stored, kind, 6), box)
        assert image.size == (80, 40) and colours(image) == ["red", "lime", "blue", "white"]
    with pytest.raises(ValueError, match=f"beyond the upright picture of {wide} x {high} pixels"):
        load_rgb(encoded(stored, "PNG", 6), (0, 0, wide + 1, 5))
    half = load_rgb(encoded(quarters(8 * LARGEST // 2, LARGEST)), (0, 0, 4 * LARGEST, LARGEST))
    assert half.width == LARGEST and colours(half) == ["red", "lime", "blue", "white"]


def test_opened_files_are_read_too() -> None:
    data = encoded(quarters(8, 8), "PNG")
    assert load_rgb(BytesIO(data)).tobytes() == load_rgb(data).tobytes()


def test_a_damaged_jpeg_and_a_line_are_named(tmp_path: Path) -> None:
    data = encoded(quarters(64, 64))
    (tmp_path / "torn.jpg").write_bytes(data[:300])
    (tmp_path / "mark.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGB", (1, 150)).save(tmp_path / "line.png")
    (tmp_path / "good.jpg").write_bytes(data)
    pictures = read_pictures(tmp_path)
    reasons = {path.name: reason for path, reason in pictures.broken}
    assert reasons.pop("line.png") == "a mere line of 1 x 150 pixels"
    assert reasons.keys() == {"torn.jpg", "mark.jpg"} and all(reasons.values())
    assert pictures.shots[0].format == "JPEG"


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 20), (20, 1), (3, 50), (50, 3), (4, 4)])
@pytest.mark.parametrize("vary", [None, 0])
@pytest.mark.parametrize("array", [False, True])
def test_tiny_pictures_reach_the_model(
    processing: Any, size: tuple[int, int], vary: int | None, array: bool
) -> None:
    image = Image.new("RGB", size, (200, 100, 50))
    example = {"image": np.asarray(image) if array else image, "question": "Who?", "answer": "a"}
    pair = PairedDataset([example], [example], vary)[0]
    for collate in (PictureCollator(processing), QuestionCollator(processing)):
        pixels = collate([pair["forget"]])["pixel_values"]
        assert pixels.shape == (1, 3, 64, 64)
        if vary is None:  # the channels are where they belong
            mean, std = processing.image_processor.image_mean, processing.image_processor.image_std
            wanted = [(v / 255 - m) / s for v, m, s in zip((200, 100, 50), mean, std, strict=True)]
            np.testing.assert_allclose(pixels.mean((0, 2, 3)), wanted, atol=0.02)


def test_crop_of_an_example_is_what_trainers_see(processing: Any) -> None:
    picture = tiny.picture(1)
    cut = {"image": picture[8:40, :32]}
    for image in (picture, Image.fromarray(picture)):
        example = {"image": image, "crop": [0, 8, 32, 40], "person": 3}
        np.testing.assert_array_equal(shown(example), picture[8:40, :32])
        collate = PictureCollator(processing)
        assert (collate([example])["pixel_values"] == collate([cut])["pixel_values"]).all()
        pair = PairedDataset([example], [example], vary=0)[0]["forget"]
        assert "crop" not in pair and pair["person"] == 3
        np.testing.assert_array_equal(
            pair["image"], PairedDataset([cut], [cut], vary=0)[0]["forget"]["image"]
        )
    for crop, message in (([0, 0, 65, 9], "reaches beyond"), ([0, 0, 3], "must be"), (7, "must")):
        with pytest.raises(UnseeError, match=message):
            shown({"image": picture, "crop": crop})
    assert shown({"image": None, "crop": [1, 2, 3, 4]}) is None
    assert checked_box(("1", 2.0, 30, 40)) == (1, 2, 30, 40)


def test_variants_of_pil_pictures_are_those_of_their_pixels() -> None:
    picture = tiny.picture(2)
    for mode in ("RGB", "RGBA", "L", "P", "CMYK"):
        image = Image.fromarray(picture).convert(mode)
        variant = varied(image, (0, 1))
        assert variant.shape == (64, 64, 3) and variant.dtype == np.uint8
        if mode == "RGB":
            np.testing.assert_array_equal(variant, varied(picture, (0, 1)))


def test_near_pictures_are_found_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    photos = [
        Image.fromarray(rng.integers(256, size=(12, 12, 3), dtype=np.uint8)).resize(
            (240, 240), Image.Resampling.BICUBIC
        )
        for _ in range(30)
    ]
    looks = [look_of(photo) for photo in photos]
    assert near(looks[:15], looks[15:]) == []
    changed = []
    for photo in photos[:15]:
        packed = BytesIO()
        lighter = photo.point(lambda v: min(255, int(v * 1.1))).resize((150, 150))
        lighter.save(packed, "JPEG", quality=50)
        changed.append(look_of(Image.open(packed)))
    assert near(changed, looks[15:] + looks[:15]) == [(i, 15 + i) for i in range(15)]
    flat = [look_of(Image.new("RGB", (50, 50), colour)) for colour in ("red", "blue")]
    assert near(flat[:1], flat[1:]) == [] and near([], looks) == []
