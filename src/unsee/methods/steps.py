"""Steps of an unlearning trainer: which sides an update is for, and the mask on their gradients."""

from __future__ import annotations

from typing import Any

import torch

from unsee import distributed, sharding
from unsee.errors import UnseeError
from unsee.methods.config import SIDES


class StepsOfSides:
    """For an `UnlearningTrainer`, the first of its bases; see its attributes."""

    uses: tuple[str, ...]
    masked_sides: tuple[str, ...]
    forget_mask: dict[str, torch.Tensor] | None
    trained: list[str]
    trained_parameters: int
    anatomy: Any
    accelerator: Any
    args: Any
    averaged: Any
    is_deepspeed_enabled: Any
    state: Any
    _sides: tuple[str, ...]

    def confine(self, mask: dict[str, torch.Tensor]) -> None:
        """Confines the masked sides to a mask; where these are all, no more is trained than it."""
        several = self.accelerator.num_processes > 1
        if several and (self.is_deepspeed_enabled or self.args.gradient_accumulation_steps > 1):
            raise UnseeError(
                "a mask is on gradients: with several processes it needs "
                "gradient_accumulation_steps=1, and DDP or FSDP rather than DeepSpeed"
            )
        self.forget_mask = mask = distributed.agreed_tensors(mask)
        if set(self.uses) <= set(self.masked_sides):
            self.trained_parameters = sum(int(chosen.sum()) for chosen in mask.values())

    def sides_of(self, step: int) -> tuple[str, ...]:
        """Which sides an update is for: `paired`, the retain side always and the forget side in
        every `forget_every`-th; `alternating`, one of the forget side, then `forget_every` of the
        retain side; `successive`, the first half of the steps the forget side, then the other."""
        every = self.args.forget_every
        if len(self.uses) == 1:
            return self.uses
        if self.args.schedule == "alternating":
            return ("retain",) if step % (every + 1) else ("forget",)
        if self.args.schedule == "successive":
            steps = self.state.max_steps or self.args.max_steps
            return ("forget",) if 2 * step < steps else ("retain",)
        return ("retain",) if step % every else SIDES

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Gradients of the step's sides; those of the masked sides are masked before the others are
        added."""
        sides = self.sides_of(self.state.global_step)
        masked = tuple(side for side in sides if side in self.masked_sides)
        if self.forget_mask is None or not masked:
            return self._step_for(sides, model, inputs, *args, **kwargs)
        trained = {name: self.anatomy.model.get_parameter(name) for name in self.trained}
        before = {n: None if p.grad is None else p.grad.clone() for n, p in trained.items()}
        loss = self._step_for(masked, model, inputs, *args, **kwargs)
        for name, parameter in trained.items():
            if parameter.grad is not None:
                earlier = before[name]
                new = parameter.grad if earlier is None else parameter.grad - earlier
                new = new * sharding.like(parameter, self.forget_mask[name])
                parameter.grad = new if earlier is None else earlier + new
        if free := tuple(side for side in sides if side not in masked):
            loss = loss + self._step_for(free, model, inputs, *args, **kwargs)
        return loss

    def _step_for(self, sides: tuple[str, ...], *args: Any, **kwargs: Any) -> torch.Tensor:
        self._sides = sides
        try:
            return self.averaged(super().training_step(*args, **kwargs))  # type: ignore[misc]
        finally:
            self._sides = SIDES
