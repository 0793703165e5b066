"""Where Visual Knowledge Distillation moves the features of a picture to forget.

A target is built once from the frozen original (the teacher) and the two sets. It is then called
with the teacher's features of a forget batch, of the retain batch beside it, and the number of each
forget picture's person. Features are name -> [B, T, D], see
`VisualFeatures.pick`. The paper's own target is not public (those who read it speak of a pruned
teacher, see `unsee.methods.pruning`); these are our reconstruction's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from unsee.methods.distances import Mean

Features = dict[str, torch.Tensor]
Teacher = Callable[[Mapping[str, Any]], Features]
Target = Callable[[Features, Features, torch.Tensor], Features]

Noise = Callable[[Any, torch.Generator], torch.Tensor]


def _noise(shape: Any, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


def mean_features(teacher: Teacher, batches: Iterable[Mapping[str, Any]]) -> Features:
    """Mean of the teacher's features over all pictures, per token: [1, T, D] each, fp32."""
    sums: dict[str, torch.Tensor] = {}
    count = 0
    with torch.no_grad():
        for batch in batches:
            seen = teacher(batch)
            for name, tokens in seen.items():
                summed = tokens.float().sum(0, keepdim=True)
                sums[name] = sums[name] + summed if name in sums else summed
            count += len(tokens)
    return {name: total / count for name, total in sums.items()}


def nearest(features: torch.Tensor, pool: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the k pictures of a pool that are nearest by cosine, about the pool's mean.

    Args:
        features: [n, D], fp32.
        pool: [m, D], fp32.
        k: how many; fewer if there are fewer.

    Returns:
        [n, k], the nearest first.
    """
    centre = pool.mean(0)
    keys = [torch.nn.functional.normalize(x - centre, dim=-1) for x in (features, pool)]
    return (keys[0] @ keys[1].T).topk(min(k, len(pool)), dim=-1).indices


class Anonymous:
    """The picture as it was, with what sets its person apart taken off.

    With m the person's mean and n that of retained pictures, a = m - n:

        t(x) = z_T(x) - s a,    p(z) = <z - n, a> / <a, a>,    I(z) = max(0, p(z) - (1 - s))^2

    Pose, light and background stay where they were, the person's mean moves to that of the
    retained; s = 1 lands on it, above 1 goes past it. p is how much of the person is in a picture:
    1 on average before, 1 - s on average at the target. Single pictures have more of it, and the
    same move leaves those recognised: I, the excess, is what the target alone leaves of them.

    Args:
        forgotten: mean features of each person to forget, [people, T, D].
        others: what they move to: one mean for everybody, [1, T, D], or each their own.
        strength: s.
    """

    def __init__(self, forgotten: Features, others: Features, strength: float) -> None:
        self.strength = strength
        self.others = {n: others[n].expand_as(forgotten[n]) for n in others}
        self.apart = {name: forgotten[name] - others[name] for name in others}

    def __call__(self, seen: Features, beside: Features, who: torch.Tensor) -> Features:
        far = {name: apart[who.to(apart.device)] for name, apart in self.apart.items()}
        return {name: seen[name] - self.strength * far[name] for name in far}

    def excess(self, seen: Features, who: torch.Tensor) -> torch.Tensor:
        """Mean of I over pictures and features, []; who: number of each picture's person, [B]."""
        found = []
        for name, tokens in seen.items():
            person = who.to(tokens.device)
            apart, others = self.apart[name][person], self.others[name][person]
            length = apart.square().sum((1, 2)).clamp_min(1e-12)
            share = ((tokens.float() - others) * apart).sum((1, 2)) / length
            found.append((share - (1 - self.strength)).clamp_min(0).square().mean())
        return torch.stack(found).mean()


def k_same(teacher: Teacher, others: Iterable[Mapping[str, Any]], k: int) -> Target:
    """The mean of the k pictures of others that are nearest in the teacher's own features.

    As k-Same de-identification of faces (Newton, Sweeney and Malin 2005), on features: the picture
    becomes that of nobody in particular under much the same circumstances. Nearest by cosine of the
    mean token of the last feature. Needs no names. The others are retained people, or strangers.

    Args:
        teacher: frozen V and P.
        others: batches of pictures to choose from; their features are kept on the CPU.
        k: neighbours that are averaged; fewer if there are fewer.
    """
    with torch.no_grad():
        seen = [teacher(batch) for batch in others]
    pool = {name: torch.cat([s[name].cpu() for s in seen]) for name in seen[0]}
    last = list(pool)[-1]
    keys = pool[last].float().mean(1)

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        near = nearest(seen[last].float().mean(1).cpu(), keys, k)  # [B, k]
        return {n: pool[n][near].mean(1).to(tokens) for n, tokens in seen.items()}

    return target


def mean_retain(everyone: Features) -> Target:
    """The mean retain feature, the same for every picture to forget."""

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        return {name: mean.expand_as(seen[name]) for name, mean in everyone.items()}

    return target


def as_taught() -> Target:
    """The features that the forget side's own teacher has, which sees without some units."""

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        return seen

    return target


def other_people() -> Target:
    """The teacher's features of the retain pictures of the same step."""

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        return beside

    return target


def random_direction(everyone: Features, seed: int) -> Target:
    """One fixed random direction, as RMU (arXiv 2403.03218), as long as a mean retain token."""
    directions = {}
    for name, mean in everyone.items():
        generator = torch.Generator().manual_seed(seed)
        unit = torch.nn.functional.normalize(
            torch.randn(mean.shape[-1], generator=generator), dim=0
        )
        directions[name] = unit.to(mean) * mean.norm(dim=-1).mean()

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        return {name: unit.expand_as(seen[name]) for name, unit in directions.items()}

    return target


def nudged(
    seed: int, size: float = 0.05, noise: Noise = _noise, overall: Mean = torch.mean
) -> Target:
    """What `repel` moves away from: the picture as it was, moved a little in a random direction.

    From the original itself no distance has a gradient at the start, and it would never move.

    Args:
        seed: of the directions, one a token of each picture.
        size: length of the move as a share of the token's root mean square norm.
        noise: draws it, see `SeveralProcesses.noise`.
        overall: mean over a whole batch, see `SeveralProcesses.overall`.
    """

    def target(seen: Features, beside: Features, who: torch.Tensor) -> Features:
        generator = torch.Generator().manual_seed(seed)
        moved = {}
        for name, tokens in seen.items():
            step = noise(tokens.shape, generator).to(tokens)
            step = step * overall(tokens.float().square()).sqrt().to(tokens)
            moved[name] = tokens + size * step
        return moved

    return target
