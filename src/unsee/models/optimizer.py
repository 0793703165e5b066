"""Muon for the matrices of the blocks, AdamW for everything else, as one optimiser.

Orthogonalised updates (Muon, Jordan et al. 2024) teach the small LLaVA faces in fewer steps than
AdamW alone. `torch.optim.Muon` takes matrices only and a `Trainer` takes one optimiser only: hence
`MuonWithAdamW`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


def is_block_matrix(name: str, parameter: torch.Tensor) -> bool:
    """Whether Muon updates it: a matrix within a block or the projector, no embedding, no head."""
    return parameter.ndim == 2 and (".layers." in name or "projector.linear" in name)


def orthogonalised(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """U V' of a matrix [m, n] = U S V', roughly: the quintic Newton-Schulz iteration of Muon.

    Args:
        matrix: [m, n], fp32.
        coefficients: of x, x³ and x⁵.
        steps: iterations.
        eps: the least norm that is divided by.

    Returns:
        [m, n], singular values between about 0.5 and 1.5.
    """
    a, b, c = coefficients
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` with its iteration in fp32.

    That of PyTorch is in bf16, which a processor without instructions for it multiplies so slowly
    that the iteration takes most of the time.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                buffer = state["momentum_buffer"]
                buffer.lerp_(weight.grad, 1 - group["momentum"])
                update = buffer
                if group["nesterov"]:
                    update = weight.grad.lerp(buffer, group["momentum"])
                update = orthogonalised(
                    update, group["ns_coefficients"], group["ns_steps"], group["eps"]
                )
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                longer = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.add_(update, alpha=-group["lr"] * longer)


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimisers that step, save and load together.

    Args:
        named: (name, parameter) of everything that is trained.
        muon_lr: learning rate of `Muon`.
        adamw_lr: learning rate of `torch.optim.AdamW`.
        weight_decay: decoupled, of both.
        factor: (name) -> what both learning rates of a parameter are multiplied by.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, torch.nn.Parameter]],
        muon_lr: float,
        adamw_lr: float,
        weight_decay: float,
        factor: Callable[[str], float] = lambda name: 1.0,
    ) -> None:
        sorts: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
        for name, parameter in named:
            sorts.setdefault((is_block_matrix(name, parameter), factor(name)), []).append(parameter)
        matrices, others = (
            [
                {"params": found, "lr": scale * (muon_lr if wanted else adamw_lr)}
                for (matrix, scale), found in sorts.items()
                if matrix == wanted
            ]
            for wanted in (True, False)
        )
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(Muon(matrices, lr=muon_lr, weight_decay=weight_decay))
        if others:
            self.parts.append(
                torch.optim.AdamW(others, weight_decay=weight_decay, betas=(0.9, 0.98))
            )
        super().__init__(self._groups(), {})

    def _groups(self) -> list[dict[str, Any]]:
        """The very dictionaries of the two, so that a schedule reaches both."""
        return [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step(closure)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = self._groups()
