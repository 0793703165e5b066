"""The prompts of MLLMU-Bench: with examples, in the chat template or as in the released script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, IMAGE, Item
from unsee.data.prompts import prompt_of, takes_suffix
from unsee.evaluation.answering import Asked
from unsee.evaluation.benchmarks.asking import Turn, loader, rendered

LETTER = "Just give ONE letter representing the answer directly."
FILLING = "Please **ONLY** provide the correct answer that should replace the [Blank]."
BLANK, BLANKS = "[Blank]", re.compile("_{2,}")
SENTENCE = {
    True: "Answer the question based on your trained knowledge in one sentence accurately in "
    "ENGLISH.",
    False: "Answer the question based on your trained knowledge in one sentence in ENGLISH.",
}
"""The request for one sentence, about a picture or not; the script words the two differently."""


def mark_of(processor: Any) -> str:
    """What stands for a picture in a model's prompts, such as `<image>`: what its chat template
    puts before the words, where there is one; "" where the processor puts the picture in itself."""
    token = str(getattr(processor, "image_token", None) or "<image>")
    if not getattr(processor, "chat_template", None):
        return token if takes_suffix(processor) else ""
    word = "picture"
    before = [prompt_of(processor, word, picture).partition(word)[0] for picture in (False, True)]
    plain, shown = before[0].rstrip(), before[1]
    return shown.removeprefix(plain).strip() if shown.startswith(plain) else token


def lettered(item: Item) -> str:
    """The question with its options on lines `A: …`."""
    return "\n".join([item.question, *(f"{letter}: {text}" for letter, text in item.options)])


def words_of(item: Item) -> str:
    """What is asked, with the request that belongs to its kind."""
    if item.kind == CLASSIFICATION:
        return f"{lettered(item)}\n{LETTER}"
    if item.kind == CLOZE:
        return f"{BLANKS.sub(BLANK, item.question)}\n{FILLING}"
    return f"{item.question}\n{SENTENCE[item.direction == IMAGE]}"


def corrected(processor: Any, item: Item, shots: Sequence[Item] = ()) -> Asked:
    """A dialogue in the model's chat template: every example is a question with its answer.

    The picture of an example's person is shown once, with the first question about it.
    """
    turns, seen = [], None
    for shot in shots:
        shown = shot.picture if shot.picture != seen else None
        seen = shot.picture
        turns.append(Turn(words_of(shot), shown, shot.answer))
    return rendered(processor, (*turns, Turn(words_of(item), item.picture)))


def released(
    processor: Any, item: Item, shots: Sequence[Item] = (), mark: str | None = None
) -> Asked:
    """The text of the released script, point by point: `USER: … ASSISTANT:` whatever the model's
    template; an example is a USER who gives the `Correct Answer`, its picture again each time.

    Args:
        processor: of the model.
        item: what is asked.
        shots: the examples.
        mark: what stands for a picture; None: found out, see `mark_of`.
    """
    token = mark_of(processor) if mark is None else mark
    parts, pictures = [], []
    for shot in shots:
        image = shot.direction == IMAGE
        if shot.kind == CLASSIFICATION:
            before = f"USER: {token}" if image else "USER:"
            parts.append(f"{before}\nQuestion: {lettered(shot)}\nCorrect Answer: {shot.answer}\n")
        else:
            before = f"USER:{token}" if image else "USER:"
            parts.append(f"{before}\n{_filling(shot)}\nCorrect Answer: {shot.answer}\n")
        pictures += [shot.picture] if image else []
    image = item.direction == IMAGE
    asked = _filling(item) if item.kind == CLOZE else words_of(item)
    if item.kind in (CLASSIFICATION, CLOZE):
        before = f"USER: {token}\n" if image else "USER:\n"
        parts.append(f"{before}{asked}\nASSISTANT:")
    else:
        parts.append(
            f"USER: {token}\n{asked}\nASSISTANT: " if image else f"USER: {asked}\nASSISTANT:"
        )
    pictures += [item.picture] if image else []
    return Asked("".join(parts), tuple(loader(picture) for picture in pictures))


def _filling(item: Item) -> str:
    """The script replaces every `__`, so that a longer blank becomes several `[Blank]`."""
    return f"{item.question.replace('__', BLANK)}\n{FILLING}"
