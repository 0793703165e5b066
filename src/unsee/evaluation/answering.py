"""Asks a model questions: greedy answers, and the likelihood of given options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from unsee.data.prompts import encode
from unsee.data.prompts import prompt_of as template_prompt
from unsee.data.records import PictureKey, Question

PictureOf = Callable[[PictureKey], np.ndarray]
"""Gives the picture of a key, uint8 [H, W, 3]."""


def prompt_of(processor: Any, question: Question) -> str:
    """The question in the model's chat template, ready for an answer."""
    return template_prompt(processor, question.question, question.picture is not None)


@dataclass(frozen=True)
class Asked:
    """A prompt in the chat template with what gives its pictures, in the order of their tokens."""

    text: str
    pictures: tuple[Callable[[], Any], ...] = ()

    def load(self) -> list[Any]:
        """The pictures."""
        return [picture() for picture in self.pictures]


def _asked(processor: Any, question: Question, picture_of: PictureOf) -> Asked:
    shown = () if question.picture is None else (partial(picture_of, question.picture),)
    return Asked(prompt_of(processor, question), shown)


def _encode(processor: Any, batch: Sequence[Asked], device: Any, ends: Sequence[str] = ()) -> Any:
    texts, pictures = [a.text for a in batch], [a.load() for a in batch]
    return encode(processor, texts, pictures, ends or None).to(device)


def _batches(asked: Sequence[Asked], size: int) -> Iterator[list[int]]:
    """Indices in batches: prompts with as many pictures, and of like length, together."""
    for count in sorted({len(a.pictures) for a in asked}):
        chosen = [i for i, a in enumerate(asked) if len(a.pictures) == count]
        chosen.sort(key=lambda i: len(asked[i].text))
        for start in range(0, len(chosen), size):
            yield chosen[start : start + size]


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
    asked = [_asked(processor, q, picture_of) for q in questions]
    return complete(model, processor, asked, batch_size, max_new_tokens, progress)


def complete(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    batch_size: int = 128,
    max_new_tokens: int = 16,
    progress: bool = True,
) -> list[str]:
    """Greedy answers to prompts, one string a prompt, in their order."""
    import torch

    answers = [""] * len(asked)
    model.eval()
    with torch.inference_mode(), _bar(len(asked), "asking", progress) as bar:
        for chosen in _batches(asked, batch_size):
            inputs = _encode(processor, [asked[i] for i in chosen], model.device)
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
    asked = [_asked(processor, q, picture_of) for q in questions]
    options = [q.options for q in questions]
    return log_likelihoods(model, processor, asked, options, batch_size, progress)


def log_likelihoods(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    options: Sequence[Sequence[str]],
    batch_size: int = 128,
    progress: bool = True,
) -> list[list[float]]:
    """As `option_log_likelihoods`, of prompts with the options of each."""
    import torch

    pairs = [(i, o) for i, offered in enumerate(options) for o in offered]
    found: dict[tuple[int, str], float] = {}
    model.eval()
    with torch.inference_mode(), _bar(len(pairs), "weighing options", progress) as bar:
        for start in range(0, len(pairs), batch_size):
            chosen = pairs[start : start + batch_size]
            # with its end token, so that no option gains by being the beginning of another
            ends = [_end(processor, o) for _, o in chosen]
            lengths = [len(option_tokens(processor, option)) for _, option in chosen]
            inputs = _encode(processor, [asked[i] for i, _ in chosen], model.device, ends)
            logits = model(**inputs, logits_to_keep=max(lengths) + 1).logits.float()
            chances = logits.log_softmax(-1)[:, :-1]  # [B, longest option, vocabulary]
            tokens = inputs["input_ids"][:, -chances.shape[1] :]
            scores = chances.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
            for pair, score, length in zip(chosen, scores, lengths, strict=True):
                found[pair] = float(score[-length:].sum())
            bar.update(len(chosen))
    return [[found[i, o] for o in offered] for i, offered in enumerate(options)]


def next_token_logits(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    tokens: Sequence[int],
    batch_size: int = 128,
    progress: bool = True,
) -> list[list[float]]:
    """Logits of some tokens as the first of the answer: one list a prompt, in the tokens' order."""
    import torch

    found: list[list[float]] = [[] for _ in asked]
    model.eval()
    with torch.inference_mode(), _bar(len(asked), "weighing letters", progress) as bar:
        for chosen in _batches(asked, batch_size):
            inputs = _encode(processor, [asked[i] for i in chosen], model.device)
            logits = model(**inputs, logits_to_keep=1).logits[:, -1].float()
            for index, row in zip(chosen, logits[:, list(tokens)].tolist(), strict=True):
                found[index] = row
            bar.update(len(chosen))
    return found
