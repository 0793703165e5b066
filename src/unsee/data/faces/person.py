"""Who is drawn, and how a picture of them is taken.

* `Person`: everything that stays the same between two pictures of somebody.
* `View`: everything that changes from picture to picture.
* `sample_person`, `look_alike`, `sample_view`: draw them from a NumPy generator.

Conventions. "Right" is the *viewer's* right throughout. In head coordinates x points right, y up
and z out of the face; one unit is about half the height of a head. Geometric parameters run from
-1 to 1 with 0 an average face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

HAIR_COLORS = ("black", "brown", "blond", "red", "grey", "white")
HAIR_STYLES = (
    "bald",
    "short",
    "side part",
    "receding",
    "fringe",
    "curly",
    "bob",
    "long",
    "bun",
    "mohawk",
)
SKIN_TONES = ("pale", "light", "tan", "olive", "brown", "dark")
IRIS_COLORS = ("brown", "blue", "green", "hazel", "grey", "amber")
BEARDS = ("none", "stubble", "moustache", "full", "goatee")
GLASSES = ("none", "round", "square")
GLASSES_COLORS = ("black", "red", "blue", "gold")
MARKS = ("none", "mole", "freckles", "scar")
BACKGROUNDS = ("red", "green", "blue", "yellow", "purple", "grey")
CLOTHES = ("red", "green", "blue", "yellow", "black", "white")

GEOMETRY = (
    "head_width",
    "head_height",
    "head_depth",
    "forehead",
    "jaw_width",
    "chin_length",
    "chin_width",
    "chin_forward",
    "cheekbones",
    "cheeks",
    "nose_length",
    "nose_width",
    "nose_bridge",
    "nose_tip",
    "nose_upturn",
    "eye_size",
    "eye_openness",
    "eye_spacing",
    "eye_height",
    "eye_tilt",
    "eye_depth",
    "brow_thickness",
    "brow_height",
    "brow_tilt",
    "brow_arch",
    "brow_length",
    "mouth_width",
    "mouth_height",
    "upper_lip",
    "lower_lip",
    "lip_redness",
    "ear_size",
    "ear_protrusion",
    "neck_width",
    "hairline",
    "hair_volume",
    "hair_wave",
)
"""Names of the continuous parameters of `Person`, each in [-1, 1]."""


@dataclass(frozen=True)
class Person:
    """Everything that stays the same between two pictures of somebody.

    Attributes:
        hair_color: One of `HAIR_COLORS`; brows and beard follow it, also of a bald person.
        hair_style: One of `HAIR_STYLES`.
        skin_tone: One of `SKIN_TONES`.
        skin_jitter: Offsets of the skin from its tone: lightness, redness, yellowness in [-1, 1].
        iris_color: One of `IRIS_COLORS`.
        beard: One of `BEARDS`.
        glasses: One of `GLASSES`.
        glasses_color: One of `GLASSES_COLORS`; without effect where there are no glasses.
        mark: One of `MARKS`.
        mark_x: Where the mark sits, from -1 (left cheek) to 1 (right cheek).
        mark_y: Where the mark sits, from -1 (jaw) to 1 (below the eye).
        texture_seed: Seeds the hair's strands and the freckles.

    The other attributes are the geometric parameters named in `GEOMETRY`.
    """

    hair_color: str
    hair_style: str
    skin_tone: str
    skin_jitter: tuple[float, float, float]
    iris_color: str
    beard: str
    glasses: str
    glasses_color: str
    mark: str = "none"
    mark_x: float = 0.0
    mark_y: float = 0.0
    texture_seed: int = 0
    head_width: float = 0.0
    head_height: float = 0.0
    head_depth: float = 0.0
    forehead: float = 0.0
    jaw_width: float = 0.0
    chin_length: float = 0.0
    chin_width: float = 0.0
    chin_forward: float = 0.0
    cheekbones: float = 0.0
    cheeks: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0
    nose_bridge: float = 0.0
    nose_tip: float = 0.0
    nose_upturn: float = 0.0
    eye_size: float = 0.0
    eye_openness: float = 0.0
    eye_spacing: float = 0.0
    eye_height: float = 0.0
    eye_tilt: float = 0.0
    eye_depth: float = 0.0
    brow_thickness: float = 0.0
    brow_height: float = 0.0
    brow_tilt: float = 0.0
    brow_arch: float = 0.0
    brow_length: float = 0.0
    mouth_width: float = 0.0
    mouth_height: float = 0.0
    upper_lip: float = 0.0
    lower_lip: float = 0.0
    lip_redness: float = 0.0
    ear_size: float = 0.0
    ear_protrusion: float = 0.0
    neck_width: float = 0.0
    hairline: float = 0.0
    hair_volume: float = 0.0
    hair_wave: float = 0.0

    def geometry(self) -> np.ndarray:
        """The continuous parameters, float64 [37], in the order of `GEOMETRY`."""
        return np.array([getattr(self, name) for name in GEOMETRY])


@dataclass(frozen=True)
class View:
    """Everything that changes from picture to picture.

    Attributes:
        yaw: Degrees; above 0 the nose points to the viewer's right.
        pitch: Degrees; above 0 the face looks up.
        roll: Degrees; above 0 the crown tips to the viewer's right.
        light_azimuth: Degrees; above 0 the light comes from the viewer's right.
        light_elevation: Degrees; above 0 the light comes from above.
        light_intensity: Strength of the directed light, about 1.
        ambient: Strength of the light from everywhere, about 0.5.
        smile: From 0 (sad) over about 0.35 (neutral) to 1 (a grin).
        mouth_open: From 0 (closed) to 1.
        gaze_x: From -1 to 1, relative to the head; above 0 the eyes turn to the viewer's right.
        gaze_y: From -1 to 1, relative to the head; above 0 the eyes turn up.
        blink: From 0 (eyes open) to 1 (closed).
        background: One of `BACKGROUNDS`.
        clothes: One of `CLOTHES`.
        scale: Size of the person in the picture, about 1.
        shift_x: Offset to the viewer's right, as a share of half the picture.
        shift_y: Offset upwards, as a share of half the picture.
        noise_seed: Seeds the texture of the background and the camera's noise.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    light_azimuth: float = -25.0
    light_elevation: float = 30.0
    light_intensity: float = 1.0
    ambient: float = 0.5
    smile: float = 0.5
    mouth_open: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    blink: float = 0.0
    background: str = "grey"
    clothes: str = "blue"
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    noise_seed: int = 0


