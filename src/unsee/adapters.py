"""Low-rank adapters (LoRA, arXiv 2106.09685) in a model: put in by `peft`, merged at the end."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from unsee.errors import UnseeError


def add_adapters(
    model: Any, names: Iterable[str], rank: int, seed: int, adapter: str = "default"
) -> None:
    """Gives the linear layers of some parameters an adapter each; nothing else stays trainable.

    Args:
        model: a `transformers` model, changed in place.
        names: full names of parameters; of these the weights of linear layers get an adapter, the
            output embeddings apart.
        rank: of the adapters; they are scaled by 2.
        seed: of their initial weights.
        adapter: their name; a layer may have several.

    Raises:
        UnseeError: none of the parameters belongs to a linear layer.
    """
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    owners = {name.rpartition(".")[0] for name in names}
    head = model.get_output_embeddings()
    linear = sorted(
        name
        for name, module in model.named_modules()
        if name in owners
        and isinstance(getattr(module, "base_layer", module), torch.nn.Linear)
        and module is not head
    )
    if not linear:
        raise UnseeError("adapters need linear layers, and none is selected: choose other parts")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # as is meant
        torch.manual_seed(seed)
        inject_adapter_in_model(
            LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear), model, adapter
        )


def merge_adapters(model: Any) -> None:
    """Adds adapters to the weights that they belong to and takes them out, in place."""
    for name, module in list(adapter_layers(model)):
        module.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())


def adapter_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """(name, layer) of every layer with adapters."""
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def weight_change(layer: Any, adapter: str = "default") -> Any:
    """What an adapter adds to its layer's weight, [out, in]."""
    return layer.get_delta_weight(adapter).detach()
