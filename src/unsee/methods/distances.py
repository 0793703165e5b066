"""Distances between features, in fp32. All are 0 where features and target are equal.

`overall` takes means that belong to a whole batch, where the features are a part of it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cosine_similarity

Mean = Callable[[torch.Tensor], torch.Tensor]


def relative_squared_error(
    features: torch.Tensor, target: torch.Tensor, overall: Mean = torch.mean
) -> torch.Tensor:
    """Squared error per token over the mean squared norm of the target's tokens.

    0 where they are equal, about 2 for unrelated tokens of equal size; the same scale for every
    layer, width and model.

    Args:
        features: [..., T, D].
        target: the same shape (or one that broadcasts to it), not differentiated.
        overall: mean over the whole batch.

    Returns:
        A scalar, fp32.
    """
    target = target.detach().float()
    error = (features.float() - target).square().sum(-1).mean()
    return error / overall(target.square().sum(-1)).clamp_min(1e-12)


def mean_squared_error(
    features: torch.Tensor, target: torch.Tensor, overall: Mean = torch.mean
) -> torch.Tensor:
    """Mean over all numbers of the squared error; shapes as in `relative_squared_error`."""
    return (features.float() - target.detach().float()).square().mean()


def cosine_distance(
    features: torch.Tensor, target: torch.Tensor, overall: Mean = torch.mean
) -> torch.Tensor:
    """Mean over tokens of 1 - cosine, in [0, 2]; shapes as in `relative_squared_error`."""
    return (1 - cosine_similarity(features.float(), target.detach().float(), dim=-1)).mean()


DISTANCES = {
    "relative": relative_squared_error,
    "mse": mean_squared_error,
    "cosine": cosine_distance,
}
