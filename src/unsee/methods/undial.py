"""UNDIAL (arXiv 2402.10052): self-distillation to logits with the answer lowered.

L = w_f CE(softmax(z_original - strength onehot(y)); D_f) + w_r CE(answers; D_r)
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
class UndialConfig(AnswersConfig):
    """Options of UNDIAL."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "strength": [3.0, 10.0, 30.0]}

    strength: float = field(
        default=10.0, metadata={"help": "how far the answer's logit is lowered (> 0)"}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "peak learning rate of AdamW"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "strength")


class UndialTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        logits, originals = self.logits_of(model, batch), self.originals(batch)
        return outputs.undial_loss(logits, originals, batch["labels"], self.args.strength)


register(
    Method(
        name="undial",
        source="UNDIAL, arXiv 2402.10052",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="distils the original's logits with the answer lowered, descent on the rest",
        trainer="unsee.methods.undial.UndialTrainer",
        config="unsee.methods.undial.UndialConfig",
    )
)
