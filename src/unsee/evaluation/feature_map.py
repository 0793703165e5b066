"""A map of the feature space: where pictures of people lie before and after unlearning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unsee.data.faces import splits
from unsee.data.records import PictureKey

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

PICTURES = {"retain": 2, "stranger": 2, "lookalike": 6, "forget": 6}
"""Pictures of each person on the map; who is drawn last lies on top."""


def axes_of(people: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two directions in which the means of some people lie furthest from everybody else's.

    Args:
        people: [P, D], the mean of each person.
        others: [N, D], pictures of others.

    Returns:
        (centre [D], axes [D, 2], orthonormal): the mean of the others, and the first two right
        singular vectors of the people's distances from it; with one person, or in the plane of
        one, the second is the direction in which the others spread most.
    """
    centre = others.mean(0)
    spread = np.linalg.svd(others - centre, full_matrices=False)[2]
    found = np.linalg.svd(people - centre, full_matrices=False)[2]
    candidates = np.concatenate([found[: min(2, len(people))], spread])
    first = candidates[0]
    rest = candidates[1:] - np.outer(candidates[1:] @ first, first)
    second = next(v / np.linalg.norm(v) for v in rest if np.linalg.norm(v) > 1e-3)
    return centre, np.stack([first, second], axis=1)


def features_of(
    model: Any, processor: Any, pictures: Sequence[np.ndarray], batch_size: int = 64
) -> np.ndarray:
    """Mean of the projector's tokens of each picture, [N, D]."""
    import torch

    from unsee.anatomy import anatomy_of
    from unsee.data.collate import PictureCollator

    seeing, collate = anatomy_of(model).seeing, PictureCollator(processor)
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), batch_size):
            chosen = pictures[start : start + batch_size]
            batch = collate([{"image": picture} for picture in chosen])
            batch = {key: value.to(model.device) for key, value in batch.items()}
            found.append(seeing(batch).projector.float().mean(1).cpu().numpy())
    return np.concatenate(found)


def feature_map(
    models: Mapping[str, tuple[Any, Any]], faces: Faces, split: Split, pictures: str = "test"
) -> list[dict[str, Any]]:
    """Points of the map, one a picture.

    Args:
        models: name -> (model, processor); the first one decides about the axes (`axes_of` the
            people to forget, apart from everybody else).
        faces: the embedded benchmark.
        split: who is forgotten.
        pictures: `test` or `validation`.

    Returns:
        Dictionaries with `group`, `person` and, under each model's name, (x, y); the unit is the
        largest coordinate of the first model.
    """
    groups = {
        "retain": split.retain_sample,
        "stranger": tuple(splits.STRANGERS),
        "lookalike": split.lookalikes,
        "forget": split.forget,
    }
    keys = [
        (group, PictureKey(person, pictures, index))
        for group, people in groups.items()
        for person in people
        for index in range(min(PICTURES[group], splits.PICTURES[pictures]))
    ]
    faces.prepare({(key.person, pictures) for _, key in keys})
    shown = [faces.picture(key) for _, key in keys]
    points: list[dict[str, Any]] = [{"group": g, "person": key.person} for g, key in keys]
    to_forget = np.array([group == "forget" for group, _ in keys])
    person = np.array([key.person for _, key in keys])
    placed: tuple[np.ndarray, np.ndarray, float] | None = None
    for name, (model, processor) in models.items():
        found = features_of(model, processor, shown)
        if placed is None:
            means = np.stack([found[person == p].mean(0) for p in split.forget])
            centre, axes = axes_of(means, found[~to_forget])
            placed = centre, axes, float(np.abs((found - centre) @ axes).max())
        centre, axes, unit = placed
        for point, place in zip(points, (found - centre) @ axes / unit, strict=True):
            point[name] = [round(float(x), 4) for x in place]
    return points
