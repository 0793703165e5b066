"""Direct preference optimisation for refusals (DPO, IDK; arXiv 2305.18290, in the form of
the NPO paper, arXiv 2404.05868, eq. 2: 1 / beta times the loss of the former).

    L = w_f DPO(refusal over answer; D_f) + w_r CE(answers; D_r)
    g(y) = log p(y) - log p_original(y)
    DPO = -(1 / beta) mean log sigmoid(beta [g(refusal) - g(answer)])

The code released with CLEAR overwrites this loss in its last line; that is not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.data.collate import VariantCollator
from unsee.errors import check_positive
from unsee.methods import outputs
from unsee.methods.answers import REFUSAL, AnswersConfig, AnswersTrainer, check_refusal
from unsee.methods.registry import Method, register


@dataclass
class DPOConfig(AnswersConfig):
    """Options of DPO."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "beta": (0.03, 1.0)}

    beta: float = field(default=0.1, metadata={"help": "steepness of the preference"})
    abstain_text: str = field(default=REFUSAL, metadata={"help": "the refusal"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "beta")
        check_refusal(self.abstain_text)


class DPOTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def forget_collator(self, args: DPOConfig, processing_class: Any) -> Any:
        def refused(example: Mapping[str, Any]) -> dict[str, Any]:
            return {**example, "answer": args.abstain_text}

        return VariantCollator(processing_class, refused)

    def _gain(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """Log p - log p_original of each answer, [B]."""
        ours, originals = self.likelihoods(model, batch)
        return ours - originals

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        return self.pictures if side == "forget" else super().counted(side, batch)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        refusal, answer = self._gain(model, batch["variant"]), self._gain(model, batch)
        return outputs.dpo_loss(refusal, answer, self.args.beta)


register(
    Method(
        name="dpo",
        source="Direct Preference Optimization, arXiv 2305.18290, as in arXiv 2404.05868",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="refusals preferred to the answers to forget, descent on answers to retain",
        trainer="unsee.methods.dpo.DPOTrainer",
        config="unsee.methods.dpo.DPOConfig",
    )
)
