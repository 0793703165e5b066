"""Asks a model questions: greedy answers, and the likelihood of given options."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from unsee.anatomy import speaker_of
from unsee.data.prompts import encode
from unsee.data.prompts import prompt_of as template_prompt
from unsee.data.records import PictureKey, Question
from unsee.evaluation.shared import Shared, end_of_prompt, shared_by

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

    @property
    def shown(self) -> tuple[Hashable, ...]:
        """What tells the pictures apart from those of other prompts."""
        return tuple(_identity(picture) for picture in self.pictures)


def _identity(load: Callable[[], Any]) -> Hashable:
    """Equal for what gives the same picture, as far as can be told."""
    if isinstance(load, partial):
        owner, rest = load.func, load.args
    else:
        owner = getattr(load, "__self__", load)
        rest = (owner,)
    try:
        hash(rest)
    except TypeError:
        return id(load)
    return (id(getattr(owner, "table", None)), *rest)


def _asked(processor: Any, question: Question, picture_of: PictureOf) -> Asked:
    shown = () if question.picture is None else (partial(picture_of, question.picture),)
    return Asked(prompt_of(processor, question), shown)


def _encode(processor: Any, batch: Sequence[Asked], device: Any, ends: Sequence[str] = ()) -> Any:
    texts, pictures = [a.text for a in batch], [a.load() for a in batch]
    return encode(processor, texts, pictures, ends or None).to(device)


def _parts(asked: Sequence[Asked], size: int | None) -> Iterator[list[int]]:
    """Indices of prompts with as many pictures, those about at most `size` pictures, or tuples of
    pictures, at a time; None: any number."""
    for count in sorted({len(a.pictures) for a in asked}):
        about: dict[Any, list[int]] = {}
        for i, one in enumerate(asked):
            if len(one.pictures) == count:
                about.setdefault(one.shown, []).append(i)
        views = list(about.values())
        for start in range(0, len(views), size or len(views)):
            yield [i for of_view in views[start : start + (size or len(views))] for i in of_view]


def _batches(part: Sequence[int], lengths: Mapping[int, int], size: int) -> Iterator[list[int]]:
    """Indices in batches, those of like length together."""
    ordered = sorted(part, key=lengths.__getitem__)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _shared(model: Any, processor: Any, asked: Sequence[Asked], share: bool) -> Shared | None:
    """What computes only once what prompts share; None where that is not wanted or not exact."""
    first = next((a for a in asked if a.pictures), None)
    return shared_by(model, processor, first) if share and first else None


def _prompts(
    model: Any, processor: Any, asked: Sequence[Asked], batch_size: int, shared: Shared | None
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Indices of a batch of prompts, and what the model takes of them, padded on the left."""
    for part in _parts(asked, batch_size if shared else None):
        rows: dict[int, list[int]] = {}
        if shared:
            shared.see([asked[i] for i in part], batch_size)
            rows = dict(zip(part, shared.encode([asked[i].text for i in part]), strict=True))
            rows = rows if shared.read(list(rows.values())) else {}
        lengths = {i: len(rows.get(i, asked[i].text)) for i in part}
        for chosen in _batches(part, lengths, batch_size):
            batch = [asked[i] for i in chosen]
            if shared and rows:
                yield chosen, shared.prompts([rows[i] for i in chosen], batch)
            else:
                yield chosen, dict(_encode(processor, batch, model.device))


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
    share: bool = True,
) -> list[str]:
    """Greedy answers, one string a question, in the order of the questions; see `complete`."""
    asked = [_asked(processor, q, picture_of) for q in questions]
    return complete(model, processor, asked, batch_size, max_new_tokens, progress, share)


def complete(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    batch_size: int = 128,
    max_new_tokens: int = 16,
    progress: bool = True,
    share: bool = True,
) -> list[str]:
    """Greedy answers to prompts, one string a prompt, in their order.

    Args:
        model: multimodal model; it is left in eval mode.
        processor: its processor.
        asked: the prompts.
        batch_size: prompts at a time.
        max_new_tokens: of an answer.
        progress: show a progress bar.
        share: see each picture once, where that is exact (`unsee.evaluation.shared`).
    """
    import torch

    answers = [""] * len(asked)
    model.eval()
    with torch.inference_mode(), _bar(len(asked), "asking", progress) as bar:
        shared = _shared(model, processor, asked, share)
        for chosen, inputs in _prompts(model, processor, asked, batch_size, shared):
            width = inputs["input_ids"].shape[1]
            speaker = speaker_of(model, inputs)
            made = speaker.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
            words = processor.batch_decode(made[:, width:], skip_special_tokens=True)
            for index, text in zip(chosen, words, strict=True):
                answers[index] = text.strip()
            bar.update(len(chosen))
    return answers


