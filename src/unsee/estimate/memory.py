"""Memory of an unlearning run by part of the model and by what it is for, without any weights.

What is trained, and in which dtype, is decided by the method's own trainer on a model on the meta
device; gradients and AdamW's two moments follow from it; `activations.py` counts what a backward
pass keeps. Not counted: the allocator's fragments and the runtime of the GPU (`RUNTIME` is set
aside for both), masks, and what some methods work out once before they train.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from unsee.errors import UnseeError, check_counts, check_offered

GB = 10**9
RUNTIME = GB
"""Set aside for the GPU's runtime and the allocator, in bytes."""
CARDS = (24, 80)
"""Sizes of a GPU in GB that an estimate is held against."""
SHARDS = ("ddp", "fsdp", "zero2", "zero3")
COLUMNS = ("parameters", "gradients", "optimiser", "activations", "teacher")
QUANTISED = {"8bit": 1.0, "4bit": 0.53}
"""Bytes of a weight, its scale included."""


@dataclass(frozen=True)
class Plan:
    """What is to be estimated.

    Attributes:
        method: name of the method.
        trainable: parts that are trained; empty: the method's default.
        dtype: the weights are loaded in; empty: as published.
        bf16: train under autocast.
        batch_size: pictures of each side; 0: the method's default.
        gradient_checkpointing: keep inputs of blocks alone, and run these again.
        lora_rank: of adapters; 0: none.
        image_size: side of the pictures in pixels; 0: the tower's own.
        text_tokens: of a prompt and its answer, beside those of the picture.
        processes: GPUs, each with a batch of its own.
        shard: what is spread over them.
        quantize: `8bit` or `4bit` linear layers of W; empty: as loaded.
    """

    method: str = "vkd"
    trainable: str = ""
    dtype: str = ""
    bf16: bool = False
    batch_size: int = 0
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    image_size: int = 0
    text_tokens: int = 64
    processes: int = 1
    shard: str = "ddp"
    quantize: str = ""

    def __post_init__(self) -> None:
        check_counts(self, "text_tokens", "processes")
        check_offered(self, shard=SHARDS, quantize=("", *QUANTISED))
        for name in ("batch_size", "lora_rank", "image_size"):
            if getattr(self, name) < 0:
                raise UnseeError(f"{name} must not be negative")


@dataclass
class PartEstimate:
    """Bytes of one part of the model on one GPU, and how many weights it has and trains."""

    weights: int = 0
    trained: int = 0
    parameters: int = 0
    gradients: int = 0
    optimiser: int = 0
    activations: int = 0
    teacher: int = 0


@dataclass
class Estimate:
    """An estimate.

    Attributes:
        model: what it is of.
        settings: the plan, defaults filled in.
        parts: `vision`, `projector`, `language` -> bytes.
        gathered: bytes of the weights of a block that a sharded run gathers at a time.
    """

    model: str
    settings: dict[str, Any]
    parts: dict[str, PartEstimate] = field(default_factory=dict)
    gathered: int = 0

    def sum_of(self, column: str) -> int:
        """Of all parts."""
        return sum(getattr(part, column) for part in self.parts.values())

    @property
    def total(self) -> int:
        """Peak in bytes on one GPU: the sum of all columns. Gradients appear while activations go,
        but what the allocator freed it does not hand out as it is needed: measured peaks are the
        sum and a little more (docs/estimate.md)."""
        return sum(self.sum_of(column) for column in COLUMNS) + self.gathered

    def fits(self, gigabytes: float) -> bool:
        """Whether a GPU of that size is enough, `RUNTIME` set aside."""
        return self.total + RUNTIME <= gigabytes * GB

    def as_dict(self) -> dict[str, Any]:
        """For JSON: bytes."""
        return {
            "model": self.model,
            "settings": self.settings,
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "gathered": self.gathered,
            "total": self.total,
            "fits": {f"{card} GB": self.fits(card) for card in CARDS},
        }


