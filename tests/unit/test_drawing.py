"""Drawn faces: the same every time, truly 3-D, and as different as the people are."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest

from unsee.data.faces.drawing import draw, sheet
from unsee.data.faces.person import (
    BACKGROUNDS,
    BEARDS,
    CLOTHES,
    GEOMETRY,
    GLASSES,
    HAIR_COLORS,
    HAIR_STYLES,
    MARKS,
    Person,
    View,
    look_alike,
    sample_person,
    sample_view,
)
from unsee.data.faces.shape import build_head

PLAIN = Person(
    hair_color="black",
    hair_style="short",
    skin_tone="light",
    skin_jitter=(0.0, 0.0, 0.0),
    iris_color="brown",
    beard="none",
    glasses="none",
    glasses_color="black",
)
FRONT = View(light_azimuth=0.0, background="blue", clothes="green")


def _skin(picture: np.ndarray) -> np.ndarray:
    """Where a picture of `PLAIN` before `FRONT` shows skin, bool [s, s]."""
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    return (red > green + 15) & (green > blue - 10) & (red > 90)


def _center(mask: np.ndarray) -> tuple[float, float]:
    """Mean column and row of a mask."""
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.fixture
def people() -> list[Person]:
    rng = np.random.default_rng(3)
    return [sample_person(rng) for _ in range(5)]


def test_same_arguments_same_picture(people: list[Person]) -> None:
    view = sample_view(np.random.default_rng(1))
    first = draw(people[0], view)
    build_head.cache_clear()
    state = np.random.get_state()[1].copy()
    second = draw(people[0], view)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert np.array_equal(state, np.random.get_state()[1])


def test_sampling_follows_the_generator() -> None:
    a, b = (np.random.default_rng(5) for _ in range(2))
    assert sample_person(a) == sample_person(b)
    assert sample_view(a) == sample_view(b)
    assert sample_person(a) != sample_person(a)


def test_geometry_names_the_fields() -> None:
    person = sample_person(np.random.default_rng(0))
    assert person.geometry().tolist() == [getattr(person, name) for name in GEOMETRY]
    assert np.abs(person.geometry()).max() <= 1


def test_yaw_turns_the_face_to_its_side() -> None:
    columns = [_center(_skin(draw(PLAIN, replace(FRONT, yaw=yaw))))[0] for yaw in (-35, 0, 35)]
    assert columns[0] + 2 < columns[1] < columns[2] - 2


def test_pitch_lifts_the_face() -> None:
    rows = [_center(_skin(draw(PLAIN, replace(FRONT, pitch=pitch)))[:44])[1] for pitch in (-15, 15)]
    assert rows[1] < rows[0] - 1


def test_roll_tips_the_crown() -> None:
    dark = [draw(PLAIN, replace(FRONT, roll=roll))[:20].max(axis=2) < 90 for roll in (-10, 10)]
    assert _center(dark[0])[0] < _center(dark[1])[0] - 2


def test_light_brightens_its_side() -> None:
    picture = draw(PLAIN, replace(FRONT, light_azimuth=60.0)).astype(float)
    skin = _skin(draw(PLAIN, FRONT))
    left, right = skin.copy(), skin.copy()
    left[:, 32:], right[:, :32] = False, False
    assert picture[right].mean() > picture[left].mean() + 20


@pytest.mark.parametrize(
    "change",
    [
        {"smile": 1.0},
        {"mouth_open": 1.0},
        {"gaze_x": 0.9},
        {"gaze_y": 0.6},
        {"blink": 1.0},
        {"clothes": "red"},
        {"background": "yellow"},
        {"scale": 1.08},
        {"shift_x": 0.08},
        {"light_elevation": -5.0},
        {"noise_seed": 9},
    ],
)
def test_every_circumstance_shows(change: dict[str, float | str | int]) -> None:
    before, after = draw(PLAIN, FRONT), draw(PLAIN, replace(FRONT, **change))
    assert np.abs(before.astype(int) - after).max() > 20 or _distance(before, after) > 1


def test_gaze_moves_the_irises() -> None:
    pictures = [draw(PLAIN, replace(FRONT, gaze_x=g), 128).astype(int) for g in (-1.0, 1.0)]
    change = pictures[0].sum(axis=2) - pictures[1].sum(axis=2)
    change[:40], change[70:] = 0, 0
    darker_left, darker_right = change < -100, change > 100
    assert _center(darker_left)[0] < _center(darker_right)[0] - 2


def test_people_differ_more_than_camera_noise(people: list[Person]) -> None:
    for a, b in itertools.combinations(people, 2):
        again = _distance(draw(a, FRONT), draw(a, replace(FRONT, noise_seed=1)))
        assert _distance(draw(a, FRONT), draw(b, FRONT)) > 1.5 * again


@pytest.mark.parametrize("name", ["head_width", "jaw_width", "nose_tip", "eye_spacing", "hairline"])
def test_geometry_shows(name: str) -> None:
    low, high = (draw(replace(PLAIN, **{name: value}), FRONT) for value in (-1.0, 1.0))
    assert _distance(low, high) > 0.5


def test_look_alike_keeps_what_shows_and_changes_the_face(people: list[Person]) -> None:
    kept = ("hair_color", "hair_style", "skin_tone", "skin_jitter", "iris_color", "beard")
    for person in people:
        other = look_alike(person, np.random.default_rng(0))
        for name in (*kept, "glasses", "glasses_color"):
            assert getattr(other, name) == getattr(person, name)
        gap = other.geometry() - person.geometry()
        assert np.all(gap != 0) and np.sqrt(np.mean(gap**2)) >= 0.75
        assert _distance(draw(person, FRONT), draw(other, FRONT)) > 3


def test_look_alike_refuses_the_unreachable() -> None:
    with pytest.raises(ValueError, match=r"below 1\.1"):
        look_alike(PLAIN, np.random.default_rng(0), distance=1.15)


@pytest.mark.parametrize("size", [64, 128])
def test_everything_draws_without_a_warning(size: int) -> None:
    rng = np.random.default_rng(11)
    names = itertools.zip_longest(HAIR_STYLES, HAIR_COLORS, BEARDS, GLASSES, MARKS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for style, color, beard, glasses, mark in names:
            person = replace(
                sample_person(rng),
                hair_style=style,
                hair_color=color or "black",
                beard=beard or "full",
                glasses=glasses or "round",
                mark=mark or "none",
            )
            assert draw(person, sample_view(rng), size).std() > 10


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("extreme", [-1.0, 1.0])
def test_extremes_draw(sign: float, extreme: float) -> None:
    person = replace(PLAIN, glasses="square", **dict.fromkeys(GEOMETRY, extreme))
    view = View(
        yaw=40 * sign,
        pitch=15 * sign,
        roll=10 * sign,
        light_azimuth=70 * sign,
        smile=0.5 + sign / 2,
        mouth_open=1.0,
        scale=1.08,
        shift_x=0.08 * sign,
        shift_y=0.05 * sign,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = draw(person, view)
    assert 0.1 < _skin(picture).mean() < 0.8


def test_names_show_their_colors() -> None:
    means = {}
    for name in BACKGROUNDS:
        picture = draw(PLAIN, replace(FRONT, background=name))
        means[name] = picture[:12, :8].mean(axis=(0, 1))
    for name in CLOTHES:
        picture = draw(PLAIN, replace(FRONT, clothes=name))
        means[f"{name} clothes"] = picture[-4:, 20:44].mean(axis=(0, 1))
    for group in (BACKGROUNDS, [f"{c} clothes" for c in CLOTHES]):
        for a, b in itertools.combinations(group, 2):
            assert np.abs(means[a] - means[b]).max() > 25, (a, b)


def test_sheet_has_a_row_for_each_person(people: list[Person]) -> None:
    picture = sheet(people[:2], views_per_person=3, size=32, seed=4)
    assert picture.shape == (64, 96, 3)
    with pytest.raises(ValueError, match="at least one person"):
        sheet([], views_per_person=3)


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        draw(PLAIN, FRONT, size=4)
