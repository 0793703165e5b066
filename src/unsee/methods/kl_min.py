"""KL minimisation (KL_Min; baseline of TOFU, arXiv 2401.06121).

    L = -w_f CE(answers; D_f) + w_r KL(p_original || p; D_r)

The KL is a mean over the tokens of the retained answers. The code released with MLLMU-Bench sums
over padding and picture positions as well; that is not followed.
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
class KLMinConfig(AnswersConfig):
    """Options of KL minimisation; `retain_weight` is the weight of the KL."""


class KLMinTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -outputs.cross_entropy_of(model, batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return self.kl_to_original(model, batch)


register(
    Method(
        name="kl_min",
        source="TOFU, arXiv 2401.06121",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="gradient ascent on the answers to forget, KL to the original on those to retain",
        trainer="unsee.methods.kl_min.KLMinTrainer",
        config="unsee.methods.kl_min.KLMinConfig",
    )
)
