"""The base of every unlearning method: `transformers.Trainer` on pairs of forget and retain.

Checkpoints, resume, accumulation, mixed precision, loggers and progress are the Trainer's own. A
method overrides `forget_loss` and `retain_loss`, and says in its configuration what it trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer

from unsee import distributed, sharding
from unsee.adapters import Adapter, add_adapters, merge_adapters, taken_out
from unsee.anatomy import anatomy_of
from unsee.anatomy.families import LANGUAGE, PROJECTOR, VISION
from unsee.data.collate import PairedCollator, PairedDataset, PictureCollator, evenly
from unsee.data.squares import squares
from unsee.errors import Diverged, UnseeError
from unsee.methods.callbacks import CountsEpochs, KeepsMasked
from unsee.methods.config import SIDES, TRAINABLE, UnlearningConfig
from unsee.methods.several import SeveralProcesses
from unsee.methods.steps import StepsOfSides
from unsee.resume import ExactResume

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class UnlearningTrainer(StepsOfSides, SeveralProcesses, ExactResume, Trainer):
    """Base of the unlearning trainers.

    Args:
        model: a multimodal model of a known family.
        args: the method's configuration.
        forget_dataset: map-style; each item holds an `image` of somebody to forget.
        retain_dataset: the same of people to keep.
        processing_class: the model's processor.
        data_collator: examples -> batch, for one side; default: what the method needs.
        stranger_dataset: pictures of people whom the model never learnt, for what needs them.
        text_dataset: questions in words (`image` None) that keep their answers, for methods that
            train W.
        kwargs: passed on to `transformers.Trainer` (callbacks, optimizers, …).

    Attributes:
        supports: what `trainable` may be (of the class).
        adapters: whether `lora_rank` is supported (of the class).
        uses: the sides whose loss the method has; the other is not looked at (of the class).
        masked_sides: the sides whose gradients `forget_mask` confines (of the class).
        forget_mask: parameter -> bool, True where a masked side may move the weight; None: no mask.
        anatomy: the parts of the model.
        adapted: names of the parameters that `trainable` selects; with adapters, those that these
            are added to.
        trained: names of the parameters that are trained.
        trained_parameters: number of weights that are trained.
        adapter: the trained adapter, with `save_adapter=adapter` and after `train`.

    Raises:
        UnseeError: an empty set, an unknown family, a part that this method can't train, a
            selection that would train nothing, or a loss that is not finite.
    """

    supports: tuple[str, ...] = tuple(TRAINABLE)
    adapters: bool = True
    uses: tuple[str, ...] = SIDES
    masked_sides: tuple[str, ...] = ("forget",)

    def __init__(
        self,
        model: PreTrainedModel,
        args: UnlearningConfig,
        forget_dataset: Any,
        retain_dataset: Any,
        processing_class: Any,
        data_collator: Any = None,
        stranger_dataset: Any = None,
        text_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        for side, dataset in (("forget", forget_dataset), ("retain", retain_dataset)):
            if dataset is None or len(dataset) == 0:
                raise UnseeError(f"the {side} set is empty: give at least one picture")
        if args.trainable not in self.supports:
            raise UnseeError(
                f"{type(self).__name__} can't train {args.trainable!r}: "
                f"it supports {', '.join(self.supports)}"
            )
        if args.lora_rank and not self.adapters:
            raise UnseeError(f"{type(self).__name__} has no adapters: leave lora_rank at 0")
        self.anatomy = anatomy_of(model)
        if getattr(args, "runs_language", False):
            self.anatomy.check_answers()
        if self.anatomy.family.by_size:
            forget_dataset, retain_dataset, stranger_dataset = squares(
                [forget_dataset, retain_dataset, stranger_dataset],
                processing_class,
                args.picture_side,
            )
        collate = data_collator or self.collator(args, processing_class)
        self.strangers, self.texts = stranger_dataset, text_dataset
        self._select_trained(args, collate([forget_dataset[0]]))
        self.parts: dict[str, list[float]] = {"forget": [], "retain": []}
        self.forget_mask: dict[str, torch.Tensor] | None = None
        self._sides: tuple[str, ...] = SIDES
        self.adapter: Adapter | None = None
        super().__init__(
            model=model,
            args=args,
            data_collator=PairedCollator(collate, self.forget_collator(args, processing_class)),
            train_dataset=PairedDataset(
                forget_dataset, retain_dataset, args.seed if args.augment else None, args.mirror
            ),
            processing_class=processing_class,
            **kwargs,
        )
        # Our losses are means over the batch: let the Trainer average accumulated steps.
        self.model_accepts_loss_kwargs = False
        self.add_callback(KeepsMasked(self))
        self.add_callback(CountsEpochs(self.train_dataset))

    def collator(self, args: UnlearningConfig, processing_class: Any) -> Any:
        """What makes a batch of one side's examples; pictures alone, unless a method wants more."""
        return PictureCollator(processing_class)

    def forget_collator(self, args: UnlearningConfig, processing_class: Any) -> Any:
        """The same for the forget side, where that needs more; None: what the other side has."""
        return None

    def select(self, args: UnlearningConfig, trained: list[str]) -> list[str]:
        """Which of the parameters selected by `trainable` are trained; all of them."""
        return trained

    def _select_trained(self, args: UnlearningConfig, example: Mapping[str, Any]) -> None:
        """Freezes everything but the selected parts.

        What is trained gets fp32 master weights, and so does what it runs beside: V and P together,
        the blocks that are run and not read among them.
        """
        model = self.anatomy.model
        tensors = {k: v for k, v in example.items() if isinstance(v, torch.Tensor)}
        example = {k: v.to(model.device) for k, v in tensors.items()}
        unread = set(self.anatomy.unread(example))
        chosen = TRAINABLE[args.trainable]
        names = [name for name, _ in model.named_parameters()]
        candidates = [n for n in names if self.anatomy.part_of(n) in chosen and n not in unread]
        self.trained: list[str] = self.select(args, candidates)
        if not self.trained:
            raise UnseeError(f"trainable={args.trainable!r} selects no parameter of this model")
        beside = {
            part
            for sees in ((VISION, PROJECTOR), (LANGUAGE,))
            for part in sees
            if not set(sees).isdisjoint(chosen)
        }
        for _, parameter in self.anatomy.parameters(*beside):
            parameter.data = parameter.data.float()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self.trained)
        self.adapted = list(self.trained)
        if args.lora_rank:
            add_adapters(model, self.trained, seed=args.seed, **args.adapter_options)
            self.anatomy = anatomy_of(model)
            self.trained = [n for n, p in model.named_parameters() if p.requires_grad]
        self.trained_parameters = sum(model.get_parameter(name).numel() for name in self.trained)

    def generator_of_step(self) -> torch.Generator:
        """Of this step and the run's seed: what is drawn from it is drawn again after a resume."""
        step = 1_000_003 * self.args.seed + self.state.global_step
        return torch.Generator().manual_seed(step)

    def batches(self, dataset: Any, count: int, size: int = 32) -> Iterator[dict[str, Any]]:
        """Batches of `count` examples spread evenly over one side, as the losses take them."""
        chosen = evenly(len(dataset), count)
        collate = self.data_collator.sides[
            "forget" if dataset is self.train_dataset.forget else "retain"
        ]
        for start in range(0, len(chosen), size):
            examples = [dataset[i] for i in chosen[start : start + size]]
            yield self._prepare_inputs(collate(examples))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer.train`; adapters are merged at the end. Where weights were sharded, the first
        process has the whole model then, on the CPU."""
        bones = sharding.skeleton(self.anatomy.model) if self.is_fsdp_enabled else None
        output = super().train(*args, **kwargs)
        if bones is not None:
            sharding.fill(bones, self.anatomy.model, keep=distributed.is_first())
            self.model = self.model_wrapped = bones
            self.anatomy = anatomy_of(bones)
        if bones is None or distributed.is_first():
            self.finish()
        return output

    def finish(self) -> None:
        """Makes the model a plain `transformers` model again: adapters become part of its weights.
        `train` does it; it is for who takes weights from a checkpoint without training on."""
        if self.args.lora_rank:
            if self.args.save_adapter == "adapter":
                self.adapter = self.take_out()
            merge_adapters(self.anatomy.model)
            self.anatomy = anatomy_of(self.anatomy.model)

    def take_out(self) -> Adapter:
        """A copy of the adapter as it is now."""
        return taken_out(self.anatomy.model)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """Loss of a batch to forget, a scalar to be minimised."""
        raise NotImplementedError

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """Loss of a batch to retain, a scalar to be minimised."""
        raise NotImplementedError

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Weighted sum of the sides that this step is for."""
        self.counts, self.pictures = "filler" not in inputs, len(inputs["forget_index"])
        loss = self.inside(model, lambda inner: self._loss(inner, inputs))
        return (loss, {}) if return_outputs else loss

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        """What the loss of a side is a mean over, of this batch: its pictures. None: the method
        weighs the parts of its loss itself, with `share`."""
        return self.pictures

    def _loss(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        loss: torch.Tensor | float = 0.0
        for side in (side for side in self._sides if side in self.uses):
            of_side = getattr(self, f"{side}_loss")(model, inputs[side])
            if distributed.processes() > 1:
                count = self.counted(side, inputs[side])
                of_side = of_side * (1.0 if count is None else self.share(count))
            loss = loss + getattr(self.args, f"{side}_weight") * of_side
            self.parts[side].append(float(of_side.detach()))
        assert isinstance(loss, torch.Tensor)
        if distributed.largest(float(not torch.isfinite(loss)))[0]:
            raise Diverged(
                f"the loss is {loss.item()} at step {self.state.global_step}: lower the learning "
                f"rate; the last good checkpoint, if any, is in {self.args.output_dir}"
            )
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise UnseeError(
                f"the loss does not depend on trainable={self.args.trainable!r}: nothing would be "
                "learnt with these options"
            )
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Adds the mean of each side's loss since the last line."""
        for side, values in self.parts.items():
            if values:
                (summed,) = distributed.total(sum(values) / len(values))
                logs[f"{side}_loss"] = round(summed / distributed.processes(), 5)
                values.clear()
        super().log(logs, *args, **kwargs)
