"""Several processes that train one model (`accelerate launch`): who writes, what they agree on.

With one process everything here is what it would be without: no value is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from unsee.errors import UnseeError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
LAUNCHED = ("RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT").split()


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes files and speaks."""
    return number() == 0


def alone() -> dict[str, str]:
    """The environment for a child process that has nothing to do with the others."""
    ours = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "GROUP_", "ROLE_")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in LAUNCHED and not name.startswith(ours)
    }


def prepare() -> None:
    """Before `TrainingArguments` are made: without a GPU, `accelerate` wants to be told so, or each
    process would train a model of its own."""
    import torch

    if processes() > 1 and not torch.cuda.is_available():
        os.environ["ACCELERATE_USE_CPU"] = "true"


def agreed(value: T) -> T:
    """What the first process has for `value`, in all of them."""
    if processes() == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def agreed_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of the first process, in all; they must have the same names and shapes."""
    if processes() == 1:
        return dict(tensors)
    import torch
    import torch.distributed as dist

    found = {}
    for name, tensor in tensors.items():
        sent = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor.clone()
        dist.broadcast(sent, src=0)
        found[name] = sent.to(tensor.dtype)
    return found


def on_first(work: Callable[[], T]) -> T:
    """Lets the first process do something; all get what it made, or its `UnseeError`."""
    if processes() == 1:
        return work()
    made: Any = None
    trouble: str | None = None
    if is_first():
        try:
            made = work()
        except UnseeError as error:
            trouble = str(error)
    made, trouble = agreed((made, trouble))
    if trouble is not None:
        raise UnseeError(trouble)
    return made


def total(*numbers: float) -> list[float]:
    """Sums of numbers over the processes."""
    return _reduced(numbers, "SUM")


def largest(*numbers: float) -> list[float]:
    """The largest of numbers over the processes."""
    return _reduced(numbers, "MAX")


def _reduced(numbers: tuple[float, ...], how: str) -> list[float]:
    if processes() == 1:
        return list(numbers)
    import torch
    import torch.distributed as dist

    values = torch.tensor(numbers, dtype=torch.float64, device=_device())
    dist.all_reduce(values, op=getattr(dist.ReduceOp, how))
    return [float(value) for value in values]


def gathered(value: int) -> list[int]:
    """A number of each process, in their order."""
    if processes() == 1:
        return [value]
    import torch
    import torch.distributed as dist

    ours = torch.tensor([value], device=_device())
    all_of_them = [torch.zeros_like(ours) for _ in range(processes())]
    dist.all_gather(all_of_them, ours)
    return [int(one) for one in all_of_them]


def _device() -> str:
    import torch.distributed as dist

    return "cuda" if "nccl" in str(dist.get_backend()) else "cpu"


def check_launched() -> None:
    """After `TrainingArguments` are made.

    Raises:
        UnseeError: processes were started and do not know one another, or DeepSpeed shards weights.
    """
    if processes() == 1:
        return
    import torch.distributed as dist

    if not dist.is_initialized():
        raise UnseeError(
            f"{processes()} processes were started and are not connected: start them with "
            "`accelerate launch -m unsee unlearn …`"
        )


@contextmanager
def sharding_on_cpu() -> Iterator[None]:
    """Within it an `Accelerator` shards on CPUs too, where it was asked for FSDP; left alone it
    silently makes copies of the model there. It is how sharding is tested without GPUs."""
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType

    original = AcceleratorState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        plugin = kwargs.get("fsdp_plugin")
        if plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = plugin

    AcceleratorState.__init__ = init
    try:
        yield
    finally:
        AcceleratorState.__init__ = original
