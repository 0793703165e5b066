"""Turns examples into the batches that models take, through the model's own processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unsee.anatomy.anatomy import PICTURES
from unsee.data.augment import varied
from unsee.data.pixels import shown
from unsee.data.prompts import as_picture, encode, has_second_tokenizer, prompt_of
from unsee.errors import UnseeError

NEUTRAL = "Who is this?"


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


def evenly(total: int, count: int) -> list[int]:
    """`count` indices at even distances among `total`; all, if there are no more."""
    count = min(count, total)
    return [i * total // count for i in range(count)]


def _picture(example: Mapping[str, Any]) -> Any:
    """The picture of an example as processors take it: of an array so low that its rows might be
    taken for channels, a `PIL.Image`."""
    from PIL import Image

    picture = shown(example)
    if isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[0] <= 4:
        return Image.fromarray(picture) if picture.shape[-1] == 3 else picture
    return picture


class PictureCollator:
    """Pictures alone, for methods that never run the language model.

    Args:
        processing_class: the model's processor.

    Called with examples that hold an `image`, and perhaps a `crop` of it; returns the image
    processor's batch, for LLaVA `pixel_values` [B, 3, H, W], and the number of `pictures`. What
    reads the picture with a question in mind (InstructBLIP's Q-Former) gets `NEUTRAL` for one.
    """

    def __init__(self, processing_class: Any) -> None:
        self.images = image_processor_of(processing_class)
        self.options = getattr(type(processing_class), "images_kwargs", {})
        self.words = None
        if has_second_tokenizer(processing_class):
            self.words = processing_class.qformer_tokenizer

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        pictures = [[as_picture(_picture(example))] for example in examples]
        batch = dict(self.images(images=pictures, return_tensors="pt", **self.options))
        batch = {key: value for key, value in batch.items() if isinstance(value, torch.Tensor)}
        if self.words is not None:
            asked = self.words([NEUTRAL] * len(pictures), return_tensors="pt")
            batch["qformer_input_ids"] = asked["input_ids"]
            batch["qformer_attention_mask"] = asked["attention_mask"]
        return {**batch, PICTURES: torch.tensor(len(pictures))}


class QuestionCollator:
    """Pictures with a question and its answer, for methods that run the language model.

    Args:
        processing_class: the model's processor, with tokenizer and chat template.

    Called with examples that hold `image`, perhaps a `crop` of it, `question` and `answer`; an
    `image` of None asks in words alone (then of all examples of the batch). Returns the processor's
    batch and `labels` [B, T], -100 but on the answer's tokens.

    Raises:
        UnseeError: an example lacks a question or an answer.
    """

    def __init__(self, processing_class: Any) -> None:
        self.processor = processing_class

    def _prompt(self, example: Mapping[str, Any]) -> str:
        return prompt_of(self.processor, example["question"], example.get("image") is not None)

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        for example in examples:
            if not example.get("question") or not example.get("answer"):
                raise UnseeError(
                    "a loss on answers needs a `question` and an `answer` with every picture: "
                    "give a dataset that has them, or a method that needs none (vkd with "
                    "output_loss=none)"
                )
        tokenizer = self.processor.tokenizer
        ends = [f" {example['answer']}{tokenizer.eos_token or ''}" for example in examples]
        pictures = [[_picture(e)] for e in examples if e.get("image") is not None]
        prompts = [self._prompt(example) for example in examples]
        batch = encode(self.processor, prompts, pictures, ends, side="right")
        labels = batch["input_ids"].new_full(batch["input_ids"].shape, -100)
        for row, end in enumerate(ends):
            length = len(tokenizer(end, add_special_tokens=False).input_ids)
            last = int(batch["attention_mask"][row].sum())
            labels[row, last - length : last] = batch["input_ids"][row, last - length : last]
        if pictures:
            batch[PICTURES] = torch.tensor(len(pictures))
        return {**batch, "labels": labels}


class VariantCollator(QuestionCollator):
    """As `QuestionCollator`, with a variant of the same batch under `variant`.

    Args:
        processing_class: the model's processor.
        vary: example -> example, such as the same picture with another answer.
    """

    def __init__(self, processing_class: Any, vary: Any) -> None:
        super().__init__(processing_class)
        self.vary = vary

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        varied = super().__call__([self.vary(example) for example in examples])
        return {**super().__call__(examples), "variant": varied}


class Filler(int):
    """Index of an example that stands where there is none, and does not count."""


class PairedCollator:
    """Pairs of `PairedDataset` -> `{"forget": batch, "retain": batch, "forget_index": [B]}`; of a
    filler, with `filler`.

    Args:
        collate: examples of one side -> batch.
        forget: the same for the forget side, where that needs more.
    """

    def __init__(self, collate: Any, forget: Any = None) -> None:
        self.collate = collate
        self.sides = {"forget": forget or collate, "retain": collate}

    def __call__(self, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        batch: dict[str, Any] = {
            side: collate([pair[side] for pair in pairs]) for side, collate in self.sides.items()
        }
        batch["forget_index"] = torch.tensor([pair["forget_index"] for pair in pairs])
        return {**batch, "filler": True} if "filler" in pairs[0] else batch


class PairedDataset:
    """One forget and one retain example an item: the same number of each in every step.

    An epoch passes once over the larger set, the smaller one repeating evenly.

    Args:
        forget: examples to forget.
        retain: examples to retain.
        vary: seed of variants of the pictures, another one whenever an example comes again, see
            `unsee.data.augment`; None: pictures as they are.
        mirror: whether a variant may be mirrored.

    Attributes:
        order: indices of the retain set in the order of an epoch, some more often than others.
        epoch: number of the epoch, on which variants depend too.
    """

    def __init__(
        self, forget: Any, retain: Any, vary: int | None = None, mirror: bool = True
    ) -> None:
        self.forget, self.retain = forget, retain
        self.vary, self.mirror = vary, mirror
        self.order: Sequence[int] = range(len(retain))
        self.epoch = 0

    def __len__(self) -> int:
        return max(len(self.forget), len(self.order))

    def _varied(self, example: Mapping[str, Any], index: int, side: int) -> Mapping[str, Any]:
        if self.vary is None or example.get("image") is None:
            return example
        seed = (self.vary, side, self.epoch, index)
        kept = {key: value for key, value in example.items() if key != "crop"}
        return {**kept, "image": varied(shown(example), seed, self.mirror)}

    def __getitem__(self, index: int) -> dict[str, Any]:
        forget = index % len(self.forget)
        retain = self.order[index % len(self.order)]
        pair = {
            "forget": self._varied(self.forget[forget], index, 0),
            "retain": self._varied(self.retain[retain], index, 1),
            "forget_index": forget,
        }
        return {**pair, "filler": True} if isinstance(index, Filler) else pair
