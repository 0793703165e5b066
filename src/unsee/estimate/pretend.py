"""Runs of a model without memory: shapes are worked out on the meta device, nothing is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from unsee.errors import UnseeError

PACKED_SIDE = 448
"""Side in pixels of pictures of families that take any size, where none is given."""

TILES = {"idefics3": 17, "smolvlm": 17}
"""Tiles of a picture of any size: published processors enlarge it to 4 x 4, and add the whole."""

QUESTION = 16
"""Tokens of a question that a Q-Former reads beside the picture."""

LOWERED = {
    *(functional.linear, functional.conv2d, functional.conv3d, torch.matmul, torch.bmm),
    *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm),
}
RAISED = {
    *(functional.layer_norm, functional.softmax, functional.log_softmax, functional.cross_entropy),
    *(torch.softmax, torch.Tensor.softmax, torch.Tensor.log_softmax),
}
"""What autocast runs in bfloat16, and what in float32 (those that models here use)."""


class _Attention(torch.autograd.Function):
    """Keeps for the backward pass what fused attention keeps: no [T, T] weights."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
        rows, heads, tokens, _ = q.shape
        out = q.new_empty(rows, tokens, heads, v.shape[-1]).transpose(1, 2)  # as the kernels do
        row_sums = torch.empty(q.shape[:-1], device=q.device)
        ctx.save_for_backward(q, k, v, out, row_sums)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return tuple(torch.empty_like(saved) for saved in ctx.saved_tensors[:3])


class Pretend(TorchFunctionMode):
    """Within it models on the meta device run as they would on a GPU.

    Small real tensors (sizes of pictures) may meet meta ones; attention is fused; with `bf16` the
    rules of autocast hold.

    Attributes:
        casts: weight -> its copy in bfloat16, which autocast makes once for a step.
    """

    def __init__(self, bf16: bool = False) -> None:
        super().__init__()
        self.bf16 = bf16
        self.casts: dict[int, torch.Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if any(t.is_meta for t in tensors) and not all(t.is_meta for t in tensors):
            args, kwargs = tree_map_only(
                torch.Tensor, lambda t: t if t.is_meta else t.to("meta"), (args, kwargs)
            )
        if func is torch.Tensor.__bool__ and args[0].is_meta:
            return True  # is this one sequence, is nothing masked, …
        if func is torch.Tensor.__getitem__ and _is_mask(args[1]):
            return args[0].reshape(-1, *args[0].shape[args[1].ndim :])  # nothing is left out
        if func is torch.Tensor.tolist and args[0].is_meta:
            return [None] * len(args[0])
        if func is torch.Tensor.split and isinstance(args[1], list) and None in args[1]:
            return args[0].chunk(len(args[1]))  # pictures are alike
        if func is functional.scaled_dot_product_attention:
            named = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
            q, k, v = (self._lowered(named[name]) for name in ("query", "key", "value"))
            return _Attention.apply(q, k, v)
        if self.bf16 and (func in LOWERED or func in RAISED):
            to = self._lowered if func in LOWERED else _raised
            args, kwargs = tree_map_only(torch.Tensor, to, (args, kwargs))
        return func(*args, **kwargs)

    def _lowered(self, tensor: Any) -> Any:
        if not self.bf16 or tensor.dtype != torch.float32:
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad):
            return tensor.to(torch.bfloat16)
        key = id(tensor)
        if key not in self.casts:
            self.casts[key] = tensor.to(torch.bfloat16)
        return self.casts[key]


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.is_meta and index.dtype == torch.bool


def _raised(tensor: Any) -> Any:
    return tensor.float() if tensor.is_floating_point() else tensor


def build(config: Any, dtype: Any, trust_remote_code: bool = False) -> Any:
    """A model on the meta device: its names and shapes.

    Raises:
        UnseeError: the configuration makes no model.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.initialization import no_init_weights

    try:
        with torch.device("meta"), no_init_weights():
            model = AutoModelForImageTextToText.from_config(
                config, dtype=dtype, trust_remote_code=trust_remote_code
            )
    except (ValueError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise UnseeError(f"the configuration makes no model: {first}") from error
    model.tie_weights()
    return model.train()


def picture_batch(family: Any, config: Any, count: int, side: int | None = None) -> dict[str, Any]:
    """What a processor would make of square pictures, on the meta device.

    Args:
        family: the entry of the model's family.
        config: the model's.
        count: number of pictures.
        side: in pixels; None: the tower's own, or `PACKED_SIDE` where it takes any size.
    """
    vision = config.vision_config
    own = getattr(vision, "image_size", None)
    own = own[0] if isinstance(own, (list, tuple)) else own
    channels = getattr(vision, "in_channels", None) or 3
    if "image_grid_thw" in family.inputs:
        patch = vision.patch_size
        merged = getattr(vision, "spatial_merge_size", 1)
        grid = (side or PACKED_SIDE) // patch // merged * merged
        if not grid:
            raise UnseeError(f"pictures must be at least {patch * merged} pixels wide")
        deep = channels * getattr(vision, "temporal_patch_size", 1) * patch**2
        pixels = torch.empty(count * grid**2, deep, device="meta")
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, grid, grid]] * count)}
    own = own or PACKED_SIDE
    side = side or own
    if "image_sizes" in family.inputs:
        from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

        tiles = image_size_to_num_patches([side, side], config.image_grid_pinpoints, own)
        pixels = torch.empty(count, tiles, channels, own, own, device="meta")
        return {"pixel_values": pixels, "image_sizes": torch.tensor([[side, side]] * count)}
    if "pixel_attention_mask" in family.inputs:
        tiles = TILES.get(family.model_type, 1)
        side = side if tiles == 1 else own
        pixels = torch.empty(count, tiles, channels, side, side, device="meta")
        seen = torch.ones(count, tiles, side, side, dtype=torch.bool)
        return {"pixel_values": pixels, "pixel_attention_mask": seen}
    if "aspect_ratio_mask" in family.inputs:  # V and W run on all tiles, those that fill up too
        tiles = vision.max_num_tiles
        return {
            "pixel_values": torch.empty(count, 1, tiles, channels, own, own, device="meta"),
            "aspect_ratio_ids": torch.ones(count, 1, dtype=torch.long),
            "aspect_ratio_mask": torch.ones(count, 1, tiles, dtype=torch.long),
        }
    batch = {"pixel_values": torch.empty(count, channels, own, own, device="meta")}
    if "qformer_input_ids" in family.inputs:
        ids = torch.empty(count, QUESTION, dtype=torch.long, device="meta")
        batch |= {"qformer_input_ids": ids, "qformer_attention_mask": torch.ones_like(ids)}
    return batch
