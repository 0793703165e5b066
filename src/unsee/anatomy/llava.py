"""LLaVA and its kin: a vision tower, a projector that reads some of its layers, a decoder."""

from __future__ import annotations

from typing import Any

from unsee.anatomy.families import Family, last_hidden, register

LANGUAGE_MODEL = ("model.language_model", "lm_head")


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


def read_last_or_selected(core: Any, output: Any) -> Any:
    """InternVL: -1 stands for the tower's own output, other numbers for hidden states."""
    if _selected(core) != [-1]:
        return read_selected_layers(core, output)
    hidden = last_hidden(core, output)
    return hidden[:, 1:] if core.config.vision_feature_select_strategy == "default" else hidden


def selected_blocks(core: Any) -> tuple[int, ...]:
    """LLaVA: `vision_feature_layer` counts the embeddings as 0 and may count from the end."""
    blocks = core.config.vision_config.num_hidden_layers
    return tuple(layer + blocks if layer < 0 else layer - 1 for layer in _selected(core))


register(
    Family(
        model_type="llava",
        title="LLaVA, LLaVA-1.5",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector",),
        language=LANGUAGE_MODEL,
        read=read_selected_layers,
        reads="the layers of `vision_feature_layer`",
        layers=selected_blocks,
        shares_vision=True,
    )
)

register(
    Family(
        model_type="llava_next",
        title="LLaVA-NeXT",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector", "model.image_newline"),
        language=LANGUAGE_MODEL,
        read=read_selected_layers,
        reads="the layers of `vision_feature_layer`",
        layers=selected_blocks,
        inputs=("pixel_values", "image_sizes"),
        by_size=True,
        note="Tiles of a picture and the newline tokens between them are one row of tokens.",
    )
)

register(
    Family(
        model_type="llava_onevision",
        title="LLaVA-OneVision",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector", "model.image_newline"),
        language=LANGUAGE_MODEL,
        read=read_selected_layers,
        reads="the layers of `vision_feature_layer`",
        layers=selected_blocks,
        inputs=("pixel_values", "image_sizes", "batch_num_images"),
        by_size=True,
        note="As LLaVA-NeXT; pictures alone, no videos.",
    )
)

register(
    Family(
        model_type="internvl",
        title="InternVL",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector",),
        language=LANGUAGE_MODEL,
        read=read_last_or_selected,
        reads="the layer of `vision_feature_layer`",
        layers=selected_blocks,
        by_size=True,
        note="Large pictures are cut into tiles; the tiles of one picture are one row of tokens.",
    )
)
