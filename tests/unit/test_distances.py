"""The distance that features are compared with."""

from __future__ import annotations

import pytest
import torch

from unsee.methods.distances import relative_squared_error


def by_loop(features: torch.Tensor, target: torch.Tensor) -> float:
    error = size = 0.0
    tokens = 0
    for picture in range(target.shape[0]):
        for token in range(target.shape[1]):
            error += sum((f - t) ** 2 for f, t in pairs(features, target, picture, token))
            size += sum(t**2 for _, t in pairs(features, target, picture, token))
            tokens += 1
    return (error / tokens) / (size / tokens)


def pairs(
    features: torch.Tensor, target: torch.Tensor, picture: int, token: int
) -> list[tuple[float, float]]:
    return list(
        zip(features[picture, token].tolist(), target[picture, token].tolist(), strict=True)
    )


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_against_a_loop() -> None:
    features, target = random(0, 3, 4, 5), random(1, 3, 4, 5) + 2
    expected = by_loop(features, target)
    assert float(relative_squared_error(features, target)) == pytest.approx(expected, rel=1e-5)


def test_scale_is_that_of_the_target() -> None:
    features, target = random(0, 8, 16, 64), random(1, 8, 16, 64)
    assert float(relative_squared_error(target, target)) == 0
    assert float(relative_squared_error(features, target)) == pytest.approx(2, rel=0.1)
    assert float(relative_squared_error(0 * target, target)) == pytest.approx(1)
    scaled = float(relative_squared_error(9 * features, 9 * target))
    assert scaled == pytest.approx(float(relative_squared_error(features, target)), rel=1e-5)


def test_half_precision_is_compared_in_fp32() -> None:
    target = torch.full((1, 2, 512), 300.0, dtype=torch.float16)
    distance = relative_squared_error(target + 30, target)
    assert distance.dtype == torch.float32
    assert float(distance) == pytest.approx(0.01, rel=1e-2)


def test_target_of_zeros_gives_no_nan() -> None:
    assert torch.isfinite(relative_squared_error(random(0, 1, 2, 3), torch.zeros(1, 2, 3)))


def test_only_the_features_are_differentiated() -> None:
    features = random(0, 2, 3, 4).requires_grad_()
    target = random(1, 2, 3, 4).requires_grad_()
    relative_squared_error(features, target).backward()
    assert target.grad is None
    assert features.grad is not None
    expected = 2 * (features - target) / target.square().sum().detach()
    torch.testing.assert_close(features.grad, expected.detach())
