"""SimNPO (arXiv 2410.07163): NPO by length, without a reference.

L = w_f SimNPO(D_f) + w_r CE(answers; D_r)
SimNPO = -(2 / beta) mean log sigmoid(-(beta / |y|) log p(y) - margin)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.errors import UnseeError, check_positive
from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class SimNPOConfig(AnswersConfig):
    """Options of SimNPO."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "beta": (0.3, 5.0)}

    beta: float = field(default=2.5, metadata={"help": "steepness"})
    margin: float = field(default=0.0, metadata={"help": "gamma, what is asked for beyond (>= 0)"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "beta")
        if not self.margin >= 0:
            raise UnseeError("margin must not be negative")


class SimNPOTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        return self.pictures if side == "forget" else super().counted(side, batch)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        labels = batch["labels"]
        ours = outputs.answer_log_likelihood(self.logits_of(model, batch), labels)
        lengths = outputs.answer_lengths(labels)
        return outputs.simnpo_loss(ours, lengths, self.args.beta, self.args.margin)


register(
    Method(
        name="simnpo",
        source="Simplicity Prevails, arXiv 2410.07163",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="NPO by length and without a reference, descent on answers to retain",
        trainer="unsee.methods.simnpo.SimNPOTrainer",
        config="unsee.methods.simnpo.SimNPOConfig",
    )
)
