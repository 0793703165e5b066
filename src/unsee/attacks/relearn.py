"""Relearning: the attacker has some pictures of the forgotten people and their facts, and trains.

Cross-entropy on questions and answers about those pictures. If what was forgotten is only hidden,
little brings it back: also attributes that he did not train, on pictures that he does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from unsee.attacks.base import Attack
from unsee.data.collate import QuestionCollator
from unsee.methods.outputs import cross_entropy_of


class Relearn(Attack):
    """Examples need `image`, `question` and `answer`."""

    name = "relearn"

    def collator(self, processing_class: Any) -> Any:
        return QuestionCollator(processing_class)

    def loss(self, batch: Mapping[str, Any]) -> torch.Tensor:
        return cross_entropy_of(self.model, batch)
