"""Models whose weights are sharded over processes (FSDP 2): from whole tensors to shards and back.

A parameter of a sharded model is a `DTensor`, of which each process holds some rows. What gathers
one is called by all processes together.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters of the model are shards."""
    return any(_is_shard(p) for p in model.parameters())


def _is_shard(tensor: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def whole(tensor: Any) -> Any:
    """The whole of a tensor; the tensor itself if it is no shard."""
    return tensor.full_tensor() if _is_shard(tensor) else tensor


def like(parameter: Any, tensor: torch.Tensor) -> Any:
    """A whole tensor, sharded as a parameter is; the tensor itself if that is not."""
    if not _is_shard(parameter):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    tensor = tensor.to(parameter.device)
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(tensor, mesh, placements, src_data_rank=None)


def skeleton(model: nn.Module) -> nn.Module:
    """A copy of a model without its weights (they are on the `meta` device); ties are kept."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    return copy.deepcopy(model, memo)


def fill(bones: nn.Module, model: nn.Module, keep: bool) -> None:
    """Gathers the weights of a sharded model into its `skeleton`, on the CPU.

    Args:
        bones: made of the model before it was sharded.
        model: the sharded model.
        keep: whether this process keeps them, or only takes part.
    """
    empty = dict(bones.named_parameters())
    filled: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        tensor = whole(parameter.detach())
        if keep:
            filled[id(empty[name])] = nn.Parameter(tensor.cpu(), parameter.requires_grad)
    if keep:
        for module in bones.modules():
            for name, bone in list(module._parameters.items()):
                if bone is not None:
                    module._parameters[name] = filled[id(bone)]
        bones.cpu()


def gathered_state(optimizer: Any) -> dict[str, Any]:
    """The state of an optimiser of shards, as one process would have it, on the CPU."""
    state = optimizer.state_dict()
    return {
        **state,
        "state": {
            number: {
                key: whole(value).cpu() if isinstance(value, torch.Tensor) else value
                for key, value in of_parameter.items()
            }
            for number, of_parameter in state["state"].items()
        },
    }


def load_state(optimizer: Any, state: dict[str, Any]) -> None:
    """Gives an optimiser of shards what `gathered_state` made of one, of as many as you like."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.load_state_dict(
        {
            **state,
            "state": {
                number: {
                    key: like(parameters[number], value)
                    if isinstance(value, torch.Tensor) and value.ndim
                    else value
                    for key, value in of_parameter.items()
                }
                for number, of_parameter in state["state"].items()
            },
        }
    )
