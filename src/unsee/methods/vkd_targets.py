"""Where Visual Knowledge Distillation moves the features of a picture to forget.

A target is built once from the frozen original (the teacher) and the two sets, and is then called
with the teacher's features of a forget batch, of the retain batch beside it, and the number of the
person on each forget picture. The paper's own
target is not public (`pruned` teacher, by those who read it); these are our reconstruction's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from unsee.anatomy.anatomy import Seeing, VisualFeatures

FIELDS = ("vision", "projector")
Target = Callable[[VisualFeatures, VisualFeatures, torch.Tensor], VisualFeatures]


def mean_features(teacher: Seeing, batches: Iterable[Mapping[str, Any]]) -> VisualFeatures:
    """Mean of the teacher's features over all pictures, per token: [1, T, D] each, fp32."""
    sums: dict[str, torch.Tensor] = {}
    count = 0
    with torch.no_grad():
        for batch in batches:
            seen = teacher(batch)
            for name in FIELDS:
                summed = getattr(seen, name).float().sum(0, keepdim=True)
                sums[name] = sums[name] + summed if name in sums else summed
            count += len(seen.vision)
    return VisualFeatures(sums["vision"] / count, sums["projector"] / count)


def anonymous(forgotten: VisualFeatures, everyone: VisualFeatures, strength: float) -> Target:
    """The picture as it was, with what sets its person apart taken off.

    z_T(x) - s (mean_f - mean_r): pose, light and background stay where they were, the person's mean
    moves to that of the retained. s = 1 lands on the mean; above 1 goes past it. `forgotten` holds
    one mean a person, [people, T, D].
    """

    apart = {n: strength * (getattr(forgotten, n) - getattr(everyone, n)) for n in FIELDS}

    def target(seen: VisualFeatures, beside: VisualFeatures, who: torch.Tensor) -> VisualFeatures:
        moved = [getattr(seen, name) - apart[name][who.to(apart[name].device)] for name in FIELDS]
        return VisualFeatures(*moved)

    return target


def k_same(
    teacher: Seeing,
    forget: Iterable[Mapping[str, Any]],
    retain: Iterable[Mapping[str, Any]],
    k: int,
) -> Target:
    """The mean of the k retain pictures that are nearest in the teacher's own features.

    As k-Same de-identification of faces (Newton, Sweeney and Malin 2005), on features: the picture
    becomes that of nobody in particular under much the same circumstances. Nearest by cosine of the
    mean projector token. Needs no names.

    Args:
        teacher: frozen V and P.
        forget: batches of the forget set, in order.
        retain: batches of retain pictures to choose from.
        k: neighbours that are averaged; fewer if there are fewer.
    """
    with torch.no_grad():
        seen = [teacher(batch) for batch in retain]
        pool = VisualFeatures(
            torch.cat([s.vision for s in seen]), torch.cat([s.projector for s in seen])
        )
        mine = torch.cat([teacher(batch).projector for batch in forget])
        centre = pool.projector.float().mean((0, 1))
        keys = [
            torch.nn.functional.normalize(tokens.float().mean(1) - centre, dim=-1)
            for tokens in (mine, pool.projector)
        ]
        nearest = (keys[0] @ keys[1].T).topk(min(k, len(keys[1])), dim=-1).indices  # [n, k]
        means = {name: getattr(pool, name)[nearest].mean(1) for name in FIELDS}  # [n, T, D]

    def target(seen: VisualFeatures, beside: VisualFeatures, who: torch.Tensor) -> VisualFeatures:
        return VisualFeatures(*(means[name][who.to(means[name].device)] for name in FIELDS))

    return target


def mean_retain(everyone: VisualFeatures) -> Target:
    """The mean retain feature, the same for every picture to forget."""

    def target(seen: VisualFeatures, beside: VisualFeatures, who: torch.Tensor) -> VisualFeatures:
        return VisualFeatures(*(getattr(everyone, n).expand_as(getattr(seen, n)) for n in FIELDS))

    return target


def other_people() -> Target:
    """The teacher's features of the retain pictures of the same step."""

    def target(seen: VisualFeatures, beside: VisualFeatures, who: torch.Tensor) -> VisualFeatures:
        return beside

    return target


def random_direction(everyone: VisualFeatures, seed: int) -> Target:
    """One fixed random direction, as RMU (arXiv 2403.03218), as long as a mean retain token."""
    directions = []
    for name in FIELDS:
        mean = getattr(everyone, name)
        generator = torch.Generator().manual_seed(seed)
        unit = torch.nn.functional.normalize(
            torch.randn(mean.shape[-1], generator=generator), dim=0
        )
        directions.append(unit.to(mean) * mean.norm(dim=-1).mean())

    def target(seen: VisualFeatures, beside: VisualFeatures, who: torch.Tensor) -> VisualFeatures:
        pairs = zip(directions, FIELDS, strict=True)
        return VisualFeatures(*(d.expand_as(getattr(seen, n)) for d, n in pairs))

    return target
