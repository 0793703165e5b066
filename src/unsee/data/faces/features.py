"""What changes on a face from picture to picture (eyes, mouth), and the glasses before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unsee.data.faces.layout import Array, smoothstep
from unsee.data.faces.person import Person, View
from unsee.data.faces.shape import Head
from unsee.data.faces.texture import iris_color

_WHITE = np.array([0.86, 0.85, 0.84], dtype=np.float32)
_TOOTH = np.array([0.88, 0.86, 0.80], dtype=np.float32)
_DARK = np.array([0.045, 0.012, 0.012], dtype=np.float32)


def _blend(color: Array, mask: Array, paint: Array) -> None:
    for i in range(3):
        color[:, i] += mask * (paint[..., i] - color[:, i])


def _paint_eyes(person: Person, view: View, head: Head, x: Array, y: Array, color: Array) -> Array:
    """Paint both eyes into `color` [n, 3]; returns how much of each sample is eyeball [n]."""
    lay = head.layout
    side = np.sign(x)
    ex, ey = np.abs(x) - np.float32(lay.eye_x), y - np.float32(lay.eye_y)
    cos, sin = np.cos(lay.eye_tilt), np.sin(lay.eye_tilt)
    ex, ey = ex * cos + ey * sin, ey * cos - ex * sin
    along = ex / lay.eye_w
    arch = np.maximum(1 - along * along, 0)
    upper = lay.eye_h * arch**0.7 * (1 - 1.55 * view.blink)
    lower = -lay.eye_h * 0.75 * arch
    upper = np.maximum(upper, lower + 0.004)
    soft = 0.018
    inside = smoothstep(-soft, soft, upper - ey) * smoothstep(-soft, soft, ey - lower)
    inside = inside * (np.abs(along) < 1)
    ball = np.broadcast_to(_WHITE, color.shape).copy()
    ball *= (0.72 + 0.28 * smoothstep(0, 0.08, upper - ey))[:, None]
    iris_r = 0.60 * lay.eye_h + 0.035
    gx = ex - side * view.gaze_x * (lay.eye_w - 0.55 * iris_r) * 0.68
    gy = ey - view.gaze_y * lay.eye_h * 0.5 - 0.01
    off = np.sqrt(gx * gx + gy * gy)
    iris = iris_color(person) * (0.75 + 0.5 * smoothstep(0.3, 1.0, off / iris_r))[:, None]
    iris = iris * (1 - 0.5 * smoothstep(0.8, 1.0, off / iris_r))[:, None]
    _blend(ball, smoothstep(iris_r + 0.012, iris_r - 0.012, off), iris)
    _blend(
        ball,
        smoothstep(0.55 * iris_r, 0.40 * iris_r, off),
        np.array([0.01, 0.01, 0.01], dtype=np.float32),
    )
    glint = (gx * side + 0.03) ** 2 + (gy - 0.035) ** 2
    _blend(ball, smoothstep(0.0016, 0.0006, glint), np.array([1, 1, 1], dtype=np.float32))
    _blend(color, inside, ball)
    lash = np.exp(-(((ey - upper - 0.008) / 0.020) ** 2)) * smoothstep(1.1, 0.9, np.abs(along))
    _blend(color, 0.85 * lash, np.array([0.02, 0.015, 0.012], dtype=np.float32))
    fold = np.exp(-(((ey - upper - 0.065) / 0.018) ** 2)) * smoothstep(1.0, 0.7, np.abs(along))
    color *= (1 - 0.25 * fold)[:, None]
    return inside


def _paint_mouth(view: View, head: Head, x: Array, y: Array, color: Array) -> Array:
    """Paint the mouth into `color` [n, 3]; returns how much of each sample is lip or mouth."""
    lay = head.layout
    happy = view.smile - 0.35
    wide = lay.mouth_w * (1 + 0.30 * max(happy, 0.0) - 0.12 * view.mouth_open)
    along = x / wide
    inside = np.maximum(1 - along * along, 0)
    middle = lay.mouth_y + 0.20 * happy * (along * along - 0.35)
    gap = 0.5 * (0.22 * view.mouth_open + 0.10 * max(happy - 0.30, 0.0)) * inside
    rise, drop = y - middle, middle - y
    drop = drop - gap * 0.7
    rise = rise - gap * 0.3
    bow = 1 - 0.25 * np.exp(-((along / 0.14) ** 2))
    upper = lay.upper_lip * inside**0.6 * bow
    lower = lay.lower_lip * inside**0.5
    edge = np.abs(along) < 1
    soft = 0.016
    lips = edge * smoothstep(upper + soft, upper - soft, rise)
    lips = lips * smoothstep(lower + soft, lower - soft, drop)
    lift = np.clip(drop / np.maximum(lower, 1e-3), 0, 1)
    paint = head.lips * (0.88 + 0.35 * np.sin(np.pi * lift) * (drop > 0))[:, None]
    _blend(color, lips, paint)
    hole = smoothstep(soft, -soft, np.maximum(rise, drop)) * edge * (gap > 0.004)
    _blend(color, hole, _DARK)
    teeth = hole * smoothstep(0.035, 0.055, gap) * smoothstep(-0.075 - soft, -0.075 + soft, rise)
    _blend(color, teeth * (0.35 + 0.65 * view.smile), _TOOTH)
    line = np.exp(-((np.minimum(np.abs(rise), np.abs(drop)) / 0.014) ** 2))
    _blend(color, 0.7 * line * smoothstep(1.06, 0.98, np.abs(along)), _DARK)
    corner = np.exp(-(((np.abs(along) - 1.0) / 0.07) ** 2) - (rise / 0.035) ** 2)
    color *= (1 - 0.45 * corner)[:, None]
    return np.maximum(lips, hole)


def paint_face(
    person: Person,
    view: View,
    head: Head,
    at: list[Array],
    normal: Array,
    color: Array,
    gloss: Array,
) -> None:
    """Paint eyes and mouth where the rays landed, in place.

    Args:
        person: Who is drawn.
        view: Gaze, blink and expression.
        head: The person's head.
        at: Head coordinates x, y, z of the samples, three [n].
        normal: Normals in head coordinates [n, 3]; smoothed on the eyeballs.
        color: Linear colours [n, 3].
        gloss: Strength of the highlight [n].
    """
    lay = head.layout
    x, y, z = at
    front = z > 0.1
    ax = np.abs(x)
    box = (np.abs(ax - lay.eye_x) < lay.eye_w * 1.15) & front
    part = np.flatnonzero(box & (np.abs(y - lay.eye_y) < lay.eye_h + 0.13))
    if len(part):
        local = color[part]
        ball = _paint_eyes(person, view, head, x[part], y[part], local)
        color[part] = local
        gloss[part] += ball * (0.3 - gloss[part])
        round_normal = np.stack([np.sign(x[part]) * 0.15, ball * 0 + 0.1, ball * 0 + 0.98], axis=1)
        normal[part] += ball[:, None] * (round_normal - normal[part])
    reach = 0.3 + lay.upper_lip + lay.lower_lip
    part = np.flatnonzero((ax < lay.mouth_w * 1.4) & (np.abs(y - lay.mouth_y) < reach) & front)
    if len(part):
        local = color[part]
        lips = _paint_mouth(view, head, x[part], y[part], local)
        color[part] = local
        gloss[part] += lips * (0.22 - gloss[part])


def glasses_layers(
    person: Person, head: Head, turn: Array, x: Array, y: Array
) -> Iterator[tuple[Array, Array]]:
    """Where the rays meet the glasses.

    Args:
        person: Who is drawn, with glasses.
        head: The person's head.
        turn: Rotation from head to viewer coordinates [3, 3].
        x: Viewer coordinates of the samples from the head's centre, float32 [s, s].
        y: See `x`.

    Yields:
        For frame and temples: the mask [s, s] and the depth [s, s].
    """
    lay = head.layout
    a, b, c = turn.astype(np.float32)
    plane = lay.depth + 0.09
    high = lay.eye_y - 0.01
    size = max(0.235, min(lay.eye_x - 0.035, 0.30))
    z = (plane - x * a[2] - y * b[2]) / c[2]
    px, py = x * a[0] + y * b[0] + z * c[0], x * a[1] + y * b[1] + z * c[1] - high
    lens = np.abs(px) - lay.eye_x
    if person.glasses == "round":
        off = np.sqrt(lens * lens + py * py) - size
    else:
        off = np.maximum(np.abs(lens) - size * 1.02, np.abs(py) - size * 0.80)
    frame = np.abs(off) < 0.032
    frame |= (np.abs(px) < lay.eye_x - size) & (np.abs(py - 0.05) < 0.028)
    end = max(lay.eye_x + size, lay.width) + 0.03
    ends = (np.abs(px) > lay.eye_x + size) & (np.abs(px) < end) & (np.abs(py - 0.06) < 0.030)
    yield frame | ends, z
    for side in (-1.0, 1.0):
        if abs(c[0]) < 0.04:
            continue
        z = (side * end - x * a[0] - y * b[0]) / c[0]
        pz, py = x * a[2] + y * b[2] + z * c[2], x * a[1] + y * b[1] + z * c[1] - high
        yield (np.abs(py - 0.06) < 0.032) & (pz > -0.1) & (pz < plane), z
