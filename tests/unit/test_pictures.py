"""Folders of pictures: what is read, how it comes out, and what is said about the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unsee.data.pictures import check_disjoint, find_same, load_rgb, read_pictures
from unsee.errors import UnseeError


def noise(seed: int, size: tuple[int, int] = (20, 12)) -> Image.Image:
    """A picture that is different for every seed; `size` is (width, height)."""
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def test_nested_folder_of_mixed_formats(tmp_path: Path) -> None:
    suffixes = "png jpg JPEG webp bmp gif tif TIFF ppm".split()
    for number, suffix in enumerate(suffixes):
        folder = tmp_path / ("ada" if number % 2 else "ben/holiday")
        save(folder / f"{number}.{suffix}", noise(number))
    save(tmp_path / "on_top.png", noise(99))
    save(tmp_path / ".hidden.png", noise(98))
    save(tmp_path / ".trash/1.png", noise(97))
    (tmp_path / "notes.txt").write_text("no picture")

    pictures = read_pictures(tmp_path)

    assert len(pictures) == len(suffixes) + 1
    assert [p["path"] for p in pictures] == sorted(p["path"] for p in pictures)
    people = {Path(p["path"]).name: p["person"] for p in pictures}
    assert people["1.jpg"] == "ada" and people["0.png"] == "ben" and people["on_top.png"] is None
    assert ".hidden.png" not in people and len(people) == len(pictures)
    assert all(p["image"].mode == "RGB" and p["image"].size == (20, 12) for p in pictures)
    assert pictures.broken == [] and pictures.ignored == {".txt": 1}
    assert "1 .txt" in pictures.warnings()[0]
    np.testing.assert_array_equal(np.asarray(load_rgb(tmp_path / "on_top.png")), noise(99))


def test_pictures_are_decoded_on_access(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png", noise(1))
    pictures = read_pictures(tmp_path)
    save(path, noise(2))
    np.testing.assert_array_equal(np.asarray(pictures[0]["image"]), noise(2))
    path.unlink()
    with pytest.raises(UnseeError, match=r"1\.png can no longer be read: No such file"):
        pictures[0]
    with pytest.raises(IndexError):
        pictures[1]


def test_broken_files_are_named_and_the_rest_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    save(tmp_path / "good.png", noise(0))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("I am no picture")
    for suffix in ("jpg", "png", "webp", "gif", "tif"):
        whole = save(tmp_path / f"truncated.{suffix}", noise(1, (64, 64)))
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    save(tmp_path / "bomb.png", Image.new("1", (80, 80)))
    save(tmp_path / "larger_bomb.png", Image.new("1", (200, 200)))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")

    pictures = read_pictures(tmp_path)

    assert [path.name for path in pictures.paths] == ["good.png"]
    reasons = {path.name: reason for path, reason in pictures.broken}
    truncated = {f"truncated.{suffix}" for suffix in ("jpg", "png", "webp", "gif", "tif")}
    others = {"empty.jpg", "text.png", "bomb.png", "larger_bomb.png", "pipe.png", "link.png"}
    assert set(reasons) == truncated | others
    assert reasons["empty.jpg"] == "empty file" and reasons["text.png"] == "not a picture"
    assert reasons["bomb.png"] == reasons["larger_bomb.png"] == "more than 5000 pixels"
    assert reasons["pipe.png"] == "not a regular file"
    assert reasons["link.png"] == "No such file or directory"
    assert "truncated" in reasons["truncated.jpg"]
    assert all(reasons.values())
    assert len(pictures.warnings()) == len(reasons)
    assert any("empty.jpg: empty file" in line for line in pictures.warnings())


def test_a_folder_linked_into_itself_is_read_once(tmp_path: Path) -> None:
    save(tmp_path / "all/ada/1.png", noise(1))
    (tmp_path / "all/ada/again").symlink_to(tmp_path / "all")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/linked").symlink_to(tmp_path / "all/ada")
    assert len(read_pictures(tmp_path / "all")) == 1
    assert read_pictures(tmp_path / "elsewhere").people == ["linked"]


def test_missing_folder_and_file_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match=r"there is no folder .*/absent"):
        read_pictures(tmp_path / "absent")
    path = save(tmp_path / "1.png", noise(1))
    with pytest.raises(UnseeError, match=r"1\.png is a file"):
        read_pictures(path)


def test_a_folder_without_pictures_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match=r"holds no picture: found no file at all; known are bmp"):
        read_pictures(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.heic").touch()
    with pytest.raises(UnseeError, match=r"holds no picture: found only 3 \.heic"):
        read_pictures(tmp_path)
    (tmp_path / "1.png").touch()
    with pytest.raises(UnseeError, match=r"the one picture in .* cannot be read \(1\.png: empty"):
        read_pictures(tmp_path)
    (tmp_path / "2.png").touch()
    with pytest.raises(UnseeError, match=r"none of the 2 pictures in .* can be read"):
        read_pictures(tmp_path)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))
    pixels = np.asarray(load_rgb(save(tmp_path / "1.png", image)))
    assert pixels[0].tolist() == [[200, 0, 0], [255] * 3, [204] * 3, [200, 0, 0]]
    palette = image.convert("P")
    pixels = np.asarray(
        load_rgb(save(tmp_path / "2.png", palette, transparency=palette.getpixel((1, 0))))
    )
    assert pixels[0, 1].tolist() == [255] * 3 and pixels[0, 0, 0] > 150


def test_palette_cmyk_and_grey(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (254, 0, 0))
    for number, mode in enumerate(["P", "CMYK"]):
        pixels = np.asarray(load_rgb(save(tmp_path / f"{number}.tif", red.convert(mode))))
        assert pixels.shape == (8, 8, 3)
        np.testing.assert_allclose(pixels[0, 0], [254, 0, 0], atol=2)
    assert np.unique(load_rgb(save(tmp_path / "l.png", Image.new("L", (8, 8), 77)))) == [77]


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (np.array([[0, 32768, 65535]], np.uint16), "png"),
        (np.array([[0, 32768, 65535]], np.uint16), "tif"),
        (np.array([[0, 32768, 65535]], np.int32), "tif"),
        (np.array([[0, 0.5, 1.0]], np.float32), "tif"),
        (np.array([[0, 127.6, 255.0]], np.float32), "tif"),
    ],
)
def test_deep_greyscale_is_scaled_not_clipped(
    tmp_path: Path, values: np.ndarray, suffix: str
) -> None:
    path = save(tmp_path / f"1.{suffix}", Image.fromarray(values))
    assert np.asarray(load_rgb(path))[0, :, 0].tolist() == [0, 128, 255]


def test_exif_turns_the_picture(tmp_path: Path) -> None:
    upright = noise(5)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by 90° clockwise to show
    path = save(tmp_path / "1.png", upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    np.testing.assert_array_equal(np.asarray(load_rgb(path)), upright)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("blue", "red", "lime")]
    path = save(tmp_path / "1.gif", frames[0], save_all=True, append_images=frames[1:])
    assert np.asarray(load_rgb(path))[0, 0].tolist() == [0, 0, 255]


def test_the_same_picture_is_found_under_another_name_and_format(tmp_path: Path) -> None:
    save(tmp_path / "forget/him/1.png", noise(1))
    save(tmp_path / "forget/him/2.png", noise(2))
    save(tmp_path / "forget/him/3.png", noise(3))
    save(tmp_path / "retain/a/holiday.bmp", noise(2))
    save(tmp_path / "retain/b/other.webp", noise(3), lossless=True)
    save(tmp_path / "retain/b/4.png", noise(4))
    save(
        tmp_path / "retain/b/reshaped.png", Image.fromarray(np.asarray(noise(1)).reshape(20, 12, 3))
    )
    forget, retain = read_pictures(tmp_path / "forget"), read_pictures(tmp_path / "retain")

    same = [(one.name, other.name) for one, other in find_same(forget, retain)]
    assert same == [("2.png", "holiday.bmp"), ("3.png", "other.webp")]
    with pytest.raises(UnseeError, match=r"2 pictures are both .*2\.png = .*holiday\.bmp"):
        check_disjoint(forget, retain)
    shutil.copy(tmp_path / "retain/a/holiday.bmp", tmp_path / "retain/a/again.bmp")
    retain = read_pictures(tmp_path / "retain")
    same = [(one.name, other.name) for one, other in find_same(forget, retain)]
    assert same == [("2.png", "again.bmp"), ("2.png", "holiday.bmp"), ("3.png", "other.webp")]
    with pytest.raises(UnseeError, match="2 pictures are both"):
        check_disjoint(forget, retain)


def test_many_shared_pictures_are_counted(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / f"forget/{number}.png", noise(number))
    shutil.copytree(tmp_path / "forget", tmp_path / "retain")
    forget, retain = read_pictures(tmp_path / "forget"), read_pictures(tmp_path / "retain")
    with pytest.raises(UnseeError, match=r"5 pictures are both .*; and 2 more\)"):
        check_disjoint(forget, retain)


def test_disjoint_sets_pass(tmp_path: Path) -> None:
    save(tmp_path / "forget/1.png", noise(1))
    save(tmp_path / "retain/1.png", noise(2))
    forget, retain = read_pictures(tmp_path / "forget"), read_pictures(tmp_path / "retain")
    assert find_same(forget, retain) == []
    check_disjoint(forget, retain)
