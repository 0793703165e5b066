"""Negative preference optimisation (NPO, arXiv 2404.05868).

    L = w_f NPO(D_f) + w_r CE(answers; D_r)
    NPO = -(2 / beta) mean log sigmoid(-beta (log p(y) - log p_original(y)))

Log-likelihoods are summed over an answer's tokens, as in the paper. The code released with
MLLMU-Bench takes the mean of a batch and a retain-only model as reference; that is not followed.
`retain_weight=0` is NPO without a term that holds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.errors import check_positive
from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class NPOConfig(AnswersConfig):
    """Options of NPO."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "beta": (0.03, 1.0)}

    beta: float = field(
        default=0.1, metadata={"help": "how soon pushing stops; towards 0 it is gradient ascent"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "beta")


class NPOTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        return self.pictures if side == "forget" else super().counted(side, batch)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        ours, originals = self.likelihoods(model, batch)
        return outputs.npo_loss(ours, originals, self.args.beta)


register(
    Method(
        name="npo",
        source="Negative Preference Optimization, arXiv 2404.05868",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="bounded gradient ascent against the original, descent on answers to retain",
        trainer="unsee.methods.npo.NPOTrainer",
        config="unsee.methods.npo.NPOConfig",
    )
)
