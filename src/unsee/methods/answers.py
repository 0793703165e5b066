"""The base of methods whose losses are on answers, through the language model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch.func import functional_call

from unsee.data.collate import QuestionCollator
from unsee.errors import UnseeError
from unsee.methods import outputs
from unsee.methods.base import UnlearningTrainer
from unsee.methods.config import UnlearningConfig

REFUSAL = "I don't know this person"
SEEN_AND_SAID = ("all", "language", "vision+projector", "vision", "projector", "lora")


@dataclass
class AnswersConfig(UnlearningConfig):
    """Options that methods on answers share."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (1e-5, 1e-3),
        "max_steps": [100, 200, 400],
        "trainable": ["all", "vision+projector"],
        "retain_weight": (0.3, 30.0),
    }

    trainable: str = field(
        default="all", metadata={"help": "parts that are trained", "choices": list(SEEN_AND_SAID)}
    )
    learning_rate: float = field(default=3e-5, metadata={"help": "peak learning rate of AdamW"})
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "pictures to forget, and as many to retain, a step"}
    )
    max_steps: int = field(default=100, metadata={"help": "steps; -1: num_train_epochs"})
    warmup_steps: float = field(default=10, metadata={"help": "as in transformers"})

    @property
    def runs_language(self) -> bool:
        """Losses on answers are taken through W."""
        return True


@dataclass
class AlternatingConfig(AnswersConfig):
    """Options of methods on answers whose sides take turns, so that a step sees one of them."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "max_steps": [200, 400, 800]}

    schedule: str = field(
        default="alternating", metadata={"help": "when each side has its updates"}
    )
    max_steps: int = field(
        default=200, metadata={"help": "updates of both sides together; -1: num_train_epochs"}
    )


class AnswersTrainer(UnlearningTrainer):
    """Examples need `image`, `question` and `answer`. The retain side is held by the
    cross-entropy of its answers, unless a method says otherwise."""

    supports: tuple[str, ...] = SEEN_AND_SAID
    keeps_shards = True
    """Whether the weights are shards while the original is asked, under FSDP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.anatomy.model
        kept = self.trained if self.compares(self.args) else []
        self.reference: Any = None
        if kept and self.is_fsdp_enabled and self.keeps_shards:
            self.reference = self.sharded_copy()
            kept = []
        self.before = {n: model.get_parameter(n).detach().clone() for n in kept}

    def compares(self, args: Any) -> bool:
        """Whether the method looks at the original: then what is trained is kept as it was."""
        return False

    def collator(self, args: UnlearningConfig, processing_class: Any) -> Any:
        return QuestionCollator(processing_class)

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        """Tokens of the answers."""
        return float(outputs.answer_lengths(batch["labels"]).sum())

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return outputs.cross_entropy_of(model, batch)

    def logits_of(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """[B, T, V] of the model that is trained."""
        return outputs.logits_of(model, batch)

    def likelihoods(
        self, model: Any, batch: Mapping[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-likelihood of each answer, [B]: of the model that is trained, and of the original."""
        ours, originals = self.logits_of(model, batch), self.originals(batch)
        labels = batch["labels"]
        return (
            outputs.answer_log_likelihood(ours, labels),
            outputs.answer_log_likelihood(originals, labels),
        )

    def kl_to_original(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """KL(p_original || p), a mean over the answers' tokens."""
        logits, originals = self.logits_of(model, batch), self.originals(batch)
        return outputs.answer_kl(logits, originals, batch["labels"])

    def originals(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """[B, T, V] of the frozen original, in eval mode. Of the original no more is kept than the
        weights that are trained; with adapters, than those. Of a sharded one all is, in shards."""
        return self.original_output(batch).logits

    def original_output(self, batch: Mapping[str, Any], **wanted: Any) -> Any:
        """What the frozen original makes of a batch; `wanted` such as `output_hidden_states`."""
        model = self.anatomy.model
        if self.reference is not None:
            with torch.no_grad():
                return self.reference(**outputs.model_inputs(batch), **wanted)
        with torch.no_grad(), _eval_mode(model):
            return functional_call(
                model, self.before, (), {**outputs.model_inputs(batch), **wanted}
            )


@contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


class Answering:
    """A dataset with other answers.

    Args:
        examples: map-style dataset of examples with `image`, `question`, `answer`.
        answer: what is answered to all of them.
    """

    def __init__(self, examples: Any, answer: str) -> None:
        self.examples, self.answer = examples, answer

    def __len__(self) -> int:
        return 0 if self.examples is None else len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.examples[index], "answer": self.answer}


def check_refusal(text: str) -> None:
    """Refuses an empty refusal.

    Raises:
        UnseeError: it is.
    """
    if not text.strip():
        raise UnseeError("abstain_text is empty: say what the model is to answer")
