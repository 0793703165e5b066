"""Turns examples into the batches that models take, through the model's own processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unsee.errors import UnseeError


def image_processor_of(processing_class: Any) -> Any:
    """The image processor of a processor; the object itself if it is one.

    Raises:
        UnseeError: it can't process pictures (a bare tokenizer).
    """
    found = getattr(processing_class, "image_processor", None)
    if found is None and hasattr(processing_class, "image_mean"):
        found = processing_class
    if found is None:
        raise UnseeError(
            f"{type(processing_class).__name__} can't process pictures: pass the model's processor "
            "(AutoProcessor.from_pretrained) as processing_class"
        )
    return found


class PictureCollator:
    """Pictures alone, for methods that never run the language model.

    Args:
        processing_class: the model's processor.

    Called with examples that hold an `image`; returns the image processor's batch, for LLaVA
    `pixel_values` [B, 3, H, W].
    """

    def __init__(self, processing_class: Any) -> None:
        self.images = image_processor_of(processing_class)

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        pictures = [example["image"] for example in examples]
        return dict(self.images(images=pictures, return_tensors="pt"))


class PairedCollator:
    """Pairs of `PairedDataset` -> `{"forget": batch, "retain": batch, "forget_index": [B]}`."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        batch = {
            side: self.collate([pair[side] for pair in pairs]) for side in ("forget", "retain")
        }
        return {**batch, "forget_index": torch.tensor([pair["forget_index"] for pair in pairs])}


class PairedDataset:
    """One forget and one retain example an item: the same number of each in every step.

    An epoch passes once over the larger set, the smaller one repeating evenly.
    """

    def __init__(self, forget: Any, retain: Any) -> None:
        self.forget, self.retain = forget, retain

    def __len__(self) -> int:
        return max(len(self.forget), len(self.retain))

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "forget": self.forget[index % len(self.forget)],
            "retain": self.retain[index % len(self.retain)],
            "forget_index": index % len(self.forget),
        }
