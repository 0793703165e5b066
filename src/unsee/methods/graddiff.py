"""Gradient difference (GradDiff; Liu, Liu and Stone 2022, arXiv 2203.12817).

    L = -w_f CE(answers; D_f) + w_r CE(answers; D_r)

Gradient ascent on what is to be forgotten, descent on what is to be kept. The code released with
MLLMU-Bench makes a whole pass over the forget set and then one over the retain set: that is
`schedule=successive`.
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
class GradDiffConfig(AnswersConfig):
    """Options of GradDiff."""


class GradDiffTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -outputs.cross_entropy_of(model, batch)


register(
    Method(
        name="graddiff",
        source="Continual Learning and Private Unlearning, arXiv 2203.12817",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="gradient ascent on the answers to forget, descent on those to retain",
        trainer="unsee.methods.graddiff.GradDiffTrainer",
        config="unsee.methods.graddiff.GradDiffConfig",
    )
)
