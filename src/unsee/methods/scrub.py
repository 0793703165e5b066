"""SCRUB (arXiv 2302.09880): away from the original on the forget set, with it on the retain set.

    L = -w_f KL(p_original || p; D_f) + w_r [KL(p_original || p; D_r) + ce_weight CE(answers; D_r)]

The paper alternates passes: `schedule=alternating` or `successive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from unsee.errors import UnseeError
from unsee.methods import outputs
from unsee.methods.answers import AlternatingConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class ScrubConfig(AlternatingConfig):
    """Options of SCRUB."""

    ce_weight: float = field(
        default=1.0, metadata={"help": "weight of the retained answers' cross-entropy (>= 0)"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ce_weight >= 0:
            raise UnseeError("ce_weight must not be negative")


class ScrubTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -self.kl_to_original(model, batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        logits, originals, labels = (
            self.logits_of(model, batch),
            self.originals(batch),
            batch["labels"],
        )
        kl = outputs.answer_kl(logits, originals, labels)
        return kl + self.args.ce_weight * outputs.answer_cross_entropy(logits, labels)


register(
    Method(
        name="scrub",
        source="Towards Unbounded Machine Unlearning, arXiv 2302.09880",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="away from the original's answers to forget, with it on those to retain",
        trainer="unsee.methods.scrub.ScrubTrainer",
        config="unsee.methods.scrub.ScrubConfig",
    )
)
