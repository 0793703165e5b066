"""Refusals as answers (IdkNLL, also called PO, preference optimisation; TOFU, arXiv 2401.06121).

    L = w_f CE(refusal; D_f) + w_r CE(answers; D_r)

The code released with CLEAR trains on the true answers by mistake; that is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from unsee.methods import outputs
from unsee.methods.answers import (
    REFUSAL,
    Answering,
    AnswersConfig,
    AnswersTrainer,
    check_refusal,
)
from unsee.methods.registry import Method, register


@dataclass
class IdkConfig(AnswersConfig):
    """Options of training on refusals."""

    abstain_text: str = field(default=REFUSAL, metadata={"help": "the refusal"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_refusal(self.abstain_text)


class IdkTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def __init__(
        self,
        model: Any,
        args: IdkConfig,
        forget_dataset: Any,
        retain_dataset: Any,
        processing_class: Any,
        **kwargs: Any,
    ) -> None:
        if self.refuses(args):
            forget_dataset = Answering(forget_dataset, args.abstain_text)
        super().__init__(model, args, forget_dataset, retain_dataset, processing_class, **kwargs)

    def refuses(self, args: Any) -> bool:
        """Whether the forget pictures come with refusals; they do."""
        return True

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return outputs.cross_entropy_of(model, batch)


register(
    Method(
        name="idk",
        source="TOFU, arXiv 2401.06121",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="descent on refusals for the forget pictures and on answers to retain",
        trainer="unsee.methods.idk.IdkTrainer",
        config="unsee.methods.idk.IdkConfig",
    )
)