def next_token_logits(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    tokens: Sequence[int],
    batch_size: int = 128,
    progress: bool = True,
    share: bool = True,
) -> list[list[float]]:
    """Logits of some tokens as the first of the answer: one list a prompt, in the tokens' order."""
    import torch

    found: list[list[float]] = [[] for _ in asked]
    model.eval()
    with torch.inference_mode(), _bar(len(asked), "weighing letters", progress) as bar:
        shared = _shared(model, processor, asked, share)
        for chosen, inputs in _prompts(model, processor, asked, batch_size, shared):
            go_on = shared.go_on if shared else model
            logits = go_on(**inputs, logits_to_keep=1).logits[:, -1].float()
            for index, row in zip(chosen, logits[:, list(tokens)].tolist(), strict=True):
                found[index] = row
            bar.update(len(chosen))
    return found


def _end(processor: Any, option: str) -> str:
    # with its end token, so that no option gains by being the beginning of another
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
    share: bool = True,
) -> list[list[float]]:
    """Log-likelihood of every option of every question, summed over the option's tokens.

    Returns:
        One list a question, in the order of its `options`.
    """
    asked = [_asked(processor, q, picture_of) for q in questions]
    options = [q.options for q in questions]
    return log_likelihoods(model, processor, asked, options, batch_size, progress, share)


def log_likelihoods(
    model: Any,
    processor: Any,
    asked: Sequence[Asked],
    options: Sequence[Sequence[str]],
    batch_size: int = 128,
    progress: bool = True,
    share: bool = True,
) -> list[list[float]]:
    """As `option_log_likelihoods`, of prompts with the options of each; `batch_size` counts
    options, and with `share` a picture and a prompt are read once, where that is exact."""
    import torch

    found: dict[int, list[float]] = {}
    weighed = [i for i, offered in enumerate(options) if offered]
    count = sum(map(len, options))
    model.eval()
    with torch.inference_mode(), _bar(count, "weighing options", progress) as bar:
        shared = _shared(model, processor, [asked[i] for i in weighed], share)
        for part in _parts([asked[i] for i in weighed], batch_size if shared else None):
            of_part = {i: (asked[i], tuple(options[i])) for i in (weighed[n] for n in part)}
            together = shared and _weigh_together(shared, of_part, batch_size, bar)
            found |= together or _weigh_apart(model, processor, of_part, batch_size, bar)
    return [found.get(i, []) for i in range(len(asked))]


Weighed = Mapping[int, tuple[Asked, tuple[str, ...]]]
"""Prompts with their options, by index."""


def _weigh_together(
    shared: Shared, of_part: Weighed, batch_size: int, bar: Any
) -> dict[int, list[float]]:
    """The options of a prompt side by side; nothing if the pictures can't be shared."""
    processor = shared.processor
    shared.see([one for one, _ in of_part.values()], batch_size)
    rows, counts = {}, {}
    for i, (one, options) in of_part.items():
        rows[i] = shared.encode([one.text + _end(processor, option) for option in options])
        counts[i] = [len(option_tokens(processor, option)) for option in options]
    if not shared.read([rows[i][0][: end_of_prompt(rows[i], counts[i])] for i in of_part]):
        return {}
    found: dict[int, list[float]] = {}
    lengths = {i: max(map(len, of)) for i, of in rows.items()}
    most = max(map(len, rows.values()))
    for chosen in _batches(list(rows), lengths, max(1, batch_size // most)):
        batch = [of_part[i][0] for i in chosen]
        weights = shared.weigh([rows[i] for i in chosen], [counts[i] for i in chosen], batch)
        found |= zip(chosen, weights, strict=True)
        bar.update(sum(map(len, weights)))
    return found


def _weigh_apart(
    model: Any, processor: Any, of_part: Weighed, batch_size: int, bar: Any
) -> dict[int, list[float]]:
    """Every option with the whole prompt."""
    pairs = [(i, one, option) for i, (one, options) in of_part.items() for option in options]
    found: dict[int, list[float]] = {i: [] for i in of_part}
    for start in range(0, len(pairs), batch_size):
        chosen = pairs[start : start + batch_size]
        ends = [_end(processor, option) for _, _, option in chosen]
        lengths = [len(option_tokens(processor, option)) for _, _, option in chosen]
        inputs = _encode(processor, [one for _, one, _ in chosen], model.device, ends)
        speaker = speaker_of(model, inputs)
        logits = speaker(**inputs, logits_to_keep=max(lengths) + 1).logits.float()
        chances = logits.log_softmax(-1)[:, :-1]  # [B, longest option, vocabulary]
        tokens = inputs["input_ids"][:, -chances.shape[1] :]
        scores = chances.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        for (i, _, _), score, length in zip(chosen, scores, lengths, strict=True):
            found[i].append(float(score[-length:].sum()))
        bar.update(len(chosen))
    return found
