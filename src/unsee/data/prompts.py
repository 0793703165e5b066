"""Questions and answers in the words of a model's own processor."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "labels")


def prompt_of(processor: Any, question: str, picture: bool) -> str:
    """A question as its model takes it, ready for an answer.

    Args:
        processor: the model's processor; without a chat template a prompt is the question alone,
            behind the mark of a picture where the processor wants one.
        question: the words.
        picture: whether a picture comes with it.
    """
    if getattr(processor, "chat_template", None):
        content: list[dict[str, str]] = [{"type": "text", "text": question}]
        if picture:
            content.insert(0, {"type": "image"})
        message = [{"role": "user", "content": content}]
        return processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    return f"{processor.image_token}{question}" if picture and takes_suffix(processor) else question


def takes_suffix(processor: Any) -> bool:
    """Whether a processor wants an answer apart from its prompt (PaliGemma's): between the two it
    puts something of its own, and the prompt's tokens all see one another."""
    return "suffix" in inspect.signature(type(processor).__call__).parameters


def encode(
    processor: Any,
    prompts: Sequence[str],
    pictures: Sequence[Sequence[Any]],
    answers: Sequence[str] | None = None,
    side: str = "left",
) -> Any:
    """A batch that the model takes.

    Args:
        processor: the model's processor.
        prompts: from `prompt_of`, one an example.
        pictures: of each example, in the order of their places; some processors would take a plain
            list for one example's.
        answers: what follows each prompt, its end token and a space before it included.
        side: where padding goes, `left` or `right`.

    Returns:
        `BatchFeature` of tensors.
    """
    apart = answers is not None and (takes_suffix(processor) or has_second_tokenizer(processor))
    texts = list(prompts)
    if answers is not None and not apart:
        texts = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    options: dict[str, Any] = {"padding": True, "padding_side": side, "return_tensors": "pt"}
    if any(pictures):
        options["images"] = [[as_picture(one) for one in of_example] for of_example in pictures]
    if takes_suffix(processor):
        batch = _with_suffix(processor, texts, answers, options)
        batch.pop("labels", None)
        return batch
    batch = processor(text=texts, **options)
    if not any(pictures):  # a Q-Former has nothing to read then, and generation refuses its words
        for key in [key for key in batch if key.startswith("qformer_")]:
            del batch[key]
    if apart and answers is not None:
        _append(processor, batch, answers, side)
    return batch


def as_picture(image: Any) -> Any:
    """Arrays uint8 [H, W, 3] as `PIL.Image`: not every processor takes arrays."""
    import numpy as np
    from PIL import Image

    is_array = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    return Image.fromarray(image) if is_array and image.shape[-1] in (3, 4) else image


def has_second_tokenizer(processor: Any) -> bool:
    """Whether the question goes to what reads the picture too (InstructBLIP's Q-Former): then it
    must not be told the answer."""
    return hasattr(processor, "qformer_tokenizer")


def _with_suffix(
    processor: Any, prompts: list[str], answers: Sequence[str] | None, options: dict[str, Any]
) -> Any:
    tokenizer = processor.tokenizer
    if "images" in options:
        end = tokenizer.eos_token or ""
        suffix = None if answers is None else [answer.removesuffix(end) for answer in answers]
        return processor(text=prompts, suffix=suffix, **options)
    # without pictures the processor refuses; this is what it does with the words
    texts = [f"{tokenizer.bos_token}{prompt}\n" for prompt in prompts]
    pairs = None if answers is None else list(answers)
    return tokenizer(texts, pairs, return_token_type_ids=True, **options)


def _append(processor: Any, batch: Any, answers: Sequence[str], side: str) -> None:
    """Puts the tokens of the answers behind those of the prompts, in place."""
    import torch

    tokenizer = processor.tokenizer
    ends = [tokenizer(answer, add_special_tokens=False).input_ids for answer in answers]
    kept = [row.bool() for row in batch["attention_mask"]]
    for key in (key for key in PER_TOKEN if key in batch):
        fill = tokenizer.pad_token_id or 0 if key == "input_ids" else 0
        rows = []
        for row, mask, end in zip(batch[key], kept, ends, strict=True):
            new = end if key == "input_ids" else [int(key == "attention_mask")] * len(end)
            rows.append(torch.cat([row[mask], row.new_tensor(new)]))
        batch[key] = torch.nn.utils.rnn.pad_sequence(
            rows, batch_first=True, padding_value=fill, padding_side=side
        )
