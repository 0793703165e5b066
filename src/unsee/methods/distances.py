"""Distances between features, in fp32."""

from __future__ import annotations

import torch


def relative_squared_error(features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error per token over the mean squared norm of the target's tokens.

    0 where they are equal, about 2 for unrelated tokens of equal size; the same scale for every
    layer, width and model.

    Args:
        features: [..., T, D].
        target: the same shape (or one that broadcasts to it), not differentiated.

    Returns:
        A scalar, fp32.
    """
    target = target.detach().float()
    error = (features.float() - target).square().sum(-1).mean()
    return error / target.square().sum(-1).mean().clamp_min(1e-12)
