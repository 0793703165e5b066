"""Colours of skin, hair, lips and brows, and the marks painted on a face.

Colours are linear (the square of the value shown): light multiplies them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unsee.data.faces.layout import Array, Layout, smoothstep
from unsee.data.faces.person import Person

_HAIR = {
    "black": (22, 20, 24),
    "brown": (102, 62, 34),
    "blond": (232, 190, 96),
    "red": (172, 64, 26),
    "grey": (134, 137, 144),
    "white": (244, 243, 240),
}
_SKIN = {
    "pale": (250, 220, 204),
    "light": (236, 192, 160),
    "tan": (212, 156, 114),
    "olive": (184, 138, 92),
    "brown": (142, 92, 62),
    "dark": (104, 67, 49),
}
_IRIS = {
    "brown": (92, 50, 22),
    "blue": (50, 120, 205),
    "green": (60, 150, 80),
    "hazel": (140, 110, 40),
    "grey": (125, 140, 150),
    "amber": (205, 130, 25),
}
_PAINT = {
    "red": (200, 50, 46),
    "green": (52, 150, 68),
    "blue": (50, 88, 196),
    "yellow": (235, 203, 58),
    "black": (28, 28, 31),
    "white": (242, 242, 242),
    "gold": (196, 150, 60),
}
_WALL = {
    "red": (206, 84, 80),
    "green": (92, 168, 104),
    "blue": (86, 122, 206),
    "yellow": (240, 212, 104),
    "purple": (156, 96, 186),
    "grey": (150, 150, 152),
}


def _linear(rgb: tuple[int, int, int]) -> Array:
    return (np.array(rgb, dtype=np.float32) / 255) ** 2


def paint_color(name: str) -> Array:
    """Linear colour [3] of clothes or a frame, by name."""
    return _linear(_PAINT[name])


def wall_color(name: str) -> Array:
    """Linear colour [3] of a background, by name."""
    return _linear(_WALL[name])


def hair_color(person: Person) -> Array:
    """Linear colour [3] of a person's hair."""
    return _linear(_HAIR[person.hair_color])


def iris_color(person: Person) -> Array:
    """Linear colour [3] of a person's irises."""
    return _linear(_IRIS[person.iris_color])


def skin_color(person: Person) -> Array:
    """Linear colour [3] of a person's skin."""
    light, red, yellow = person.skin_jitter
    shift = np.array([light + red, light - 0.6 * red, light - 0.6 * red - yellow])
    return (_linear(_SKIN[person.skin_tone]) * (1 + 0.13 * shift)).astype(np.float32)


def lip_color(person: Person) -> Array:
    """Linear colour [3] of a person's lips."""
    share: float = 0.55 + 0.35 * person.lip_redness
    own = skin_color(person) * np.array([0.80, 0.40, 0.40])
    rouge = np.array([0.48, 0.06, 0.08]) * (0.5 + own[0])
    return (own * (1 - share) + rouge * share).astype(np.float32)


def brow_mask(p: Person, lay: Layout, x: Array, y: Array) -> Array:
    """Where the brows are, 0 to 1, on the front of the face."""
    along = (np.abs(x) - lay.eye_x) / (lay.eye_w * (1.25 + 0.25 * p.brow_length))
    middle: Any = lay.eye_y + lay.eye_h + 0.115 + 0.05 * p.brow_height
    middle = middle + 0.09 * p.brow_tilt * along + (0.03 + 0.04 * p.brow_arch) * (1 - along**2)
    half = (0.050 + 0.034 * p.brow_thickness) * (1 - 0.45 * np.clip(along, -1, 1))
    return smoothstep(1.25, 0.75, np.abs(y - middle) / half) * smoothstep(1.1, 0.9, np.abs(along))


