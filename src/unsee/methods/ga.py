"""Gradient ascent (GA; Jang et al., arXiv 2210.01504; Thudi et al., arXiv 2109.13398).

    L = -w_f CE(answers; D_f)

Nothing holds what is to be kept: the retain set is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class GAConfig(AnswersConfig):
    """Options of gradient ascent."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (1e-6, 1e-4),
        "max_steps": [25, 50, 100],
        "trainable": ["all", "vision+projector"],
    }


class GATrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    uses = ("forget",)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -outputs.cross_entropy_of(model, batch)


register(
    Method(
        name="ga",
        source="Knowledge Unlearning, arXiv 2210.01504",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="gradient ascent on the answers to forget; nothing is held",
        trainer="unsee.methods.ga.GATrainer",
        config="unsee.methods.ga.GAConfig",
    )
)
