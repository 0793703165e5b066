"""Which weights the forget set hangs on: diagonal Fisher information and the masks made of it.

A mask holds, for each trained parameter, True where the forget side may move the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from unsee.errors import UnseeError

MASKS = ("none", "fisher", "top-half", "random")
EPSILON = 1e-20
Parameters = Mapping[str, torch.nn.Parameter]


def fisher_and_gradient(
    losses: Iterable[torch.Tensor], parameters: Parameters
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Diagonal of the empirical Fisher information, and the mean gradient, both fp32.

    Args:
        losses: one scalar an example, each with its graph.
        parameters: weights to look at, by name.

    Returns:
        (mean over examples of the squared gradient, mean gradient), shaped like the parameters.

    Raises:
        UnseeError: there are no examples.
    """
    squares = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in parameters.items()}
    sums = {name: torch.zeros_like(s) for name, s in squares.items()}
    count = 0
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                squares[name] += gradient.float().square()
                sums[name] += gradient.float()
        count += 1
    if not count:
        raise UnseeError("a saliency mask needs at least one example of each side")
    return {n: s / count for n, s in squares.items()}, {n: s / count for n, s in sums.items()}


def projected(features: Mapping[str, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    """A random projection of features whose squared gradient is, on average over the signs, the
    diagonal Fisher information of features with unit Gaussian noise. It needs no W, and it does
    not vanish at the start as the gradient of a distance to the original does.

    Args:
        features: name -> [1, T, D] of one picture.
        generator: of the random signs.

    Returns:
        A scalar: the sum over features of r.z, with z scaled to unit mean square per token.
    """
    total = torch.zeros(())
    for tokens in features.values():
        signs = torch.randint(0, 2, tokens.shape, generator=generator) * 2 - 1
        scale = tokens.detach().float().square().mean().sqrt().clamp_min(1e-12)
        total = total.to(tokens.device) + (signs.to(tokens.device) * tokens.float() / scale).sum()
    return total


def fisher_mask(
    forget: Mapping[str, torch.Tensor], retain: Mapping[str, torch.Tensor], threshold: float
) -> dict[str, torch.Tensor]:
    """Weights whose Fisher information for the forget set is at least `threshold` times that for
    the retain set (MMUnlearner, arXiv 2502.11051)."""
    return {name: forget[name] / (retain[name] + EPSILON) >= threshold for name in forget}


def top_half_mask(gradient: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The half of all weights with the largest absolute mean gradient of the forget set (SalUn,
    arXiv 2310.12508)."""
    together = torch.cat([g.abs().flatten() for g in gradient.values()])
    middle = together.kthvalue(len(together) // 2 + 1).values if len(together) > 1 else together[0]
    return {name: g.abs() >= middle for name, g in gradient.items()}


def random_mask(like: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """As many weights of each parameter as in another mask, anywhere: the control."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, other in like.items():
        order = torch.randperm(other.numel(), generator=generator).to(other.device)
        masks[name] = torch.zeros_like(other).flatten()
        masks[name][order[: int(other.sum())]] = True
        masks[name] = masks[name].view_as(other)
    return masks


def share(masks: Mapping[str, torch.Tensor]) -> float:
    """Share of the weights that a mask selects, in [0, 1]."""
    return sum(int(m.sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())


def checked(masks: dict[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    """The masks.

    Raises:
        UnseeError: they select nothing, or everything.
    """
    selected = share(masks)
    if selected in (0, 1):
        mend = (
            "the gradients of the forget set are zero: give other pictures"
            if what == "top-half"
            else "choose another mask_threshold, or mask=none"
        )
        which = "nothing" if selected == 0 else "every weight"
        raise UnseeError(f"the {what} mask selects {which}: {mend}")
    return masks


def build_mask(
    kind: str,
    forget: Callable[[], Iterable[torch.Tensor]],
    retain: Callable[[], Iterable[torch.Tensor]],
    parameters: Parameters,
    threshold: float,
    seed: int,
) -> dict[str, torch.Tensor]:
    """The mask of a kind in `MASKS` but `none`.

    Args:
        kind: `fisher`, `top-half`, or `random` (as sparse, parameter by parameter, as `fisher`).
        forget: gives one loss an example of the forget set, each with its graph.
        retain: the same of the retain set.
        parameters: trained weights by name.
        threshold: ratio from which a weight counts as the forget set's.
        seed: of the random mask.

    Raises:
        UnseeError: the mask selects nothing or everything.
    """
    of_forget, gradient = fisher_and_gradient(forget(), parameters)
    if kind == "top-half":
        return checked(top_half_mask(gradient), kind)
    of_retain, _ = fisher_and_gradient(retain(), parameters)
    mask = checked(fisher_mask(of_forget, of_retain, threshold), "fisher")
    return random_mask(mask, seed) if kind == "random" else mask