def skin_table(
    p: Person, lay: Layout, skin: Array, x: Array, y: Array, dz: Array
) -> tuple[Array, Array]:
    """Paint bare skin.

    Args:
        p: The person.
        lay: Where the parts of the face sit.
        skin: Linear skin colour [3].
        x: Head coordinates of the cells, [GRID, GRID], likewise `y`.
        y: See `x`.
        dz: How much each cell's direction points forward, [GRID, GRID].

    Returns:
        Linear colours [GRID, GRID, 3] and gloss [GRID, GRID], both float32.
    """
    ax = np.abs(x)
    front = (dz > 0).astype(np.float32)
    blush = np.exp(-(((ax - lay.width * 0.58) / 0.2) ** 2) - ((y - lay.nose_y - 0.04) / 0.16) ** 2)
    blush = 0.5 * blush + 0.6 * np.exp(-((x / 0.13) ** 2) - ((y - lay.nose_y) / 0.12) ** 2)
    tint = 1 - front[..., None] * blush[..., None] * np.array([0.02, 0.26, 0.22], dtype=np.float32)
    color = skin * tint
    socket = np.exp(
        -(((ax - lay.eye_x) / (lay.eye_w * 1.3)) ** 2) - ((y - lay.eye_y) / (lay.eye_h * 1.9)) ** 2
    )
    color = color * (1 - 0.24 * (socket * front)[..., None])
    nostril = np.exp(
        -(((ax - 0.065 - 0.02 * p.nose_width) / 0.045) ** 2)
        - ((y - lay.nose_y + 0.055) / 0.03) ** 2
    )
    color = color * (1 - 0.75 * (nostril * front)[..., None])
    if p.mark == "freckles":
        rng = np.random.default_rng(p.texture_seed)
        spots = np.zeros_like(x)
        part = (np.abs(y - lay.eye_y + 0.30) < 0.35) & (front > 0)
        px, py, sum_ = x[part], y[part], np.zeros_like(x[part])
        for fx, fy in rng.normal(0, 1, (26, 2)).tolist():
            at_x, at_y = fx * 0.32, lay.eye_y - 0.30 + 0.10 * fy
            sum_ += np.exp(-((px - at_x) ** 2 + (py - at_y) ** 2) / 0.022**2)
        spots[part] = sum_
        color = color * (1 - 0.5 * np.clip(spots * front, 0, 1)[..., None])
    elif p.mark in ("mole", "scar"):
        side = 1.0 if p.mark_x > 0 else -1.0
        at_x = side * (0.22 + 0.25 * abs(p.mark_x))
        at_y = lay.eye_y - 0.42 + 0.20 * p.mark_y
        if p.mark == "mole":
            spot = np.exp(-((((x - at_x) ** 2 + (y - at_y) ** 2) / 0.042**2) ** 2))
            color = color * (1 - 0.85 * (spot * front)[..., None])
        else:
            along = (x - at_x) * 0.5 + (y - at_y)
            off = (x - at_x) - (y - at_y) * 0.5
            cut = np.exp(-((off / 0.028) ** 2) - (along / 0.17) ** 4)
            scar = skin * 0.5 + np.array([0.42, 0.16, 0.15], dtype=np.float32)
            color = color + 0.8 * (cut * front)[..., None] * (scar - color)
    gloss = 0.16 + 0.14 * np.exp(-((x / 0.25) ** 2)) * front
    return color.astype(np.float32), gloss.astype(np.float32)


def strands(p: Person, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
    """Relief of the hair as a share of its thickness, and its light and dark in [-1, 1]."""
    rng = np.random.default_rng(p.texture_seed + 1)
    a, b, c = rng.uniform(0, 2 * np.pi, 3)
    if p.hair_style == "curly":
        f = 10 + 2.5 * p.hair_wave
        lumps = np.sin(f * x + a) * np.sin(f * y + b) * np.sin(f * z + c)
        lumps = lumps + 0.6 * np.sin(1.7 * f * x + b) * np.sin(1.7 * f * y + c)
        return 0.22 * lumps, np.clip(1.1 * lumps, -1, 1)
    if p.hair_style in ("bob", "long", "fringe"):
        angle = np.arctan2(x, z + 0.15)
        line = np.sin(24 * angle + 4 * p.hair_wave * np.sin(3 * y + a))
        line = 0.6 * line + 0.4 * np.sin(53 * angle + b)
    else:
        flow = x + 0.45 * p.hair_wave * z + 0.10 * np.sin(4 * z + a)
        line = 0.6 * np.sin(26 * flow + b) + 0.4 * np.sin(55 * flow + c)
    return 0.09 * line, line
