"""The options of teaching."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from transformers import TrainingArguments

from unsee.errors import UnseeError, check_counts, check_offered, check_positive
from unsee.methods.config import LORA_RANK, TRAINABLE

LOSS_ON = ("answer", "all")


@dataclass
class FinetuneConfig(TrainingArguments):
    """Options of teaching, on top of `transformers.TrainingArguments`."""

    trainable: str = field(
        default="all", metadata={"help": "parts that are trained", "choices": list(TRAINABLE)}
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
    loss_on: str = field(
        default="answer",
        metadata={
            "help": "answer: the answer's tokens; all: question and picture too, as the released "
            "code of MLLMU-Bench does",
            "choices": list(LOSS_ON),
        },
    )
    also_in_words: bool = field(
        default=False,
        metadata={"help": "ask every question about a picture in words too, the person named"},
    )
    learning_rate: float = field(default=2e-5, metadata={"help": "peak learning rate of AdamW"})
    per_device_train_batch_size: int = field(default=4, metadata={"help": "questions a step"})
    num_train_epochs: float = field(default=4, metadata={"help": "times that all are shown"})
    save_steps: float = field(
        default=200, metadata={"help": "steps between the checkpoints that a rerun goes on from"}
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "checkpoints that are kept while a run is unfinished"}
    )
    logging_steps: float = field(default=20, metadata={"help": "steps between lines of the log"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offered(self, trainable=TRAINABLE, loss_on=LOSS_ON)
        check_positive(self, "learning_rate", "save_steps", "num_train_epochs")
        check_counts(self, "per_device_train_batch_size", "gradient_accumulation_steps")
        if self.trainable == "lora":
            self.lora_rank = self.lora_rank or LORA_RANK
        if self.lora_rank < 0 or self.lora_alpha < 0:
            raise UnseeError("lora_rank and lora_alpha must not be negative")
        if not 0 <= self.lora_dropout < 1:
            raise UnseeError("lora_dropout must be at least 0 and below 1")
        if (self.lora_alpha or self.lora_dropout) and not self.lora_rank:
            raise UnseeError("lora_alpha and lora_dropout are about adapters: give lora_rank")
        if self.max_steps == 0 or self.max_steps < -1:
            raise UnseeError("max_steps must be at least 1 (or -1, for num_train_epochs)")
        if not torch.cuda.is_available():
            self.dataloader_pin_memory = False  # it would only warn
        self.remove_unused_columns = False  # the rows are ours, not columns of a model


def taught_with(args: FinetuneConfig) -> dict[str, Any]:
    """The options that decide what is learnt."""
    wanted = {
        *("learning_rate max_steps num_train_epochs per_device_train_batch_size seed bf16").split(),
        *("gradient_accumulation_steps lr_scheduler_type warmup_steps weight_decay").split(),
        "max_grad_norm",
    }
    own = {f.name for f in fields(args)} - {f.name for f in fields(TrainingArguments)}
    found = {name: getattr(args, name) for name in sorted(own | wanted)}
    return {name: getattr(value, "value", value) for name, value in found.items()}
