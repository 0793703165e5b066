"""The head of a person as a table over directions.

A head is star-shaped: in each direction from its centre the surface has one radius. Directions are
laid out on a square by Lambert's equal-area azimuthal map around the face's z axis, so a lookup
costs two square roots and the face sits in the middle of the table. `build_head` fills, once for
a person, the radius, the normal, the colour and the occlusion of each cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from unsee.data.faces.layout import Array, Layout, layout_of, smoothstep
from unsee.data.faces.person import Person
from unsee.data.faces.texture import (
    brow_mask,
    hair_color,
    lip_color,
    skin_color,
    skin_table,
    strands,
)

GRID = 240
REACH = 2.01
"""Half the side of the table; the map of the sphere has radius 2."""


@dataclass(frozen=True)
class Blob:
    """An ellipsoid in head coordinates: centre, half axes, colour and how much it glosses."""

    center: tuple[float, float, float]
    axes: tuple[float, float, float]
    color: Array
    kind: str


@dataclass(frozen=True)
class Head:
    """A head ready to be drawn.

    Attributes:
        layout: Where the parts sit.
        radius: float32 [GRID * GRID], radius in each direction.
        table: float32 [GRID * GRID, 8]: normal (3), linear colour (3), occlusion, gloss.
        cloud: float32 [m, 3], points of the surface at every fourth cell.
        blobs: Ears, bun, long hair.
        skin: Linear skin colour [3].
        lips: Linear lip colour [3].
        hair: Linear hair colour [3].
    """

    layout: Layout
    radius: Array
    table: Array
    cloud: Array
    blobs: tuple[Blob, ...]
    skin: Array
    lips: Array
    hair: Array


@lru_cache(maxsize=1)
def _directions() -> tuple[Array, Array, Array]:
    """Unit vectors of the cells, three float32 [GRID, GRID]; beyond the sphere's image: back."""
    axis = np.linspace(-REACH, REACH, GRID, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    square = np.minimum(u * u + v * v, 3.999)
    factor = np.sqrt(1 - square / 4)
    return u * factor, v * factor, 1 - square / 2


def _bump(x: Array, y: Array, at: tuple[float, float], size: tuple[float, float]) -> Array:
    return np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)


def _skull(p: Person, lay: Layout, d: tuple[Array, Array, Array]) -> Array:
    """Radius of the bare head without its features."""
    dx, dy, dz = d
    jaw = 0.34 - 0.20 * p.jaw_width
    square = 2.25 + 0.35 * p.chin_width
    r = np.ones_like(dx)
    for power in (2.0, 2.0, square):
        y = r * dy
        low = np.clip(-y / lay.bottom, 0, 1)
        w = lay.width * (1 - jaw * smoothstep(0.1, 1.0, low) + 0.06 * p.forehead * np.clip(y, 0, 1))
        front = lay.depth * (1 - 0.10 * low + 0.07 * p.forehead * np.clip(y, 0, 1))
        z = np.where(dz > 0, front, lay.depth * 1.08 * (1 - 0.35 * low))
        h = np.where(dy > 0, lay.top, lay.bottom)
        if power == 2:
            r = 1 / np.sqrt((dx / w) ** 2 + (dy / h) ** 2 + (dz / z) ** 2)
        else:
            parts = [np.abs(q) ** power for q in (dx / w, dy / h, dz / z)]
            r = (parts[0] + parts[1] + parts[2] + np.float32(1e-9)) ** (-1 / power)
    return r


def _features(p: Person, lay: Layout, x: Array, y: Array) -> Array:
    """Relief of the front of the face, to be added to the radius."""
    ax = np.abs(x)
    relief = -(0.075 + 0.035 * p.eye_depth) * _bump(
        ax, y, (lay.eye_x - 0.02, lay.eye_y + 0.01), (lay.eye_w * 1.25, lay.eye_h * 1.7)
    )
    relief += 0.055 * _bump(ax, y, (lay.eye_x, lay.eye_y), (lay.eye_w * 0.75, lay.eye_h * 1.1))
    relief += (0.045 + 0.04 * p.eye_depth) * _bump(
        ax, y, (lay.eye_x * 0.8, lay.eye_y + lay.eye_h * 1.9), (0.26, 0.085)
    )
    cheek_y = lay.eye_y - 0.32
    relief += (0.04 + 0.07 * p.cheekbones) * _bump(ax, y, (lay.width * 0.68, cheek_y), (0.2, 0.15))
    relief += 0.075 * p.cheeks * _bump(ax, y, (lay.width * 0.55, lay.mouth_y + 0.08), (0.2, 0.2))
    # Nose: a ridge from the bridge to the tip, two wings, a steep underside.
    length = lay.eye_y - lay.nose_y
    s = np.clip((lay.eye_y + 0.10 - y) / (length + 0.10), 0, 1)
    tip = 0.26 + 0.10 * p.nose_tip
    bridge = 0.07 + 0.06 * p.nose_bridge
    height = bridge * smoothstep(0, 0.25, s) + (tip - bridge) * s ** (1.6 + 0.7 * p.nose_upturn)
    under = lay.nose_y - 0.05 + 0.05 * p.nose_upturn
    height *= smoothstep(under - 0.07, under + 0.05, y)
    wing = 0.14 + 0.055 * p.nose_width
    half = 0.075 + (wing * 0.72 - 0.045) * s**1.5
    relief += height * np.exp(-((x / half) ** 2))
    relief += 0.11 * _bump(ax, y, (wing * 0.85, lay.nose_y + 0.02), (wing * 0.45, 0.07))
    # Mouth and chin.
    relief += 0.05 * _bump(x, y, (0.0, lay.mouth_y), (lay.mouth_w * 1.2, 0.2))
    lips = 0.5 * (lay.upper_lip + lay.lower_lip)
    relief += lips * 0.7 * _bump(x, y, (0.0, lay.mouth_y), (lay.mouth_w * 0.8, lips * 1.3))
    relief -= 0.04 * _bump(x, y, (0.0, lay.mouth_y - lay.lower_lip * 2.2), (0.2, 0.06))
    relief += (0.07 + 0.09 * p.chin_forward) * _bump(
        x, y, (0.0, -lay.bottom * 0.88), (0.20 + 0.08 * p.chin_width, 0.16)
    )
    return relief


