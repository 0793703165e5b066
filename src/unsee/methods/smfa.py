"""SMFA, the sculpted memory forgetting adapter (arXiv 2511.20196), a reconstruction.

Two low-rank adapters are trained from the original, one after the other: F by CE(refusal; D_f), and
A, the retaining anchor, by CE(answers; D_r). Of what the first adds to the weights, entries that
oppose the anchor and outweigh it are dropped:

    keep F where not (F A < 0 and |F| > k rho |A|),   rho = mean |F| / mean |A|

Stated are the two adapters and that the anchor's signs and sizes decide what is dropped; that rho
is the ratio of the mean sizes in the same weight matrix is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from transformers.utils import logging

from unsee.adapters import (
    adapter_layers,
    add_adapters,
    of_changes,
    remove_adapters,
    weight_change,
)
from unsee.anatomy import anatomy_of
from unsee.errors import UnseeError, check_positive
from unsee.methods import outputs
from unsee.methods.idk import IdkConfig, IdkTrainer
from unsee.methods.registry import Method, register

logger = logging.get_logger(__name__)
FORGET, ANCHOR = "default", "anchor"


@dataclass
class SMFAConfig(IdkConfig):
    """Options of SMFA."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (3e-6, 1e-3),
        "max_steps": [200, 400, 800],
        "opposition": [2.5, 5.0, 10.0],
        "trainable": ["lora", "vision+projector"],
    }

    trainable: str = field(default="lora", metadata={"help": "parts that get adapters"})
    lora_rank: int = field(default=8, metadata={"help": "of both adapters (>= 1)"})
    opposition: float = field(
        default=5.0, metadata={"help": "k, how far an entry must outweigh the anchor to be dropped"}
    )
    anchor_share: float = field(
        default=0.5, metadata={"help": "share of the steps, the last ones, that train the anchor"}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "peak learning rate of AdamW"})
    max_steps: int = field(default=200, metadata={"help": "steps of both adapters together"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "opposition")
        if not 0 < self.anchor_share < 1:
            raise UnseeError("anchor_share must be between 0 and 1")
        if not self.lora_rank:
            raise UnseeError("smfa is made of adapters: lora_rank must be at least 1")


def sculpted(forget: torch.Tensor, anchor: torch.Tensor, opposition: float) -> torch.Tensor:
    """The change `forget` of a weight matrix without the entries that oppose `anchor`.

    Args:
        forget: what the forgetting adapter adds, any shape.
        anchor: what the retaining anchor adds, the same shape.
        opposition: k, above 0.
    """
    ratio = forget.abs().mean() / anchor.abs().mean().clamp_min(1e-20)
    opposed = (forget * anchor < 0) & (forget.abs() > opposition * ratio * anchor.abs())
    return forget.masked_fill(opposed, 0)


class SMFATrainer(IdkTrainer):
    """Examples need `image`, `question` and `answer`."""

    supports = ("lora", "all", "language", "vision+projector", "vision", "projector")

    def _select_trained(self, args: SMFAConfig, example: Mapping[str, Any]) -> None:
        super()._select_trained(args, example)
        model = self.anatomy.model
        add_adapters(
            model, self.adapted, seed=args.seed + 1, adapter=ANCHOR, **args.adapter_options
        )
        self.anatomy = anatomy_of(model)
        self._train_both()
        self.trained = [n for n, p in model.named_parameters() if p.requires_grad]
        self.trained_parameters = sum(model.get_parameter(n).numel() for n in self.trained)

    def sides_of(self, step: int) -> tuple[str, ...]:
        """The forgetting adapter first, then the anchor."""
        steps = self.state.max_steps or self.args.max_steps
        first = min(max(1, round((1 - self.args.anchor_share) * steps)), max(1, steps - 1))
        return ("retain",) if step >= first else ("forget",)

    def _speak_with(self, adapter: str) -> None:
        for _, layer in adapter_layers(self.anatomy.model):
            layer.set_adapter(adapter)
        self._train_both()

    def _train_both(self) -> None:
        """`peft` freezes adapters that do not speak; a step without gradients leaves them alone."""
        for _, layer in adapter_layers(self.anatomy.model):
            for name, parameter in layer.named_parameters():
                parameter.requires_grad_("lora_" in name)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        self._speak_with(FORGET)
        return outputs.cross_entropy_of(model, batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        self._speak_with(ANCHOR)
        return outputs.cross_entropy_of(model, batch)

    def finish(self) -> None:
        """Sculpts and merges; see the module's text."""
        model = self.anatomy.model
        changes = {}
        for name, layer in adapter_layers(model):
            forget, anchor = (weight_change(layer, adapter) for adapter in (FORGET, ANCHOR))
            changes[name] = sculpted(forget, anchor, self.args.opposition)
        remove_adapters(model)
        self.anatomy = anatomy_of(model)
        if self.args.save_adapter == "adapter":
            logger.warning("what is left of smfa's adapter has no low rank: it is saved in full")
            self.adapter = of_changes(model, changes)
        for name, change in changes.items():
            weight = model.get_submodule(name).weight
            weight.data = weight.data + change.to(weight.dtype)


register(
    Method(
        name="smfa",
        source="SMFA, arXiv 2511.20196",
        fidelity="reconstruction",
        trains="lora",
        touches_language=True,
        runs_language=True,
        summary="an adapter of refusals, without what opposes an adapter of answers to retain",
        trainer="unsee.methods.smfa.SMFATrainer",
        config="unsee.methods.smfa.SMFAConfig",
    )
)
