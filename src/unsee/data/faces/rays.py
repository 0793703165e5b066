"""Parallel rays that walk to a star-shaped head."""

from __future__ import annotations

import numpy as np

from unsee.data.faces.layout import Array
from unsee.data.faces.shape import GRID, REACH, Head

STEPS = 9


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Rotation [3, 3] from head to viewer coordinates; angles in degrees."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    tip = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return tip @ nod @ turn


def start(head: Head, turn: Array, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Tell which rays may meet the head, and a depth safely before it, from a coarse cloud.

    Args:
        head: The head.
        turn: Rotation from head to viewer coordinates [3, 3].
        x: Columns of the samples from the head's centre, float32 [s]; `y`: their rows.
        y: See `x`.

    Returns:
        Rows and columns of the samples, and the depths to start from, three [n].
    """
    tiles, side = 26, 0.15
    cloud = head.cloud @ turn.T.astype(np.float32)
    where = (cloud[:, :2] / side + tiles / 2).astype(np.int32)
    inner = np.minimum(np.maximum(where, 1), tiles - 2)
    top: Array = np.full(tiles * tiles, -9.0, dtype=np.float32)
    np.maximum.at(top, inner[:, 1] * tiles + inner[:, 0], cloud[:, 2])
    top = top.reshape(tiles, tiles)
    wide = top.copy()
    np.maximum(wide[1:], top[:-1], out=wide[1:])
    np.maximum(wide[:-1], top[1:], out=wide[:-1])
    top = wide.copy()
    np.maximum(top[:, 1:], wide[:, :-1], out=top[:, 1:])
    np.maximum(top[:, :-1], wide[:, 1:], out=top[:, :-1])
    column = np.minimum(np.maximum((x / side + tiles / 2).astype(np.int32), 0), tiles - 1)
    row = np.minimum(np.maximum((y / side + tiles / 2).astype(np.int32), 0), tiles - 1)
    depth = top[row][:, column]
    rows, columns = np.nonzero(depth > -1.2)
    return rows, columns, depth[rows, columns] + np.float32(0.06)


def march(head: Head, turn: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
    """Walk parallel rays to the head.

    Args:
        head: The head.
        turn: Rotation from head to viewer coordinates [3, 3].
        x: Where the rays pass, viewer coordinates from the head's centre, float32 [n].
        y: See `x`.
        z: Depths to start from.

    Returns:
        For the rays that land: their indices, depths z, and cells of the head's table.
    """
    a, b, c = turn.astype(np.float32)
    base = [x * a[i] + y * b[i] for i in range(3)]
    square = x * x + y * y
    alive = np.arange(len(x))
    scale = np.float32((GRID - 1) / (2 * REACH))
    offset = np.float32((GRID - 1) / 2 + 0.5)
    hits: list[tuple[Array, Array, Array]] = []
    for step in range(STEPS):
        far = np.sqrt(square + z * z)
        fz = base[2] + z * c[2]
        k = scale * np.sqrt(2 / (far * np.maximum(far + fz, 1e-3)))
        column = ((base[0] + z * c[0]) * k + offset).astype(np.int32)
        row = ((base[1] + z * c[1]) * k + offset).astype(np.int32)
        cell = row * GRID + column
        gap = far - head.radius.take(cell, mode="clip")
        if step == STEPS - 1:
            done = gap < 0.045
            hits.append((alive[done], z[done], cell[done]))
            break
        if step in (2, 3, 4, 6):
            done = gap < 0.006
            hits.append((alive[done], z[done], cell[done]))
            keep = np.flatnonzero(~done & (z > -0.75) & ((z > -0.25) | (gap < 0.2)))
            alive, z, square, gap, far = (q[keep] for q in (alive, z, square, gap, far))
            base = [q[keep] for q in base]
        ahead = np.maximum(gap, 0)  # a ray that went under the surface stays: it has landed
        z = z - ahead * np.float32(0.95 if step < 4 else 0.85) / np.maximum(z / far, 0.55)
    index, depth, cells = (np.concatenate(part) for part in zip(*hits, strict=True))
    return index, depth, cells
