"""What happens around the steps of an unlearning."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from unsee import sharding
from unsee.data.collate import PairedDataset


class KeepsMasked(TrainerCallback):
    """In an update of masked sides alone, weights outside the mask stay where they are: neither
    momentum from other steps nor weight decay moves them."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.before: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        mask, model = self.trainer.forget_mask, self.trainer.anatomy.model
        sides = self.trainer.sides_of(state.global_step)
        if mask is not None and set(sides) <= set(self.trainer.masked_sides):
            self.before = {n: model.get_parameter(n).detach().clone() for n in mask}

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        for name, before in self.before.items():
            parameter = self.trainer.anatomy.model.get_parameter(name)
            mask = sharding.like(parameter, (self.trainer.forget_mask or {})[name])
            parameter.data.copy_(torch.where(mask, parameter.data, before))
        self.before = {}


class CountsEpochs(TrainerCallback):
    """Tells the pairs in which epoch they are, so that pictures vary from one to the next."""

    def __init__(self, pairs: PairedDataset) -> None:
        self.pairs = pairs

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pairs.epoch = int(state.epoch or 0)
