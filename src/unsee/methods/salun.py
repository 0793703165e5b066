"""SalUn (arXiv 2310.12508): any forgetting loss, of the most salient half of the weights alone.

The mask is the half of the trained weights with the largest absolute gradient of the forget loss at
the start, a mean over `saliency_pictures` examples. Nothing else moves, on either side. The loss is
refusals (the closest to the paper's random labels), gradient ascent or NPO.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.errors import check_counts, check_offered
from unsee.methods import outputs, saliency
from unsee.methods.answers import REFUSAL, SEEN_AND_SAID, AnswersConfig, check_refusal
from unsee.methods.idk import IdkTrainer
from unsee.methods.npo import NPOConfig
from unsee.methods.registry import Method, register

LOSSES = ("idk", "ga", "npo")


@dataclass
class SalUnConfig(NPOConfig):
    """Options of SalUn."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "loss": list(LOSSES)}

    loss: str = field(
        default="idk", metadata={"help": "what is minimised on D_f", "choices": list(LOSSES)}
    )
    saliency_pictures: int = field(
        default=64, metadata={"help": "forget examples that the mask is made of"}
    )
    abstain_text: str = field(default=REFUSAL, metadata={"help": "the refusal of loss=idk"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offered(self, loss=LOSSES)
        check_counts(self, "saliency_pictures")
        check_refusal(self.abstain_text)


class SalUnTrainer(IdkTrainer):
    """Examples need `image`, `question` and `answer`."""

    supports = tuple(part for part in SEEN_AND_SAID if part != "lora")
    adapters = False  # their gradients say nothing at the start, where one half of each is zero
    masked_sides = ("forget", "retain")

    def __init__(self, model: Any, args: SalUnConfig, *datasets: Any, **kwargs: Any) -> None:
        super().__init__(model, args, *datasets, **kwargs)
        parameters = {name: self.model.get_parameter(name) for name in self.trained}
        found = saliency.fisher_and_gradient(self._losses(), parameters)[1]
        self.confine(saliency.checked(saliency.top_half_mask(found), "top-half"))

    def compares(self, args: SalUnConfig) -> bool:
        return args.loss == "npo"

    def refuses(self, args: SalUnConfig) -> bool:
        return args.loss == "idk"

    def _losses(self) -> Iterator[torch.Tensor]:
        for batch in self.batches(self.train_dataset.forget, self.args.saliency_pictures, size=1):
            yield self.forget_loss(self.model, batch)

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        of_pictures = side == "forget" and self.args.loss == "npo"
        return self.pictures if of_pictures else super().counted(side, batch)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        if self.args.loss == "npo":
            return outputs.npo_loss(*self.likelihoods(model, batch), self.args.beta)
        loss = outputs.cross_entropy_of(model, batch)
        return -loss if self.args.loss == "ga" else loss


register(
    Method(
        name="salun",
        source="SalUn, arXiv 2310.12508",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="refusals (or another loss), moving the most salient half of the weights alone",
        trainer="unsee.methods.salun.SalUnTrainer",
        config="unsee.methods.salun.SalUnConfig",
    )
)
