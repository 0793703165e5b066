"""Low-rank adapters in a model: put in by `peft`, merged at the end or kept for `peft` to load.

LoRA is arXiv 2106.09685, DoRA arXiv 2402.09353.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from unsee.errors import UnseeError


@dataclass(frozen=True)
class Adapter:
    """A trained adapter, apart from the model that it was trained in.

    Attributes:
        config: its `peft.LoraConfig`.
        weights: name in a `peft.PeftModel` -> tensor.
    """

    config: Any
    weights: dict[str, Any]


def add_adapters(
    model: Any,
    names: Iterable[str],
    rank: int,
    seed: int,
    adapter: str = "default",
    alpha: int = 0,
    dropout: float = 0.0,
    dora: bool = False,
) -> None:
    """Gives the linear layers of some parameters an adapter each; nothing else stays trainable.

    Args:
        model: a `transformers` model, changed in place.
        names: full names of parameters; of these the weights of linear layers get an adapter, the
            output embeddings apart.
        rank: of the adapters.
        seed: of their initial weights.
        adapter: their name; a layer may have several.
        alpha: they are scaled by alpha / rank; 0: by 2.
        dropout: in front of them while they are trained.
        dora: learn sizes and directions of the weights apart.

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
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha or 2 * rank,
        lora_dropout=dropout,
        use_dora=dora,
        target_modules=linear,
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # as is meant
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, adapter)


def merge_adapters(model: Any) -> None:
    """Adds adapters to the weights that they belong to and takes them out, in place."""
    for _, module in list(adapter_layers(model)):
        module.merge()
    remove_adapters(model)


def remove_adapters(model: Any) -> None:
    """Takes adapters out as they are, in place: the model is as if it never had any."""
    for name, module in list(adapter_layers(model)):
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def adapter_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """(name, layer) of every layer with adapters."""
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def weight_change(layer: Any, adapter: str = "default") -> Any:
    """What an adapter adds to its layer's weight, [out, in]; DoRA scales that too."""
    import torch

    if adapter not in layer.lora_variant:  # plain LoRA
        return layer.get_delta_weight(adapter).detach()
    weight = layer.get_base_layer().weight
    with torch.no_grad():
        before = weight.detach().clone()
        layer.merge(adapter_names=[adapter])
        change = weight - before
        weight.copy_(before)
        layer.merged_adapters.clear()
    return change


def taken_out(model: Any) -> Adapter:
    """A copy of the only adapter of a model."""
    from peft import get_peft_model_state_dict

    weights = get_peft_model_state_dict(model, adapter_name="default", save_embedding_layers=False)
    config = model.peft_config["default"]
    config.inference_mode = True
    return _described(
        model,
        Adapter(config, {n: w.detach().cpu().clone().contiguous() for n, w in weights.items()}),
    )


def of_changes(model: Any, changes: dict[str, Any]) -> Adapter:
    """An adapter that adds given matrices to weights, exactly.

    What has no low rank takes as many numbers as the smaller side of the weight allows: one factor
    is the matrix itself, the other the identity.

    Args:
        model: the model whose weights they are added to.
        changes: name of a linear layer -> [out, in].
    """
    import torch
    from peft import LoraConfig

    weights, ranks = {}, {}
    for name, change in changes.items():
        change = change.detach().float().cpu().contiguous()
        ranks[name] = rank = min(change.shape)
        eye = torch.eye(rank)
        down, up = (change, eye) if change.shape[0] == rank else (eye, change)
        weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"] = (
            down.clone(),
            up.clone(),
        )
    config = LoraConfig(
        r=max(ranks.values()),
        lora_alpha=max(ranks.values()),
        target_modules=sorted(changes),
        rank_pattern=ranks,
        alpha_pattern=dict(ranks),
        inference_mode=True,
    )
    return _described(model, Adapter(config, weights))


def _described(model: Any, adapter: Adapter) -> Adapter:
    """With the names that a `peft.PeftModel` has, and the class that `peft.AutoPeftModel` loads."""
    kind = type(model)
    adapter.config.auto_mapping = {
        "base_model_class": kind.__name__,
        "parent_library": kind.__module__,
    }
    return Adapter(adapter.config, {f"base_model.model.{n}": w for n, w in adapter.weights.items()})