def _hair(
    p: Person, lay: Layout, at: tuple[Array, Array, Array], d: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    """How much of each cell is hair (0 to 1), and the thickness of that hair."""
    x, y, z = at
    front = z / lay.depth
    edge: Any = lay.top * (0.60 + 0.10 * p.hairline)
    style = p.hair_style
    side = -0.05 - 0.06 * p.hair_wave
    thick: Any = 0.10 + 0.035 * p.hair_volume
    if style == "bald":
        return np.zeros_like(x), np.zeros_like(x)
    if style == "receding":
        edge = lay.top * (0.84 + 0.06 * p.hairline) - 0.22 * np.exp(-((x / 0.2) ** 2))
        thick *= 0.7
    elif style == "fringe":
        edge = lay.eye_y + 0.33 + 0.06 * p.hairline + 0.03 * np.sin(9 * x + 3 * p.hair_wave)
        thick += 0.05
    elif style == "side part":
        sign = 1.0 if p.texture_seed % 2 else -1.0
        edge = edge + 0.05 - 0.30 * smoothstep(-0.45, 0.75, sign * x)
        thick = thick + 0.09 * smoothstep(-0.5, 0.4, sign * x)
    elif style in ("bob", "long"):
        part = 0.25 * p.hair_wave
        edge = edge + 0.12 - 0.75 * np.abs(x - part) ** 1.5
        side, thick = -0.75 + 0.18 * p.hair_wave, thick + 0.07
    elif style == "curly":
        thick += 0.22 + 0.08 * p.hair_volume
        side -= 0.12
    elif style == "bun":
        thick *= 0.65
    level = np.where(
        front > 0.30,
        side + (edge - side) * smoothstep(0.22, 0.62, front),
        side + (-0.62 - side) * smoothstep(0.25, -0.35, front),
    )
    if style == "mohawk":
        comb = smoothstep(0.22, 0.15, np.abs(x)) * smoothstep(edge - 0.03, edge + 0.03, y)
        comb = np.maximum(comb, smoothstep(0.22, 0.15, np.abs(x)) * (front < 0) * (y > -0.2))
        return comb, np.full_like(x, 0.24 + 0.10 * p.hair_volume)
    mask = smoothstep(-0.035, 0.035, y - level)
    full = mask * (0.55 + 0.45 * smoothstep(0.0, 0.30, y - level))
    if style in ("curly", "bob", "long", "fringe"):
        full = mask
    return mask, full / np.maximum(mask, 1e-6) * thick


def _beard(p: Person, lay: Layout, x: Array, y: Array, front: Array) -> tuple[Array, float]:
    """Where a beard grows (0 to 1) and how thick it is."""
    ax = np.abs(x)
    lip_top = lay.mouth_y + lay.upper_lip + 0.01
    band = smoothstep(lip_top - 0.03, lip_top + 0.02, y)
    band *= smoothstep(lay.nose_y - 0.03, lay.nose_y - 0.09, y + 0.12 * ax)
    moustache = band * smoothstep(lay.mouth_w + 0.09, lay.mouth_w + 0.02, ax)
    below = smoothstep(lay.mouth_y - 0.03, lay.mouth_y - 0.09, y)
    goatee = below * smoothstep(0.24, 0.18, ax)
    jaw = smoothstep(lay.eye_y - 0.52, lay.eye_y - 0.62, y - 0.75 * np.maximum(ax - 0.36, 0))
    sides = smoothstep(lay.mouth_w - 0.04, lay.mouth_w + 0.06, ax)
    full = jaw * np.maximum(sides, below) * smoothstep(-0.35, -0.1, front)
    if p.beard == "moustache":
        return moustache * (front > 0), 0.07
    if p.beard == "goatee":
        return np.maximum(goatee, moustache * 0.0) * (front > 0), 0.10
    if p.beard == "full":
        return np.maximum(full, moustache * (front > 0)), 0.10
    if p.beard == "stubble":
        return 0.5 * np.maximum(full, moustache * (front > 0)), 0.0
    return np.zeros_like(x), 0.0


def _blur(image: Array, reach: int) -> Array:
    """Box blur of a square, twice along each axis."""
    for axis in (0, 1, 0, 1):
        width = [(reach + 1, reach) if a == axis else (0, 0) for a in (0, 1)]
        total = np.cumsum(np.pad(image, width, mode="edge"), axis=axis, dtype=np.float64)
        upper = np.take(total, range(2 * reach + 1, total.shape[axis]), axis=axis)
        lower = np.take(total, range(0, total.shape[axis] - 2 * reach - 1), axis=axis)
        image = ((upper - lower) / (2 * reach + 1)).astype(np.float32)
    return image


def _blobs(p: Person, lay: Layout, skin: Array, hair: Array) -> tuple[Blob, ...]:
    """Ears, bun and long hair."""
    ear = 0.20 + 0.06 * p.ear_size
    out = lay.width * 0.95 + 0.05 + 0.05 * p.ear_protrusion
    ear_y = lay.eye_y - 0.16
    blobs = []
    if p.hair_style not in ("bob", "long"):
        for sign in (-1.0, 1.0):
            axes = (0.085 + 0.03 * p.ear_protrusion, ear, 0.12)
            blobs.append(Blob((sign * out, ear_y, -0.06), axes, skin, "ear"))
    if p.hair_style == "bun":
        size = 0.33 + 0.06 * p.hair_volume
        blobs.append(Blob((0.0, lay.top + 0.13, -0.16), (size, size * 0.9, size), hair, "hair"))
    if p.hair_style in ("bob", "long"):
        down = 1.45 + 0.12 * p.hair_volume if p.hair_style == "long" else 0.86
        axes = (lay.width + 0.22 + 0.06 * p.hair_volume, down, 0.62)
        middle = -0.55 if p.hair_style == "long" else -0.20
        blobs.append(Blob((0.0, middle, -0.38), axes, hair, "hair"))
    return tuple(blobs)


@lru_cache(maxsize=128)
def build_head(person: Person) -> Head:
    """Build the tables of a head; the last 128 people are kept."""
    p, lay, d = person, layout_of(person), _directions()
    dx, dy, dz = d
    skin, hair, lips = skin_color(p), hair_color(p), lip_color(p)
    radius = _skull(p, lay, d)
    x, y, z = radius * dx, radius * dy, radius * dz
    ahead = smoothstep(-0.05, 0.25, dz)
    radius = radius + ahead * _features(p, lay, x, y)
    color, gloss = skin_table(p, lay, skin, x, y, dz)

    front = z / lay.depth
    beard, beard_thick = _beard(p, lay, x, y, front)
    grown, thick = _hair(p, lay, (x, y, z), d)
    wave, shade = strands(p, x, y, z)
    brow = brow_mask(p, lay, x, y) * (dz > 0.1) * (1 - grown)
    radius = radius + beard * beard_thick + 0.035 * brow
    radius = radius + grown * thick * (1 + wave) + 0.10 * beard_thick * beard * shade

    tint = hair * (1 + 0.30 * shade[..., None])
    dark = hair * np.float32(0.75 if p.hair_color in ("grey", "white", "black") else 0.5)
    for mask, paint in ((brow, dark), (beard, tint * 0.85), (grown, tint)):
        color += mask[..., None] * (paint - color)
        gloss += mask * (0.25 - gloss)

    radius = radius.astype(np.float32)
    hollow = np.clip((_blur(radius, 5) - radius) * 5.5, -0.12, 0.6)
    occlusion = 1 - hollow
    points = [radius * dx, radius * dy, radius * dz]
    across = [np.gradient(q, axis=1) for q in points]
    down = [np.gradient(q, axis=0) for q in points]
    normal = np.stack(
        [
            across[1] * down[2] - across[2] * down[1],
            across[2] * down[0] - across[0] * down[2],
            across[0] * down[1] - across[1] * down[0],
        ],
        axis=-1,
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    table = np.concatenate(
        [normal, np.clip(color, 0, 1), occlusion[..., None], gloss[..., None]], axis=-1
    )
    return Head(
        layout=lay,
        radius=np.ascontiguousarray(radius.ravel()),
        table=np.ascontiguousarray(table.reshape(-1, 8), dtype=np.float32),
        cloud=np.stack([q[2::4, 2::4].ravel() for q in points], axis=1),
        blobs=_blobs(p, lay, skin, hair),
        skin=skin,
        lips=lips,
        hair=hair,
    )
