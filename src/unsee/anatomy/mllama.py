"""Mllama (Llama 3.2 Vision): W looks at the picture through cross-attention layers of its own.

They are W's: a prompt in words passes them by, and with them trained or not its logits are the same
to the bit; but they are behind what V and P give, so that VKD has nothing to teach them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

from unsee.anatomy.families import Family, block_number, register


def look(core: Any, inputs: Mapping[str, Any]) -> Any:
    """V and P on [B, pictures, tiles, 3, H, W]; tiles that are there to fill up are dropped, as W's
    mask does."""
    model, blocks = core.vision_model, []
    layers = [*model.transformer.layers, *model.global_transformer.layers]
    with ExitStack() as stack:
        for layer in layers:
            keep = layer.register_forward_hook(lambda *called: blocks.append(called[-1]))
            stack.callback(keep.remove)
        hidden = model(**inputs).last_hidden_state  # [B, pictures, tiles, T, D_v]
    tiles = inputs["aspect_ratio_mask"].sum((1, 2)).tolist()  # one picture an example
    kept = [seen[:, :count].flatten(0, 2) for seen, count in zip(hidden, tiles, strict=True)]
    return SimpleNamespace(
        last_hidden_state=kept,
        pooler_output=[core.multi_modal_projector(seen) for seen in kept],
        blocks=tuple(blocks),
    )


def blocks_read(core: Any) -> tuple[int, ...]:
    """Some blocks of the local encoder, and the last of the global one behind it."""
    config = core.config.vision_config
    return (
        *config.intermediate_layers_indices,
        config.num_hidden_layers + config.num_global_layers - 1,
    )


def block_outputs(core: Any, output: Any) -> tuple[Any, ...]:
    """[B, tiles x T, D_v] each, tiles that fill up and tokens that pad among them."""
    return output.blocks


def number(core: Any, name: str) -> int | None:
    """The blocks of the global encoder come after those of the local one."""
    found = block_number(core, name)
    if found is not None and ".global_transformer." in f".{name}":
        found += core.config.vision_config.num_hidden_layers
    return found


register(
    Family(
        model_type="mllama",
        title="Mllama (Llama 3.2 Vision)",
        core="model",
        vision=("model.vision_model",),
        projector=("model.multi_modal_projector",),
        language=("model.language_model", "lm_head"),
        see=look,
        layers=blocks_read,
        reads="the blocks of `intermediate_layers_indices` and the last global one",
        blocks=block_outputs,
        block=number,
        inputs=("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask"),
        by_size=True,
        note="W's cross-attention layers are W's: prompts in words pass them by.",
    )
)
