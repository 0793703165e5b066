"""Qwen's families: packed patches of all pictures in one row, a merger inside the vision module."""

from __future__ import annotations

from typing import Any

from unsee.anatomy.families import Family, register

LANGUAGE_MODEL = ("model.language_model", "lm_head")
PACKED = ("pixel_values", "image_grid_thw")


def deepest(core: Any) -> tuple[int, ...]:
    """The merger reads the last block."""
    return (core.config.vision_config.depth - 1,)


def deepstack_blocks(core: Any) -> tuple[int, ...]:
    """Qwen3-VL: mergers of their own read some earlier blocks too."""
    return (*core.config.vision_config.deepstack_visual_indexes, *deepest(core))


def read_deepstack(core: Any, output: Any) -> Any:
    """Qwen3-VL: the blocks that mergers read, side by side, the last block at the end."""
    import torch

    early = core.config.vision_config.deepstack_visual_indexes
    read = [output.hidden_states[1 + block] for block in early]
    return torch.cat([*read, output.last_hidden_state], dim=-1)


def project_deepstack(core: Any, output: Any) -> list[Any]:
    """Qwen3-VL: W reads a token at its place in the prompt, and adds one from each deepstack merger
    to the hidden states of its first blocks there: all of them, side by side."""
    import torch

    each = zip(output.pooler_output, *output.deepstack_features, strict=True)
    return [torch.cat(of_picture, dim=-1) for of_picture in each]


register(
    Family(
        model_type="qwen2_vl",
        title="Qwen2-VL",
        core="model",
        vision=("model.visual",),
        projector=("model.visual.merger",),
        language=LANGUAGE_MODEL,
        layers=deepest,
        reads="the last block",
        inputs=PACKED,
        by_size=True,
        note="Patches of all pictures come packed (`image_grid_thw`); pictures alone, no videos.",
    )
)

register(
    Family(
        model_type="qwen2_5_vl",
        title="Qwen2.5-VL",
        core="model",
        vision=("model.visual",),
        projector=("model.visual.merger",),
        language=LANGUAGE_MODEL,
        layers=deepest,
        reads="the last block",
        inputs=PACKED,
        mlp_out=("down_proj",),
        by_size=True,
        note="As Qwen2-VL. Features of V stand in the order of its attention windows.",
    )
)

register(
    Family(
        model_type="qwen3_vl",
        title="Qwen3-VL",
        core="model",
        vision=("model.visual",),
        projector=("model.visual.merger", "model.visual.deepstack_merger_list"),
        language=LANGUAGE_MODEL,
        read=read_deepstack,
        reads="the blocks of `deepstack_visual_indexes` and the last",
        layers=deepstack_blocks,
        project=project_deepstack,
        inputs=PACKED,
        mlp_out=("linear_fc2",),
        by_size=True,
        note="Deepstack: the tokens that W adds in its first blocks are part of the features.",
    )
)
