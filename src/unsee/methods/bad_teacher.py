"""Incompetent teacher (bad teaching; Chundawat et al., arXiv 2205.08096).

    L = w_f KL(p_incompetent || p; D_f) + w_r KL(p_original || p; D_r)

The incompetent teacher is a model of the same configuration with random weights, which the run's
seed draws. It costs the memory of a second model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class BadTeacherConfig(AnswersConfig):
    """Options of the incompetent teacher."""


class BadTeacherTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.anatomy.model
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            made = type(model)(model.config)
        self.incompetent = made.to(model.device).eval().requires_grad_(False)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        with torch.no_grad():
            taught = self.logits_of(self.incompetent, batch)
        return outputs.answer_kl(self.logits_of(model, batch), taught, batch["labels"])

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return self.kl_to_original(model, batch)


register(
    Method(
        name="bad_teacher",
        source="Can Bad Teaching Induce Forgetting?, arXiv 2205.08096",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="distils a random model on the forget set and the original on the retain set",
        trainer="unsee.methods.bad_teacher.BadTeacherTrainer",
        config="unsee.methods.bad_teacher.BadTeacherConfig",
    )
)