def _pick(rng: np.random.Generator, names: tuple[str, ...], weights: tuple[float, ...]) -> str:
    share = np.asarray(weights) / np.sum(weights)
    return names[int(rng.choice(len(names), p=share))]


def _draw_geometry(rng: np.random.Generator) -> dict[str, Any]:
    """Extremes are more frequent than averages, so that people differ as much as small pictures
    of them ask for: standard deviation 0.71."""
    drawn = np.sin(np.pi / 2 * rng.uniform(-1, 1, len(GEOMETRY)))
    return dict(zip(GEOMETRY, drawn.tolist(), strict=True))


def _draw_mark(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "mark": _pick(rng, MARKS, (5, 2, 2, 1)),
        "mark_x": float(rng.uniform(-1, 1)),
        "mark_y": float(rng.uniform(-1, 1)),
        "texture_seed": int(rng.integers(2**31)),
    }


def sample_person(rng: np.random.Generator) -> Person:
    """Draw a person at random.

    Args:
        rng: Source of randomness; the same state gives the same person.

    Returns:
        The person.
    """
    return Person(
        hair_color=str(rng.choice(HAIR_COLORS)),
        hair_style=_pick(rng, HAIR_STYLES, (1, 2, 2, 1.5, 2, 2, 2, 2, 2, 1)),
        skin_tone=str(rng.choice(SKIN_TONES)),
        skin_jitter=tuple(rng.uniform(-1, 1, 3).tolist()),
        iris_color=str(rng.choice(IRIS_COLORS)),
        beard=_pick(rng, BEARDS, (5, 1.2, 1.2, 1.2, 1.2)),
        glasses=_pick(rng, GLASSES, (3, 1, 1)),
        glasses_color=str(rng.choice(GLASSES_COLORS)),
        **_draw_mark(rng),
        **_draw_geometry(rng),
    )


def look_alike(person: Person, rng: np.random.Generator, distance: float = 0.9) -> Person:
    """Draw somebody with the same visible traits and another face.

    Hair colour and style, skin, irises, beard and glasses stay; every geometric parameter and
    the marks are drawn anew.

    Args:
        person: Whom to resemble.
        rng: Source of randomness.
        distance: Least root mean square difference of the geometric parameters, below 1.1.

    Returns:
        The other person.

    Raises:
        ValueError: `distance` is 1.1 or more, which hardly any draw reaches.
    """
    if distance >= 1.1:
        raise ValueError(f"look_alike: distance must be below 1.1, got {distance}")
    while True:
        geometry = _draw_geometry(rng)
        other = replace(person, **_draw_mark(rng), **geometry)
        gap = other.geometry() - person.geometry()
        if np.sqrt(np.mean(gap**2)) >= distance:
            return other


def sample_view(rng: np.random.Generator) -> View:
    """Draw the circumstances of a picture at random.

    Args:
        rng: Source of randomness; the same state gives the same view.

    Returns:
        The view.
    """

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    return View(
        yaw=between(-40, 40),
        pitch=between(-12, 12),
        roll=between(-8, 8),
        light_azimuth=between(-70, 70),
        light_elevation=between(-5, 55),
        light_intensity=between(0.8, 1.2),
        ambient=between(0.4, 0.6),
        smile=between(0, 1),
        mouth_open=max(0.0, between(-0.6, 1)),
        gaze_x=between(-1, 1),
        gaze_y=between(-0.6, 0.6),
        blink=max(0.0, between(-0.9, 0.4)),
        background=str(rng.choice(BACKGROUNDS)),
        clothes=str(rng.choice(CLOTHES)),
        scale=between(0.95, 1.05),
        shift_x=between(-0.08, 0.08),
        shift_y=between(-0.05, 0.05),
        noise_seed=int(rng.integers(2**31)),
    )
