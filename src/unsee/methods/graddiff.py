"""Gradient difference (GradDiff; Liu, Liu and Stone 2022, arXiv 2203.12817).

    L = -w_f CE(answers; D_f) + w_r CE(answers; D_r)

Gradient ascent on what is to be forgotten, descent on what is to be kept, through the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from unsee.data.collate import QuestionCollator
from unsee.methods import outputs
from unsee.methods.base import UnlearningTrainer
from unsee.methods.config import UnlearningConfig
from unsee.methods.registry import Method, register


@dataclass
class GradDiffConfig(UnlearningConfig):
    """Options of GradDiff."""

    trainable: str = field(default="all", metadata={"help": "parts that are trained"})
    learning_rate: float = field(default=3e-5, metadata={"help": "peak learning rate of AdamW"})
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "pictures to forget, and as many to retain, a step"}
    )
    max_steps: int = field(default=100, metadata={"help": "steps; -1: num_train_epochs"})
    warmup_steps: float = field(default=10, metadata={"help": "as in transformers"})


class GradDiffTrainer(UnlearningTrainer):
    """Examples need `image`, `question` and `answer`."""

    def collator(self, args: UnlearningConfig, processing_class: Any) -> Any:
        return QuestionCollator(processing_class)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -self.retain_loss(model, batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return outputs.cross_entropy_of(model, batch)


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
