"""The options that all unlearning methods share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from transformers import TrainingArguments

from unsee.anatomy.families import LANGUAGE, PARTS, PROJECTOR, VISION
from unsee.errors import UnseeError, check_counts, check_offered, check_positive

TRAINABLE = {
    "vision": (VISION,),
    "projector": (PROJECTOR,),
    "vision+projector": (VISION, PROJECTOR),
    "language": (LANGUAGE,),
    "all": PARTS,
    "lora": PARTS,
}
"""Parts of the model by what `trainable` may be; `lora` trains adapters on all of them."""
LORA_RANK = 8
"""Rank of the adapters of `trainable=lora` where none is given."""

OF_ADAPTERS = {"lora_alpha", "lora_dropout", "use_dora", "save_adapter"}
SAVED_ADAPTER = ("merged", "adapter")
SCHEDULES = ("paired", "alternating", "successive")
SIDES = ("forget", "retain")


@dataclass
class UnlearningConfig(TrainingArguments):
    """Options shared by all methods, on top of `transformers.TrainingArguments`.

    `per_device_train_batch_size` counts pictures of each side: a step sees as many pictures to
    forget as to retain.

    `space` is what `unsee tune` searches: option -> (low, high) on a logarithmic scale, or a list
    of choices; the defaults lie in it.
    """

    space: ClassVar[Mapping[str, Any]] = {}

    trainable: str = field(
        default="vision+projector",
        metadata={"help": "parts that are trained", "choices": list(TRAINABLE)},
    )
    augment: bool = field(
        default=False, metadata={"help": "vary pictures a little: place, size, angle, light"}
    )
    mirror: bool = field(
        default=True,
        metadata={"help": "mirror some of the varied; not with questions about left and right"},
    )
    picture_side: int = field(
        default=0,
        metadata={
            "help": "pixels of the square that pictures are brought to where the number of visual "
            "tokens depends on their size; 0: the first one's longer side, at most 448"
        },
    )
    lora_rank: int = field(
        default=0,
        metadata={"help": "train adapters of this rank on linear layers, merged at the end; 0: no"},
    )
    lora_alpha: int = field(
        default=0, metadata={"help": "adapters are scaled by this over the rank; 0: twice the rank"}
    )
    lora_dropout: float = field(
        default=0.0, metadata={"help": "dropout in front of the adapters, in [0, 1)"}
    )
    use_dora: bool = field(
        default=False, metadata={"help": "DoRA: adapters that learn sizes and directions apart"}
    )
    save_adapter: str = field(
        default="merged",
        metadata={
            "help": "what is saved: a whole checkpoint, or the adapter alone, for `peft`",
            "choices": list(SAVED_ADAPTER),
        },
    )
    forget_weight: float = field(
        default=1.0, metadata={"help": "weight of the forget side's loss (>= 0)"}
    )
    retain_weight: float = field(
        default=1.0, metadata={"help": "weight of the retain side's loss (>= 0)"}
    )
    schedule: str = field(
        default="paired",
        metadata={
            "help": "both in one update, an update of each in turn, or one after the other",
            "choices": list(SCHEDULES),
        },
    )
    forget_every: int = field(
        default=1, metadata={"help": "retain steps for one that also, or only, forgets"}
    )
    stop_at_strangers: bool = field(
        default=False,
        metadata={"help": "stop once the people are like the strangers that were given; runs W"},
    )
    stranger_steps: int = field(
        default=50, metadata={"help": "steps between two looks for stop_at_strangers"}
    )
    save_steps: float = field(
        default=100, metadata={"help": "steps between the checkpoints that a rerun goes on from"}
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "checkpoints that are kept while a run is unfinished"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offered(self, trainable=TRAINABLE, schedule=SCHEDULES, save_adapter=SAVED_ADAPTER)
        for name in ("forget_weight", "retain_weight"):
            if not getattr(self, name) >= 0:
                raise UnseeError(f"{name} must not be negative")
        check_positive(self, "learning_rate", "save_steps")
        check_counts(self, "per_device_train_batch_size", "gradient_accumulation_steps")
        check_counts(self, "forget_every", "stranger_steps")
        for name in ("lora_rank", "picture_side"):
            if getattr(self, name) < 0:
                raise UnseeError(f"{name} must not be negative")
        if self.trainable == "lora":
            self.lora_rank = self.lora_rank or LORA_RANK
        self._check_adapters()
        if self.max_steps == 0 or self.max_steps < -1:
            raise UnseeError("max_steps must be at least 1 (or -1, for num_train_epochs)")
        if not 0 <= self.seed < 2**32:
            raise UnseeError("seed must be between 0 and 4294967295")
        if not torch.cuda.is_available():
            self.dataloader_pin_memory = False  # it would only warn
        self.remove_unused_columns = False  # the pairs are ours, not columns of a model

    def _check_adapters(self) -> None:
        if self.lora_alpha < 0:
            raise UnseeError("lora_alpha must not be negative")
        if not 0 <= self.lora_dropout < 1:
            raise UnseeError("lora_dropout must be at least 0 and below 1")
        wants = {
            "lora_alpha": self.lora_alpha,
            "lora_dropout": self.lora_dropout,
            "use_dora": self.use_dora,
            "save_adapter=adapter": self.save_adapter == "adapter",
        }
        asked = [name for name, wanted in wants.items() if wanted]
        if asked and not self.lora_rank:
            raise UnseeError(f"{asked[0]} is about adapters: give lora_rank, such as 8")

    @property
    def trains_language(self) -> bool:
        """Whether W is among the parts that change; else it stays the same to the bit."""
        return LANGUAGE in TRAINABLE[self.trainable]

    @property
    def adapter_options(self) -> dict[str, Any]:
        """What `unsee.adapters.add_adapters` takes beside names and seed."""
        return {
            "rank": self.lora_rank,
            "alpha": self.lora_alpha,
            "dropout": self.lora_dropout,
            "dora": self.use_dora,
        }


def own_options(args: TrainingArguments) -> dict[str, Any]:
    """The fields of a configuration that are a method's own or govern the optimisation; those of
    adapters only where there are some, `picture_side` only where it is given."""
    wanted = {
        *("trainable forget_weight retain_weight learning_rate max_steps num_train_epochs").split(),
        *("per_device_train_batch_size gradient_accumulation_steps lr_scheduler_type").split(),
        *("warmup_steps weight_decay max_grad_norm seed bf16").split(),
    }
    own = {f.name for f in fields(args)} - {f.name for f in fields(TrainingArguments)}
    if not getattr(args, "lora_rank", 0):
        own -= OF_ADAPTERS
    if not getattr(args, "picture_side", 0):
        own.discard("picture_side")
    found = {name: getattr(args, name) for name in sorted(own | wanted)}
    return {name: getattr(value, "value", value) for name, value in found.items()}
