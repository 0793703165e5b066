"""Prompts with turns and pictures, asked in batches: greedy answers, likelihoods of options.

Deterministic: no sampling, and the batches depend on the prompts alone (those with as many pictures
and of like length together, padded on the left).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unsee.data.benchmarks.records import LazyPicture
from unsee.data.prompts import encode, prompt_of
from unsee.errors import UnseeError
from unsee.evaluation.answering import (
    Asked,
    complete,
    log_likelihoods,
    next_token_logits,
    option_tokens,
)
from unsee.evaluation.benchmarks.kept import Kept, going_on, key_of


@dataclass(frozen=True)
class Turn:
    """What a user says, with a picture or without, and what was answered if it is an example.

    Attributes:
        text: the user's words, without image token.
        picture: shown before the words, or None.
        answer: the answer given in an example; None for the turn that the model is to answer.
    """

    text: str
    picture: LazyPicture | Any | None = None
    answer: str | None = None


Prompt = tuple[Turn, ...]
"""Examples, then the turn that is to be answered."""


def rendered(processor: Any, prompt: Prompt) -> Asked:
    """A prompt in the model's chat template, ready for the answer.

    Raises:
        UnseeError: there are examples, and the processor has no chat template.
    """
    if len(prompt) == 1:
        [turn] = prompt
        shown = () if turn.picture is None else (loader(turn.picture),)
        return Asked(prompt_of(processor, turn.text, bool(shown)), shown)
    if not getattr(processor, "chat_template", None):
        raise UnseeError(
            f"{type(processor).__name__} has no chat template, so that no examples can be given: "
            "add --zero-shot"
        )
    messages, pictures = [], []
    for turn in prompt:
        content: list[dict[str, str]] = [{"type": "text", "text": turn.text}]
        if turn.picture is not None:
            content.insert(0, {"type": "image"})
            pictures.append(turn.picture)
        messages.append({"role": "user", "content": content})
        if turn.answer is not None:
            said = [{"type": "text", "text": turn.answer}]
            messages.append({"role": "assistant", "content": said})
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return Asked(text, tuple(loader(picture) for picture in pictures))


def loader(picture: Any) -> Callable[[], Any]:
    """What gives a picture when it is called."""
    return picture.load if isinstance(picture, LazyPicture) else lambda: picture


def context_of(model: Any) -> int | None:
    """How many tokens the language model takes; None where it does not say."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None)


def check_lengths(
    model: Any, processor: Any, asked: Sequence[Asked], new_tokens: int, what: str
) -> None:
    """Refuses prompts that, with their answer, are longer than the model's context.

    The words of all prompts are counted; only the longest for each number of pictures is put
    through the processor, pictures and all: a picture becomes the same number of tokens in every
    prompt, or nearly so.

    Args:
        model: tells its context.
        processor: its processor.
        asked: the prompts.
        new_tokens: how many are generated.
        what: such as `classification with examples`, for the message.

    Raises:
        UnseeError: one is longer.
    """
    context = context_of(model)
    if context is None:
        return
    longest: dict[int, tuple[int, Asked]] = {}
    words = processor.tokenizer([one.text for one in asked]).input_ids if asked else []
    for one, ids in zip(asked, words, strict=True):
        known = longest.get(len(one.pictures))
        if known is None or len(ids) > known[0]:
            longest[len(one.pictures)] = (len(ids), one)
    for _, one in longest.values():
        pictures = [one.load()] if one.pictures else []
        length = encode(processor, [one.text], pictures)["input_ids"].shape[1]
        if length + new_tokens > context:
            raise UnseeError(
                f"{what}: a prompt of {length} tokens and {new_tokens} to answer don't fit into "
                f"the {context} tokens of the model's context: take a model with a longer one, or "
                "--zero-shot where there are examples"
            )


