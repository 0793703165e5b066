"""The base of methods that edit weights once and train nothing."""

from __future__ import annotations

from typing import Any

import torch
from transformers.trainer_utils import TrainOutput

from unsee.errors import Diverged
from unsee.methods.answers import AnswersTrainer


class EditorTrainer(AnswersTrainer):
    """A trainer whose `train` is one edit: no steps, no checkpoints; a cut run begins anew.

    `trained` are the parameters that were changed, `trained_parameters` how many of their weights;
    before the edit, those that may be.
    """

    def compares(self, args: Any) -> bool:
        return True

    supports = ("all", "language", "vision")
    adapters = False
    keeps_shards = False

    def edit(self) -> None:
        """Changes the model, in place."""
        raise NotImplementedError

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Edits. Arguments are those of `Trainer.train`, and have no effect."""
        self.anatomy.model.eval()
        self.edit()
        after = {name: self.anatomy.model.get_parameter(name) for name in self.trained}
        changed = {n: int((p.detach() != self.before[n]).sum()) for n, p in after.items()}
        self.trained = [name for name, count in changed.items() if count]
        self.trained_parameters = sum(changed.values())
        broken = [n for n in self.trained if not torch.isfinite(after[n]).all()]
        if broken:
            raise Diverged(f"{broken[0]} is not finite after the edit: nothing is kept")
        return TrainOutput(global_step=0, training_loss=0.0, metrics={})
