"""What an unlearning trainer does where several processes train together.

`accelerate` starts them, averages gradients (DDP) and shards weights (FSDP). What is left to us:

- each process takes its part of *the batch that one process would have*, in the same order;
- losses are means over a batch, so a part counts by what it holds (pictures, or answers' tokens);
- the loss is computed inside the wrapped model's forward, for methods run parts of the model that
  the wrapper knows nothing of.

So the weights are those of one process with the same batch, up to floating-point error.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from unsee import distributed
from unsee.data.collate import Filler
from unsee.errors import UnseeError

T = TypeVar("T")
FSDP_1 = "FSDP 1 flattens weights that methods look at one by one: say fsdp_version: 2"


class PartOfEach:
    """Batches of one process -> this process's part of each.

    Args:
        batches: a batch sampler; all processes have the same.
        number: of this process.
        processes: how many there are.

    Where a batch has fewer examples than there are processes, those that get none get a `Filler`,
    which does not count.
    """

    def __init__(self, batches: Any, number: int, processes: int) -> None:
        self.batches, self.number, self.processes = batches, number, processes
        self.sampler = batches.sampler
        self.batch_size = max(1, batches.batch_size // processes)
        self.drop_last = batches.drop_last

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches:
            start, stop = (len(batch) * n // self.processes for n in (self.number, self.number + 1))
            yield batch[start:stop] or [Filler(batch[0])]


def _blocks(model: Any) -> list[str]:
    """Classes of the model's blocks, which are sharded one by one. What transformers names holds
    classes that a model of several parts does not have."""
    whole = set(getattr(model, "_no_split_modules", None) or [])
    blocks = {
        type(block).__name__
        for stack in model.modules()
        if isinstance(stack, torch.nn.ModuleList)
        for block in stack
    }
    return sorted(blocks & whole or blocks)


class SeveralProcesses:
    """For an `UnlearningTrainer`, before `transformers.Trainer` among its bases."""

    counts = True
    """Whether this process's part of the batch is real."""

    def create_accelerator_and_postprocess(self) -> None:
        asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
        if asked and os.environ.get("FSDP_VERSION", "1") == "1":  # before accelerate looks for GPUs
            raise UnseeError(FSDP_1)
        trainer: Any = self
        if trainer.args.ddp_find_unused_parameters is None:
            trainer.args.ddp_find_unused_parameters = True  # a step may be of one side or part
        with distributed.sharding_on_cpu():
            super().create_accelerator_and_postprocess()  # type: ignore[misc]
        if trainer.is_deepspeed_enabled:
            plugin = trainer.accelerator.state.deepspeed_plugin
            if plugin.zero_stage == 3:
                raise UnseeError(
                    "DeepSpeed ZeRO-3 shards weights that methods look at one by one: choose "
                    "zero_stage 1 or 2, or FSDP (fsdp_version: 2)"
                )
        if not trainer.is_fsdp_enabled:
            return
        plugin = trainer.accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            raise UnseeError(FSDP_1)
        if plugin.cpu_ram_efficient_loading:
            raise UnseeError(
                "with fsdp_cpu_ram_efficient_loading only the first process has the original that "
                "teachers and statistics are made of: set it to false"
            )
        if not plugin.transformer_cls_names_to_wrap:
            plugin.transformer_cls_names_to_wrap = _blocks(trainer.anatomy.model)

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Mixed precision for the whole loss. `accelerate` has it in the model's own forward, which
        methods that run parts of the model do not go through."""
        return self.accelerator.autocast()  # type: ignore[attr-defined]

    def get_train_dataloader(self) -> Any:
        """The batches of one process; of several, a part of each."""
        several, trainer = distributed.processes(), self
        if several == 1:
            return super().get_train_dataloader()  # type: ignore[misc]
        from accelerate.data_loader import prepare_data_loader

        args, pairs = trainer.args, trainer.train_dataset  # type: ignore[attr-defined]
        one = prepare_data_loader(
            DataLoader(
                pairs,
                batch_size=args.per_device_train_batch_size * several,
                sampler=trainer._get_train_sampler(pairs),  # type: ignore[attr-defined]
                drop_last=args.dataloader_drop_last,
            ),
            num_processes=1,
            process_index=0,
            use_seedable_sampler=True,
            data_seed=args.data_seed,
        )
        workers = {"num_workers": args.dataloader_num_workers}
        if args.dataloader_num_workers:
            workers["prefetch_factor"] = args.dataloader_prefetch_factor
            workers["persistent_workers"] = args.dataloader_persistent_workers
        loader = DataLoader(
            pairs,
            batch_sampler=PartOfEach(one.batch_sampler, distributed.number(), several),
            collate_fn=trainer.data_collator,  # type: ignore[attr-defined]
            pin_memory=args.dataloader_pin_memory,
            **workers,
        )
        return prepare_data_loader(
            loader,
            trainer.accelerator.device,  # type: ignore[attr-defined]
            num_processes=1,
            process_index=0,
            put_on_device=True,
        )

    def share(self, count: float, drawn: bool = False) -> float:
        """What a mean over this process's part is multiplied by, so that the average over the
        processes is the mean over the whole batch.

        Args:
            count: what the mean is over: pictures, tokens, …
            drawn: it is about what was drawn besides, which is real where the batch is not.
        """
        if distributed.processes() == 1:
            return 1.0
        ours = float(count) if self.counts or drawn else 0.0
        (whole,) = distributed.total(ours)
        return ours * distributed.processes() / max(whole, 1e-12)

    def overall(self, values: torch.Tensor, count: float | None = None) -> torch.Tensor:
        """Mean of values over the whole batch, not differentiated where there are several parts.

        Args:
            values: any shape.
            count: how much this part weighs; None: as many as there are values.
        """
        mean = values.mean()
        if distributed.processes() == 1:
            return mean
        ours = float(values.numel() if count is None else count) if self.counts else 0.0
        whole, weight = distributed.total(float(mean.detach()) * ours, ours)
        return torch.tensor(whole / max(weight, 1e-12), dtype=mean.dtype, device=mean.device)

    def averaged(self, loss: torch.Tensor) -> torch.Tensor:
        """A loss that is to be told, as a mean over the processes."""
        if distributed.processes() == 1:
            return loss
        (summed,) = distributed.total(float(loss))
        return torch.full_like(loss, summed / distributed.processes())

    def noise(self, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """Standard normal numbers for this process's rows of what is drawn for a whole batch."""
        if distributed.processes() == 1:
            return torch.randn(tuple(shape), generator=generator)
        rows = distributed.gathered(shape[0] if self.counts else 0)
        whole = torch.randn((sum(rows), *shape[1:]), generator=generator)
        start = sum(rows[: distributed.number()]) if self.counts else 0
        return whole[start : start + shape[0]]

    def part_of(self, drawn: Sequence[Any]) -> Sequence[Any]:
        """Of what was drawn for all, the part of this process."""
        size = len(drawn) // distributed.processes()
        return drawn[distributed.number() * size : (distributed.number() + 1) * size]

    def sharded_copy(self) -> Any:
        """A frozen copy of the model as it is, in shards, for FSDP."""
        from accelerate.utils.fsdp_utils import fsdp2_prepare_model

        trainer: Any = self
        twin = copy.deepcopy(trainer.anatomy.model).eval().requires_grad_(False)
        return fsdp2_prepare_model(trainer.accelerator, twin)

    def inside(self, wrapped: Any, work: Callable[[Any], T]) -> T:
        """Does some work on the model, within the forward of what it is wrapped in: there the
        wrapper gathers shards and learns which gradients it has to average."""
        trainer: Any = self
        core = trainer.anatomy.model
        if not trainer.is_deepspeed_enabled and not isinstance(
            wrapped, DistributedDataParallel | FSDPModule
        ):
            return work(wrapped)
        own = core.__dict__.get("forward")

        def put_back() -> None:
            if own is None:
                core.__dict__.pop("forward", None)
            else:
                core.forward = own

        def forward() -> T:
            put_back()
            return work(core)

        core.forward = forward
        try:
            return wrapped()
        finally:
            put_back()
