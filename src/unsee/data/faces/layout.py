"""Where the parts of a face sit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unsee.data.faces.person import Person

Array: TypeAlias = NDArray[Any]


def smoothstep(low: Any, high: Any, value: Array) -> Array:
    """Smooth step from 0 at `low` to 1 at `high`, falling where `high` < `low`."""
    t = np.minimum(np.maximum((value - low) / (high - low), 0), 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Layout:
    """Where the parts of a face sit, in head coordinates."""

    width: float
    top: float
    bottom: float
    depth: float
    eye_x: float
    eye_y: float
    eye_w: float
    eye_h: float
    eye_tilt: float
    nose_y: float
    mouth_y: float
    mouth_w: float
    upper_lip: float
    lower_lip: float


def layout_of(p: Person) -> Layout:
    """Place the parts of a person's face."""
    width = 0.74 + 0.14 * p.head_width
    bottom = 1.0 + 0.10 * p.head_height + 0.14 * p.chin_length
    eye_y = 0.10 + 0.10 * p.eye_height
    nose_y = eye_y - (0.44 + 0.14 * p.nose_length)
    gap = bottom + nose_y
    mouth_y = nose_y - gap * (0.40 + 0.12 * p.mouth_height)
    eye_w = 0.185 + 0.055 * p.eye_size
    eye_x = max(0.30 + 0.085 * p.eye_spacing, eye_w + 0.06)
    return Layout(
        width=width,
        top=1.0 + 0.14 * p.head_height,
        bottom=bottom,
        depth=0.86 + 0.08 * p.head_depth,
        eye_x=eye_x,
        eye_y=eye_y,
        eye_w=eye_w,
        eye_h=eye_w * (0.58 + 0.20 * p.eye_openness),
        eye_tilt=0.26 * p.eye_tilt,
        nose_y=nose_y,
        mouth_y=mouth_y,
        mouth_w=0.30 + 0.12 * p.mouth_width,
        upper_lip=0.062 + 0.040 * p.upper_lip,
        lower_lip=0.080 + 0.048 * p.lower_lip,
    )