def estimate(config: Any, plan: Plan, name: str = "", trust_remote_code: bool = False) -> Estimate:
    """Memory that `unsee unlearn` needs for a model.

    Args:
        config: the model's configuration, see `unsee.estimate.published.config_of`.
        plan: how it is trained.
        name: of the model, for the record.
        trust_remote_code: run code that comes with the model.

    Raises:
        UnseeError: an unknown family or method, or options that the method refuses.
    """
    import torch

    from unsee.anatomy import anatomy_of
    from unsee.anatomy.families import PARTS
    from unsee.estimate.activations import activations
    from unsee.estimate.pretend import build, picture_batch
    from unsee.methods.registry import get_method

    dtype = getattr(torch, plan.dtype, None) if plan.dtype else config.dtype or torch.float32
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UnseeError(f"dtype {plan.dtype!r}: give float32, bfloat16 or float16")
    entry = get_method(plan.method)
    trainer, args = _trainer(entry, plan)
    model = build(config, dtype, trust_remote_code)
    trainer.anatomy = anatomy_of(model)
    pictures = args.per_device_train_batch_size
    batch = picture_batch(trainer.anatomy.family, config, pictures, plan.image_size or None)
    with _acting_out(config.model_type):
        _select(trainer, args, batch)
    if plan.quantize and args.trains_language:
        raise UnseeError(f"quantize: {plan.method} changes the language model, whose weights it is")
    anatomy = trainer.anatomy
    found = {part: PartEstimate() for part in PARTS}
    teacher = _taught(trainer, args)
    quantised = _linear(model, anatomy) if plan.quantize else set()
    for full, parameter in anatomy.parameters():
        part, size = found[anatomy.part_of(full)], parameter.numel() * parameter.element_size()
        part.weights += parameter.numel()
        kept = QUANTISED[plan.quantize] * parameter.numel() if full in quantised else size
        part.parameters += int(kept)
        part.teacher += size if full in teacher else 0
        if parameter.requires_grad:
            part.trained += parameter.numel()
            part.gradients += size
            part.optimiser += 0 if entry.edits else 2 * size
    runs_language = getattr(args, "runs_language", entry.runs_language)
    with _acting_out(config.model_type):
        kept_for_backward = activations(
            anatomy,
            batch,
            None if runs_language else _distilled(args),
            plan.text_tokens,
            sides=len(trainer.uses),
            bf16=plan.bf16,
            checkpointing=plan.gradient_checkpointing,
        )
    for where, count in kept_for_backward.items():
        found[where].activations = count
    settings = {**asdict(plan), "trainable": args.trainable, "batch_size": pictures}
    settings |= {"dtype": str(dtype).removeprefix("torch."), "lora_rank": args.lora_rank}
    made = Estimate(name, settings, found)
    _spread(made, plan, model)
    return made


@contextmanager
def _acting_out(model_type: str) -> Iterator[None]:
    """Where a family's code needs more than shapes, the estimate says so."""
    try:
        yield
    except (TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UnseeError(
            f"{model_type} models can't be estimated: they don't run on shapes alone ({first})"
        ) from error


def _trainer(entry: Any, plan: Plan) -> tuple[Any, Any]:
    """The method's trainer without model and data, and its configuration."""
    trainer_class, config_class = entry.classes()
    options: dict[str, Any] = {"lora_rank": plan.lora_rank} if plan.lora_rank else {}
    options |= {"trainable": plan.trainable} if plan.trainable else {}
    options |= {"per_device_train_batch_size": plan.batch_size} if plan.batch_size else {}
    args = config_class(output_dir="estimate", report_to=[], **options)
    if args.trainable not in trainer_class.supports:
        raise UnseeError(
            f"{entry.name} can't train {args.trainable!r}: it supports "
            f"{', '.join(trainer_class.supports)}"
        )
    if args.lora_rank and not trainer_class.adapters:
        raise UnseeError(f"{entry.name} has no adapters: leave lora_rank at 0")
    trainer = object.__new__(trainer_class)
    trainer.args = args
    return trainer, args


def _select(trainer: Any, args: Any, batch: Any) -> None:
    """What is trained, chosen by the trainer itself."""
    import torch

    from unsee.estimate.pretend import Pretend

    anatomy = trainer.anatomy
    with Pretend():
        unread = anatomy.unread(batch)
    anatomy.unread = lambda example: unread
    with torch.device("meta"):
        trainer._select_trained(args, {})


def _distilled(args: Any) -> Any:
    """The loss of VKD: distances of its features from targets of their shapes."""
    import torch

    from unsee.methods.distances import DISTANCES

    def loss(seen: Any) -> Any:
        picked = seen.pick(args.feature_names)
        distance = DISTANCES[args.distance]
        return sum(distance(found, torch.empty_like(found)) for found in picked.values())

    return loss


def _taught(trainer: Any, args: Any) -> set[str]:
    """Names of the weights of which a frozen copy is kept."""
    from unsee.anatomy.families import PROJECTOR, VISION
    from unsee.methods.answers import AnswersTrainer
    from unsee.methods.vkd import VKDTrainer

    if isinstance(trainer, VKDTrainer):
        return {name for name, _ in trainer.anatomy.parameters(VISION, PROJECTOR)}
    if isinstance(trainer, AnswersTrainer) and trainer.compares(args):
        return set(trainer.trained)
    return set()


def _linear(model: Any, anatomy: Any) -> set[str]:
    """Weights of W that `--quantize` stores in fewer bits: its linear layers but the head."""
    from torch.nn import Linear

    head = model.get_output_embeddings()
    names = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, Linear) and module is not head
    }
    return {name for name, _ in anatomy.parameters("language") if name in names}


def _spread(made: Estimate, plan: Plan, model: Any) -> None:
    """What of it is on one of several GPUs."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    count = plan.processes
    if count == 1:
        return
    whole = {"fsdp", "zero3"}
    for part in made.parts.values():
        if plan.shard == "ddp":
            part.gradients *= 2  # buckets beside them
            continue
        part.optimiser //= count
        part.gradients //= count
        if plan.shard in whole:
            part.parameters //= count
    if plan.shard in whole:
        blocks = [
            sum(p.numel() * p.element_size() for p in module.parameters())
            for module in model.modules()
            if isinstance(module, GradientCheckpointingLayer)
        ]
        made.gathered = 2 * max(blocks, default=0)  # the next is fetched while one is at work
