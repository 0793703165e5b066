"""A tiny random model and its processor for every family, built offline.

    model, processor = families.build("qwen2_vl")

Sizes are as small as they can be; weights are random, so the models know nothing. Two blocks of
vision, two of W; pictures of 32 pixels, patches of 8.
"""

from __future__ import annotations

from typing import Any

import families_llava  # noqa: F401  its families are registered
from families_more import blip_2_t5
from family_parts import FAMILIES, FILES

__all__ = ["FAMILIES", "FILES", "blip_2_t5", "build", "visual_tokens"]


def build(name: str, seed: int = 0) -> tuple[Any, Any]:
    """A model in eval mode, fp32, and its processor."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = FAMILIES[name]()
        for parameter in model.parameters():  # what starts at zero would have no gradient beside it
            if not parameter.detach().any():
                torch.nn.init.normal_(parameter, std=0.02)
    return model.eval(), processor


def visual_tokens(model: Any, batch: Any, read: Any) -> Any:
    """What W reads of the pictures, [B, T, D], from the arguments of its forward pass."""
    import torch

    if read.get("cross_attention_states") is not None:
        return (
            read["cross_attention_states"].flatten(0, -2).unflatten(0, (len(batch["labels"]), -1))
        )
    seen = batch["input_ids"] == image_token_id(model.config)
    embedded = read["inputs_embeds"][seen]
    deep = read.get("deepstack_visual_embeds") or []
    return torch.cat([embedded, *deep], dim=-1).unflatten(0, (len(seen), -1))


def image_token_id(config: Any) -> int:
    return getattr(config, "image_token_id", None) or config.image_token_index
