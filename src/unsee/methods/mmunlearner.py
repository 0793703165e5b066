"""MMUnlearner (arXiv 2502.11051): gradient ascent where the forget set's weights are, descent
everywhere.

    forget step   -w_f CE(answers; D_f), its gradient times the mask
    retain step    w_r CE(answers; D_r), everywhere
    mask = E[g^2; D_f] / (E[g^2; D_p] + eps) >= mask_threshold

g is the gradient of one example's loss. V and P are to preserve (D_p) the retained pictures; W
these and the questions in words, those about the forgotten among them (`text_dataset`). The mask is
on the weights of linear layers; what it does not cover does not move in a forget step. (In the
released code that moves freely, and with LoRA the mask does nothing; neither is followed. With
adapters the mask is made of their own gradients: B is zero at the start, so A has none, and forget
steps move chosen entries of B alone.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from transformers.utils import logging

from unsee.anatomy.families import LANGUAGE
from unsee.errors import UnseeError, check_counts, check_positive
from unsee.methods import outputs, saliency
from unsee.methods.answers import AlternatingConfig, AnswersTrainer
from unsee.methods.registry import Method, register

logger = logging.get_logger(__name__)


@dataclass
class MMUnlearnerConfig(AlternatingConfig):
    """Options of MMUnlearner."""

    space: ClassVar[Mapping[str, Any]] = {
        **AlternatingConfig.space,
        "mask_threshold": [0.5, 1.0, 2.0],
    }

    mask_threshold: float = field(
        default=1.0, metadata={"help": "ratio from which a weight counts as the forget set's"}
    )
    fisher_pictures: int = field(
        default=64, metadata={"help": "examples of each side that the mask is made of"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "mask_threshold")
        check_counts(self, "fisher_pictures")


class MMUnlearnerTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`; `text_dataset` holds questions in words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        of_language = {n for n in self.trained if self.anatomy.part_of(n) == LANGUAGE}
        if of_language and not self.texts:
            logger.warning(
                "no text_dataset (--texts): the mask of W does not know questions in words"
            )
        pairs = self.train_dataset
        forget, retain = self._fisher(pairs.forget), self._fisher(pairs.retain)
        preserve = retain
        if of_language and self.texts:
            words = self._fisher(self.texts)
            share = self._count(self.texts) / (self._count(self.texts) + self._count(pairs.retain))
            both = {n: torch.lerp(retain[n], words[n], share) for n in of_language}
            preserve = retain | both
        linear = self._weights_of_linear_layers()
        mask = saliency.fisher_mask(forget, preserve, self.args.mask_threshold)
        mask = {n: m & (n in linear) & (forget[n] > 0) for n, m in mask.items()}
        if not any(bool(m.any()) for m in mask.values()):
            raise UnseeError("the fisher mask selects nothing: choose a lower mask_threshold")
        self.confine(mask)

    def _weights_of_linear_layers(self) -> set[str]:
        """But for that of the vocabulary, which the mask never covers."""
        model = self.anatomy.model
        head = model.get_output_embeddings()
        linear = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
        return {f"{n}.weight" for n in linear if model.get_submodule(n) is not head}

    def _count(self, dataset: Any) -> int:
        """How many examples of a dataset the Fisher information is taken of."""
        return min(self.args.fisher_pictures, len(dataset))

    def _fisher(self, dataset: Any) -> dict[str, torch.Tensor]:
        parameters = {name: self.model.get_parameter(name) for name in self.trained}
        batches = self.batches(dataset, self._count(dataset), size=1)
        losses = (outputs.cross_entropy_of(self.model, batch) for batch in batches)
        return saliency.fisher_and_gradient(losses, parameters)[0]

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return -outputs.cross_entropy_of(model, batch)


register(
    Method(
        name="mmunlearner",
        source="MMUnlearner, arXiv 2502.11051",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="ascent on weights that matter to the forget set more than to the rest, descent",
        trainer="unsee.methods.mmunlearner.MMUnlearnerTrainer",
        config="unsee.methods.mmunlearner.MMUnlearnerConfig",
    )
)
