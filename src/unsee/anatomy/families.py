"""The families that are known: one table entry each, keyed by `config.model_type`.

To add one, call `register(Family(...))`; where its vision output is read in a way of its own, write
a function like `read_selected_layers` and name it in the entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VISION, PROJECTOR, LANGUAGE = "vision", "projector", "language"
PARTS = (VISION, PROJECTOR, LANGUAGE)


@dataclass(frozen=True)
class Family:
    """Where the parts of a family's models are.

    Attributes:
        model_type: `config.model_type` of the whole model.
        core: module that holds vision encoder and projector and has `get_image_features`.
        vision: prefixes of module names that make up the vision encoder.
        projector: prefixes of the projector; a prefix here wins over a shorter one elsewhere.
        language: prefixes of the language model and its head.
        read: (core, output of `get_image_features`) -> features [B, T, D] of exactly the vision
            layer that the projector reads, without the tokens that it drops.
        layers: (core) -> index of each vision block whose output is read, counted from 0.
        inputs: keys of a processor's batch that V and P take.
        mlp_out: last names of the linear layers that read the hidden units of V's MLPs.
        text_mlp_out: the same in W.
    """

    model_type: str
    core: str
    vision: tuple[str, ...]
    projector: tuple[str, ...]
    language: tuple[str, ...]
    read: Callable[[Any, Any], Any]
    layers: Callable[[Any], tuple[int, ...]]
    inputs: tuple[str, ...] = ("pixel_values",)
    mlp_out: tuple[str, ...] = ("fc2",)
    text_mlp_out: tuple[str, ...] = ("down_proj",)


def _selected(core: Any) -> list[int]:
    layers = core.config.vision_feature_layer
    return [layers] if isinstance(layers, int) else list(layers)


def read_selected_layers(core: Any, output: Any) -> Any:
    """LLaVA: the layers of `vision_feature_layer`, side by side, CLS dropped if `default`."""
    import torch

    read = [output.hidden_states[layer] for layer in _selected(core)]
    if core.config.vision_feature_select_strategy == "default":
        read = [hidden[:, 1:] for hidden in read]
    return torch.cat(read, dim=-1)


def selected_blocks(core: Any) -> tuple[int, ...]:
    """LLaVA: `vision_feature_layer` counts the embeddings as 0 and may count from the end."""
    blocks = core.config.vision_config.num_hidden_layers
    return tuple(layer + blocks if layer < 0 else layer - 1 for layer in _selected(core))


_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Makes a family known; an entry of the same `model_type` is replaced."""
    _FAMILIES[family.model_type] = family
    return family


def families() -> dict[str, Family]:
    """model_type -> family, in the order of registration."""
    return dict(_FAMILIES)


register(
    Family(
        model_type="llava",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector",),
        language=("model.language_model", "lm_head"),
        read=read_selected_layers,
        layers=selected_blocks,
    )
)