def ask(
    model: Any,
    processor: Any,
    prompts: Sequence[Prompt | Asked],
    max_new_tokens: int = 50,
    batch_size: int = 16,
    progress: bool = True,
    what: str = "prompts",
    kept: Kept | None = None,
) -> list[str]:
    """Greedy answers, stripped, one a prompt, in the order of the prompts; those that are `kept`
    are not asked again.

    Raises:
        UnseeError: a prompt is longer than the model's context.
    """
    asked = _all_rendered(processor, prompts)
    check_lengths(model, processor, asked, max_new_tokens, what)

    def said(chosen: Sequence[int]) -> list[str]:
        some = [asked[n] for n in chosen]
        return complete(model, processor, some, batch_size, max_new_tokens, progress)

    def keys() -> list[str]:
        return [key_of(one.text, _named(one), max_new_tokens) for one in asked]

    return going_on(kept, keys, batch_size, said, len(asked))


def _named(one: Asked) -> str:
    """What the pictures of a prompt are called in their tables."""
    owners = [getattr(picture, "__self__", picture) for picture in one.pictures]
    return " ".join(getattr(owner, "where", repr(owner)) for owner in owners)


def _all_rendered(processor: Any, prompts: Sequence[Prompt | Asked]) -> list[Asked]:
    return [p if isinstance(p, Asked) else rendered(processor, p) for p in prompts]


def weigh(
    model: Any,
    processor: Any,
    prompts: Sequence[Prompt | Asked],
    options: Sequence[Sequence[str]],
    batch_size: int = 16,
    progress: bool = True,
    kept: Kept | None = None,
) -> list[list[float]]:
    """Log-likelihood of every option of every prompt, summed over its tokens, end token included.

    Args:
        model: multimodal model.
        processor: its processor.
        prompts: what is asked.
        options: candidate answers of each prompt.
        batch_size: options at a time.
        progress: show a progress bar.
        kept: what is there already is taken from it, what is new goes to it.

    Returns:
        One list a prompt, in the order of its options.

    Raises:
        UnseeError: a prompt is, with an option, longer than the model's context.
    """
    asked = _all_rendered(processor, prompts)

    def tokens(option: str) -> int:
        return len(option_tokens(processor, option))

    whole = [
        replace(one, text=f"{one.text} {max(offered, key=tokens)}")
        for one, offered in zip(asked, options, strict=True)
        if offered
    ]
    check_lengths(model, processor, whole, 1, "an answer that is weighed")

    def weighed(chosen: Sequence[int]) -> list[list[float]]:
        some, offered = [asked[n] for n in chosen], [options[n] for n in chosen]
        return log_likelihoods(model, processor, some, offered, batch_size, progress)

    def keys() -> list[str]:
        pairs = zip(asked, options, strict=True)
        return [key_of(one.text, _named(one), list(offered)) for one, offered in pairs]

    return going_on(kept, keys, batch_size, weighed, len(asked))


def letter_choices(
    model: Any,
    processor: Any,
    prompts: Sequence[Prompt | Asked],
    letters: Sequence[Sequence[str]],
    batch_size: int = 16,
    progress: bool = True,
) -> list[str]:
    """The letter that each prompt is likeliest to be answered with: needs no parsing.

    One pass a prompt, as the answer's first token decides; where two letters begin with the same
    token, their whole likelihoods do (`weigh`).

    Args:
        model: multimodal model.
        processor: its processor.
        prompts: what is asked.
        letters: of the options of each prompt.
        batch_size: prompts at a time.
        progress: show a progress bar.
    """
    asked = _all_rendered(processor, prompts)
    known = sorted({letter for offered in letters for letter in offered})
    first = {letter: option_tokens(processor, letter)[0] for letter in known}
    if len(set(first.values())) < len(known):
        weights = weigh(model, processor, asked, letters, batch_size, progress)
        chances = [dict(zip(o, w, strict=True)) for o, w in zip(letters, weights, strict=True)]
    else:
        tokens = [first[letter] for letter in known]
        found = next_token_logits(model, processor, asked, tokens, batch_size, progress)
        chances = [dict(zip(known, row, strict=True)) for row in found]
    return [max(o, key=row.__getitem__) for o, row in zip(letters, chances, strict=True)]
