"""Asks a model questions: greedy answers, and the likelihood of given options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from unsee.data.records import PictureKey, Question

PictureOf = Callable[[PictureKey], np.ndarray]
"""Gives the picture of a key, uint8 [H, W, 3]."""


def prompt_of(processor: Any, question: Question) -> str:
    """The question in the model's chat template, ready for an answer."""
    content: list[dict[str, str]] = [{"type": "text", "text": question.question}]
    if question.picture is not None:
        content.insert(0, {"type": "image"})
    message = [{"role": "user", "content": content}]
    return processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)


def _encode(processor: Any, texts: list[str], pictures: list[np.ndarray], device: Any) -> Any:
    images = {"images": pictures} if pictures else {}
    batch = processor(text=texts, padding=True, padding_side="left", return_tensors="pt", **images)
    return batch.to(device)


def _batches(questions: Sequence[Question], size: int) -> Iterator[list[int]]:
    """Indices in batches; pictures apart from plain text, questions of like length together."""
    for with_picture in (False, True):
        chosen = [i for i, q in enumerate(questions) if (q.picture is not None) == with_picture]
        chosen.sort(key=lambda i: len(questions[i].question))
        for start in range(0, len(chosen), size):
            yield chosen[start : start + size]


def _pictures(batch: Sequence[Question], picture_of: PictureOf) -> list[np.ndarray]:
    return [picture_of(q.picture) for q in batch if q.picture is not None]


def _bar(count: int, what: str, show: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=count, desc=what, unit="question", disable=not show)


def answer(
    model: Any,
    processor: Any,
    questions: Sequence[Question],
    picture_of: PictureOf,
    batch_size: int = 128,
    max_new_tokens: int = 16,
    progress: bool = True,
) -> list[str]:
    """Greedy answers, one string a question, in the order of the questions."""
    import torch

    answers = [""] * len(questions)
    model.eval()
    with torch.inference_mode(), _bar(len(questions), "asking", progress) as bar:
        for chosen in _batches(questions, batch_size):
            batch = [questions[i] for i in chosen]
            texts = [prompt_of(processor, q) for q in batch]
            inputs = _encode(processor, texts, _pictures(batch, picture_of), model.device)
            width = inputs["input_ids"].shape[1]
            made = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
            words = processor.batch_decode(made[:, width:], skip_special_tokens=True)
            for index, text in zip(chosen, words, strict=True):
                answers[index] = text.strip()
            bar.update(len(chosen))
    return answers


def _end(processor: Any, option: str) -> str:
    return f" {option}{processor.tokenizer.eos_token or ''}"


def option_tokens(processor: Any, option: str) -> list[int]:
    """The tokens of an option as an answer, its end token among them."""
    return processor.tokenizer(_end(processor, option), add_special_tokens=False).input_ids


def option_log_likelihoods(
    model: Any,
    processor: Any,
    questions: Sequence[Question],
    picture_of: PictureOf,
    batch_size: int = 128,
    progress: bool = True,
) -> list[list[float]]:
    """Log-likelihood of every option of every question, summed over the option's tokens.

    Returns:
        One list a question, in the order of its `options`.
    """
    import torch

    pairs = [(i, o) for i, q in enumerate(questions) for o in q.options]
    found: dict[tuple[int, str], float] = {}
    model.eval()
    with torch.inference_mode(), _bar(len(pairs), "weighing options", progress) as bar:
        for start in range(0, len(pairs), batch_size):
            chosen = pairs[start : start + batch_size]
            batch = [questions[i] for i, _ in chosen]
            prompts = [prompt_of(processor, q) for q in batch]
            # with its end token, so that no option gains by being the beginning of another
            texts = [p + _end(processor, o) for p, (_, o) in zip(prompts, chosen, strict=True)]
            lengths = [len(option_tokens(processor, option)) for _, option in chosen]
            inputs = _encode(processor, texts, _pictures(batch, picture_of), model.device)
            logits = model(**inputs, logits_to_keep=max(lengths) + 1).logits.float()
            chances = logits.log_softmax(-1)[:, :-1]  # [B, longest option, vocabulary]
            tokens = inputs["input_ids"][:, -chances.shape[1] :]
            scores = chances.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
            for pair, score, length in zip(chosen, scores, lengths, strict=True):
                found[pair] = float(score[-length:].sum())
            bar.update(len(chosen))
    return [[found[i, o] for o in q.options] for i, q in enumerate(questions)]
