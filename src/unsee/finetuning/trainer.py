"""A `transformers.Trainer` on lessons: those about pictures and those in words in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer

from unsee.adapters import add_adapters, merge_adapters
from unsee.anatomy import anatomy_of
from unsee.anatomy.families import LANGUAGE, PROJECTOR, VISION
from unsee.data.collate import QuestionCollator
from unsee.errors import UnseeError
from unsee.finetuning.config import FinetuneConfig
from unsee.methods.config import TRAINABLE
from unsee.methods.outputs import IGNORED, model_inputs
from unsee.resume import ExactResume

SIDES = ("pictured", "words")


class LessonCollator:
    """Lessons -> `{"pictured": batch, "words": batch}`, whichever there are.

    Args:
        processing_class: the model's processor.
        loss_on: `answer`, or `all`: every token that is no padding is learnt.
    """

    def __init__(self, processing_class: Any, loss_on: str = "answer") -> None:
        self.collate = QuestionCollator(processing_class)
        self.loss_on = loss_on

    def __call__(self, lessons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sides = {
            "pictured": [one for one in lessons if one["image"] is not None],
            "words": [one for one in lessons if one["image"] is None],
        }
        return {name: self._batch(of) for name, of in sides.items() if of}

    def _batch(self, lessons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        batch = self.collate(lessons)
        if self.loss_on == "all":
            unread = batch["attention_mask"] == 0
            batch["labels"] = batch["input_ids"].masked_fill(unread, IGNORED)
        return batch


class FinetuneTrainer(ExactResume, Trainer):
    """Teaches a model.

    Args:
        model: a multimodal model of a known family.
        args: the options.
        train_dataset: `Lessons`, or any map-style dataset of `image` (or None), `question` and
            `answer`.
        processing_class: the model's processor.
        kwargs: passed on to `transformers.Trainer`.

    Attributes:
        trained_parameters: number of weights that are trained.

    Raises:
        UnseeError: nothing to learn, an unknown family, or a loss that is not finite.
    """

    def __init__(
        self,
        model: Any,
        args: FinetuneConfig,
        train_dataset: Any,
        processing_class: Any,
        **kwargs: Any,
    ) -> None:
        if len(train_dataset) == 0:
            raise UnseeError("there is nothing to learn: the data holds no question")
        self.anatomy = anatomy_of(model)
        collate = LessonCollator(processing_class, args.loss_on)
        self._select_trained(args, collate, train_dataset)
        super().__init__(
            model=model,
            args=args,
            data_collator=collate,
            train_dataset=train_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        # Our loss is a mean over the batch: let the Trainer average accumulated steps.
        self.model_accepts_loss_kwargs = False

    def _select_trained(self, args: FinetuneConfig, collate: Any, dataset: Any) -> None:
        """Freezes everything but the parts that are trained; these, and what they run beside, get
        fp32 master weights. Vision blocks behind the layer that is read are left alone."""
        model, chosen = self.anatomy.model, TRAINABLE[args.trainable]
        seen = _first_picture(dataset)
        if seen is None and set(chosen) <= {VISION, PROJECTOR}:
            raise UnseeError(
                f"trainable={args.trainable!r} learns from pictures, and the data has none"
            )
        unread: set[str] = set()
        if seen is not None:
            batch = collate([seen])["pictured"]
            tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
            unread = set(self.anatomy.unread({k: v.to(model.device) for k, v in tensors.items()}))
        names = [
            name
            for name, _ in model.named_parameters()
            if self.anatomy.part_of(name) in chosen and name not in unread
        ]
        beside = [
            part
            for together in ((VISION, PROJECTOR), (LANGUAGE,))
            for part in together
            if not set(together).isdisjoint(chosen)
        ]
        for _, parameter in self.anatomy.parameters(*beside):
            parameter.data = parameter.data.float()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in names)
        if args.lora_rank:
            alpha, dropout = args.lora_alpha, args.lora_dropout
            add_adapters(model, names, args.lora_rank, args.seed, alpha=alpha, dropout=dropout)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.trained_parameters = sum(parameter.numel() for parameter in trained)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer.train`; adapters are merged at the end."""
        output = super().train(*args, **kwargs)
        self.finish()
        return output

    def finish(self) -> None:
        """Makes the model a plain `transformers` model again: adapters become part of its weights.
        `train` does it; it is for who takes weights from a checkpoint without training on."""
        if self.args.lora_rank:
            merge_adapters(self.anatomy.model)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean cross-entropy of a token to learn, of both sides together."""
        total: Any = 0.0
        count = 0
        for side in (side for side in SIDES if side in inputs):
            loss, tokens = token_losses(model, inputs[side])
            total, count = total + loss, count + tokens
        loss = total / max(count, 1)
        if not torch.isfinite(loss):
            raise UnseeError(
                f"the loss is {loss.item()} at step {self.state.global_step}: lower the learning "
                f"rate; the last good checkpoint, if any, is in {self.args.output_dir}"
            )
        if torch.is_grad_enabled() and not loss.requires_grad:
            loss = loss + 0.0 * sum(p.sum() for p in model.parameters() if p.requires_grad)
        return (loss, {}) if return_outputs else loss

    def mean_loss(self, at_most: int = 64) -> float:
        """Mean loss of a token over lessons at even distances, in eval mode."""
        from unsee.data.collate import evenly

        dataset: Any = self.train_dataset
        model = self.anatomy.model
        training = model.training
        model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for index in evenly(len(dataset), at_most):
                batch = self._prepare_inputs(self.data_collator([dataset[index]]))
                for of_side in batch.values():
                    loss, tokens = token_losses(model, of_side)
                    total, count = total + float(loss), count + tokens
        model.train(training)
        return total / max(count, 1)


def token_losses(model: Any, batch: Mapping[str, Any]) -> tuple[torch.Tensor, int]:
    """(cross-entropy summed over the tokens to learn, their number)."""
    logits = model(**model_inputs(batch)).logits
    targets = batch["labels"][:, 1:]
    loss = cross_entropy(
        logits[:, :-1].float().flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
    return loss, int((targets != IGNORED).sum())


def _first_picture(dataset: Any) -> Any:
    """The first lesson with a picture; None if there is none."""
    lessons = getattr(dataset, "lessons", None)
    if lessons is not None:
        place = next((i for i, one in enumerate(lessons) if one.picture is not None), None)
        return None if place is None else dataset[place]
    return next(
        (one for i in range(len(dataset)) if (one := dataset[i])["image"] is not None), None
    )
