"""Draw a person as a small picture, in NumPy, in a few milliseconds.

* Parallel rays, two by two a pixel, walk to the star-shaped head of `unsee.data.faces.shape`.
* Ears, bun, long hair, neck and torso are quadrics met in closed form; glasses are flat rings.
* Eyes and mouth are painted where the rays land, so gaze and expression change by the picture.
* The same person and view give the same picture; no global randomness is used.

    picture = draw(sample_person(rng), sample_view(rng))  # uint8 [64, 64, 3]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from unsee.data.faces.features import glasses_layers, paint_face
from unsee.data.faces.layout import Array, smoothstep
from unsee.data.faces.person import Person, View, sample_view
from unsee.data.faces.rays import march, rotation, start
from unsee.data.faces.shape import Blob, Head, build_head
from unsee.data.faces.texture import paint_color, wall_color

_HALF = 1.32
_HEAD_Y = 0.13
_PIVOT = np.array([0.0, -0.6, -0.2])


@dataclass
class _Canvas:
    """Samples of a picture: colour (linear), depth towards the viewer, and the light."""

    x: Array
    y: Array
    depth: Array
    color: Array
    light: Array
    halfway: Array
    intensity: float
    ambient: float

    def shade(
        self,
        turn: Array,
        normal: Array,
        color: Array,
        occlusion: Array | float,
        gloss: Array | float,
    ) -> Array:
        """Light samples.

        Args:
            turn: Rotation from the normals' coordinates to the viewer's [3, 3].
            normal: Unit normals [n, 3].
            color: Linear colours [n, 3] or [3].
            occlusion: Share of the ambient light that arrives, [n] or one number.
            gloss: Strength of the highlight, [n] or one number.

        Returns:
            Linear colours [n, 3].
        """
        aim = np.stack([self.light, self.halfway, np.array([0.0, 1.0, 0.0])], axis=1)
        dots = normal @ (turn.T @ aim).astype(np.float32)
        lit, spot, up = dots[:, 0], np.maximum(dots[:, 1], 0), dots[:, 2]
        direct = np.maximum(lit, 0) * (0.5 + 0.5 * occlusion) * self.intensity
        bleed = 0.10 * np.maximum(1 - np.abs(lit) * 3, 0) * self.intensity
        around = self.ambient * (0.85 + 0.15 * up) * occlusion
        spot = spot * spot
        spot = spot * spot
        spot = spot * spot * spot
        diffuse = direct + around
        shine = spot * gloss * (lit > 0) * self.intensity
        out = np.empty(normal.shape, dtype=np.float32)
        for i in range(3):
            out[:, i] = color[..., i] * (diffuse + bleed if i == 0 else diffuse) + shine
        return out


def _draw_blob(canvas: _Canvas, blob: Blob, turn: Array, origin: Array) -> None:
    """Draw an ellipsoid given in coordinates turned by `turn` about `origin`."""
    center = origin + turn @ np.array(blob.center)
    axes = np.array(blob.axes)
    extent = np.sqrt(((turn * axes) ** 2).sum(axis=1))
    size = canvas.x.shape[1]
    step = canvas.x[0, 1] - canvas.x[0, 0]
    left = int(np.clip((center[0] - extent[0] - canvas.x[0, 0]) / step, 0, size))
    right = int(np.clip((center[0] + extent[0] - canvas.x[0, 0]) / step + 2, 0, size))
    top = int(np.clip((canvas.y[0, 0] - center[1] - extent[1]) / step, 0, size))
    bottom = int(np.clip((canvas.y[0, 0] - center[1] + extent[1]) / step + 2, 0, size))
    if left >= right or top >= bottom:
        return
    box = np.s_[top:bottom, left:right]
    x, y = canvas.x[0, left:right] - center[0], canvas.y[top:bottom, :1] - center[1]
    m = (turn.T / axes[:, None]).astype(np.float32)
    e = [x.astype(np.float32) * m[i, 0] + y.astype(np.float32) * m[i, 1] for i in range(3)]
    ff = float((m[:, 2] ** 2).sum())
    ef = e[0] * m[0, 2] + e[1] * m[1, 2] + e[2] * m[2, 2]
    rest = ef * ef - ff * (e[0] * e[0] + e[1] * e[1] + e[2] * e[2] - 1)
    s = (np.sqrt(np.maximum(rest, 0)) - ef) / ff
    z = s + np.float32(center[2])
    rows, columns = np.nonzero((rest > 0) & (z > canvas.depth[box]))
    if not len(rows):
        return
    s = s[rows, columns]
    q = np.stack([e[i][rows, columns] + s * m[i, 2] for i in range(3)], axis=1)
    normal = q / axes.astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    color: Array = blob.color
    occlusion: Array | float = 0.9
    gloss = 0.1
    if blob.kind == "hair":
        line = np.sin(26 * np.arctan2(q[:, 0], q[:, 2] + 0.3) + 2.0 * np.sin(3 * q[:, 1]))
        line += 0.6 * np.sin(47 * q[:, 0] + 3 * q[:, 2])
        color = blob.color * (1 + 0.22 * line[:, None])
        normal = normal + (0.12 * line)[:, None] * np.array([1, 0, 0], dtype=np.float32)
        occlusion, gloss = 0.55 + 0.45 * np.abs(q[:, 0]), 0.2
    elif blob.kind == "ear":
        inner = np.exp(-2.5 * (q[:, 1] ** 2 + (q[:, 2] - 0.35) ** 2))
        color = blob.color * (1 - 0.45 * inner[:, None] * np.array([0.6, 1, 1], dtype=np.float32))
    elif blob.kind == "cloth":
        fold = np.sin(9 * q[:, 0] + 3 * q[:, 1])
        color = blob.color * (1 + 0.06 * fold[:, None])
        gloss = 0.02
    canvas.color[box][rows, columns] = canvas.shade(turn, normal, color, occlusion, gloss)
    canvas.depth[box][rows, columns] = z[rows, columns]


def _draw_head(
    canvas: _Canvas, person: Person, view: View, head: Head, turn: Array, origin: Array
) -> None:
    x, y = canvas.x[0] - np.float32(origin[0]), canvas.y[:, 0] - np.float32(origin[1])
    row, column, z = start(head, turn, x, y)
    index, z, cell = march(head, turn, x[column], y[row], z)
    cells = head.table.take(cell, axis=0)
    normal, color = np.ascontiguousarray(cells[:, :3]), np.ascontiguousarray(cells[:, 3:6])
    occlusion, gloss = cells[:, 6].copy(), cells[:, 7].copy()
    a, b, c = turn.astype(np.float32)
    row, column = row[index], column[index]
    x, y = x[column], y[row]
    at = [x * a[i] + y * b[i] + z * c[i] for i in range(3)]
    paint_face(person, view, head, at, normal, color, gloss)
    canvas.color[row, column] = canvas.shade(turn, normal, color, occlusion, gloss)
    canvas.depth[row, column] = z + np.float32(origin[2])


def _draw_neck(canvas: _Canvas, person: Person, head: Head) -> None:
    half = 0.37 + 0.07 * person.neck_width
    size = canvas.x.shape[0]
    top = int(np.searchsorted(-canvas.y[:, 0], 0.45))
    columns = np.flatnonzero(np.abs(canvas.x[0]) < half)
    if top >= size or not len(columns):
        return
    box = np.s_[top:, columns[0] : columns[-1] + 1]
    side = canvas.x[box] / half
    front = np.sqrt(np.maximum(1 - side * side, 0))
    z = -0.2 + 0.36 * front
    seen = z > canvas.depth[box]
    y = canvas.y[box][seen]
    normal = np.stack([side[seen], np.zeros_like(y), front[seen]], axis=1)
    shadow = 0.30 + 0.70 * smoothstep(-0.80, -1.40, y)
    color = head.skin * (0.55 + 0.45 * shadow[:, None])
    canvas.color[box][seen] = canvas.shade(np.eye(3), normal, color, shadow, 0.05)
    canvas.depth[box][seen] = z[seen]


def _draw_glasses(canvas: _Canvas, person: Person, head: Head, turn: Array, origin: Array) -> None:
    x, y = canvas.x[0] - np.float32(origin[0]), canvas.y[:, 0] - np.float32(origin[1])
    middle = turn @ np.array([0.0, head.layout.eye_y, 0.7 * head.layout.depth])
    columns = np.flatnonzero(np.abs(x - middle[0]) < 1.05)
    rows = np.flatnonzero(np.abs(y - middle[1]) < 0.62)
    if not len(columns) or not len(rows):
        return
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    x, y = canvas.x[box] - np.float32(origin[0]), canvas.y[box] - np.float32(origin[1])
    canvas_color, canvas_depth = canvas.color[box], canvas.depth[box]
    color = paint_color(person.glasses_color)
    for mask, z in glasses_layers(person, head, turn, x, y):
        z = z + np.float32(origin[2])
        seen = mask & (z + 0.04 > canvas_depth)
        normal = np.broadcast_to(np.array([0, 0, 1], dtype=np.float32), (int(seen.sum()), 3))
        canvas_color[seen] = canvas.shade(turn, normal, color, 1.0, 0.08)
        canvas_depth[seen] = z[seen]


@lru_cache(maxsize=8)
def _ramp(size: int, knots: int) -> Array:
    """Linear interpolation from `knots` values to `size`, float32 [size, knots]."""
    at = np.linspace(0, knots - 1, size)[:, None]
    return np.maximum(1 - np.abs(at - np.arange(knots)), 0).astype(np.float32)


def _background(view: View, size: int, rng: np.random.Generator) -> Array:
    """Linear colours [size, size, 3] behind the person."""
    ramp = _ramp(size, 6)
    knots = rng.standard_normal((4, 6, 6), dtype=np.float32)
    tone, *blotch = ramp @ knots @ ramp.T
    slope = rng.uniform(-0.35, 0.35, 2).tolist()
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    light = 0.78 + slope[0] * axis[:, None] + slope[1] * axis + 0.14 * tone
    light = np.minimum(np.maximum(light, 0.3), 1.3) * rng.uniform(0.75, 1.1)
    paint = wall_color(view.background)
    return np.stack([light * paint[i] + 0.011 * blotch[i] for i in range(3)], axis=-1)


def _halve(samples: Array) -> Array:
    """Mean of each two by two samples, [2 s, 2 s, c] to [s, s, c]."""
    rows = samples[0::2] + samples[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def draw(person: Person, view: View, size: int = 64) -> Array:
    """Draw a picture of a person.

    Args:
        person: Who is drawn.
        view: Pose, light, expression and surroundings.
        size: Side of the picture in pixels, at least 8.

    Returns:
        sRGB picture, uint8 [size, size, 3]. The same arguments give the same picture.

    Raises:
        ValueError: `size` is below 8.
    """
    if size < 8:
        raise ValueError(f"draw: size must be at least 8 pixels, got {size}")
    head = build_head(person)
    turn = rotation(view.yaw, view.pitch, view.roll)
    azimuth, elevation = np.radians([view.light_azimuth, view.light_elevation])
    light = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )
    halfway = light + np.array([0.0, 0.0, 1.0])
    halfway /= np.linalg.norm(halfway)
    samples = 2 * size
    axis = ((np.arange(samples) + 0.5) / size - 1) * _HALF / view.scale
    x = (axis - view.shift_x * _HALF).astype(np.float32)
    y = (-axis - view.shift_y * _HALF - _HEAD_Y).astype(np.float32)
    grid_x, grid_y = np.meshgrid(x, y)
    canvas = _Canvas(
        x=grid_x,
        y=grid_y,
        depth=np.full((samples, samples), -9.0, dtype=np.float32),
        color=np.zeros((samples, samples, 3), dtype=np.float32),
        light=light,
        halfway=halfway,
        intensity=0.72 * view.light_intensity,
        ambient=view.ambient,
    )
    origin = _PIVOT - turn @ _PIVOT
    _draw_head(canvas, person, view, head, turn, origin)
    for blob in head.blobs:
        _draw_blob(canvas, blob, turn, origin)
    _draw_neck(canvas, person, head)
    torso = Blob((0.0, -2.02, -0.25), (1.28, 0.86, 0.62), paint_color(view.clothes), "cloth")
    _draw_blob(canvas, torso, rotation(0.4 * view.yaw, 0, 0), np.zeros(3))
    if person.glasses != "none":
        _draw_glasses(canvas, person, head, turn, origin)

    rng = np.random.default_rng(view.noise_seed)
    cover = _halve((canvas.depth > -8).astype(np.float32)[..., None])
    front = _halve(np.minimum(canvas.color, 1))
    out = front + (1 - cover) * _background(view, size, rng)
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * 2.5
    out = np.sqrt(np.minimum(np.maximum(out, 0), 1)) * 255 + (grain + 0.5)
    return np.minimum(np.maximum(out, 0), 255).astype(np.uint8)


def sheet(
    people: Sequence[Person], views_per_person: int = 12, size: int = 64, seed: int = 0
) -> Array:
    """Draw people side by side, for looking at.

    Args:
        people: One row each.
        views_per_person: Columns: pictures of each person under views drawn at random.
        size: Side of a picture in pixels.
        seed: Seeds the views.

    Returns:
        uint8 [len(people) * size, views_per_person * size, 3].

    Raises:
        ValueError: There is nobody, or no view, to draw.
    """
    if not people or views_per_person < 1:
        raise ValueError("sheet: needs at least one person and one view")
    rng = np.random.default_rng(seed)
    rows = [
        np.concatenate([draw(p, sample_view(rng), size) for _ in range(views_per_person)], axis=1)
        for p in people
    ]
    return np.concatenate(rows, axis=0)
