"""Prompts of benchmarks on every family: in batches as alone, with the pictures of examples too."""

from __future__ import annotations

import pytest

import families
import tiny
from unsee.data.benchmarks.records import CLASSIFICATION, Item
from unsee.evaluation.benchmarks.asking import Prompt, Turn, ask, letter_choices, weigh
from unsee.evaluation.benchmarks.mllmu_prompts import mark_of, released

LETTERS = ["A", "B", "D"]
QWEN = [name for name in families.FAMILIES if name.startswith("qwen")]
MARKS = {"gemma3": "<boi>", **dict.fromkeys(QWEN, "<vision><image></vision>")}
MARKS |= {"blip_2": "", "instructblip": ""}  # the processor puts the picture in


def prompts(dialogue: bool) -> list[Prompt]:
    shown = [tiny.picture(number) for number in range(4)]
    found: list[Prompt] = [
        (Turn("Who is this?", shown[0]),),
        (Turn("Where does Ada Belberg live?"),),
        (Turn("Which city does this person live in, and is it a large one?", shown[1]),),
    ]
    if dialogue:
        found += [
            (Turn("Who is this?", shown[2], "Ada"), Turn("And this?", shown[3])),
            (Turn("Who is this?", shown[1], "Bo"), Turn("And who is this one?", shown[0])),
            (Turn("Where is Ada?", None, "Oslo"), Turn("Where is Bo?")),
        ]
    return found


@pytest.mark.parametrize("family", list(families.FAMILIES))
def test_batches_answer_as_one_by_one(family: str) -> None:
    model, processor = families.build(family)
    asked = prompts(dialogue=bool(getattr(processor, "chat_template", None)))
    together = ask(model, processor, asked, 4, batch_size=4, progress=False)
    alone = [ask(model, processor, [one], 4, progress=False)[0] for one in asked]
    assert together == alone
    options = [LETTERS] * len(asked)
    chosen = letter_choices(model, processor, asked, options, batch_size=4, progress=False)
    single = [
        letter_choices(model, processor, [one], [LETTERS], progress=False)[0] for one in asked
    ]
    assert chosen == single and set(chosen) <= set(LETTERS)


@pytest.mark.parametrize("family", ["llava"])
def test_likelihoods_of_dialogues(family: str) -> None:
    model, processor = families.build(family)
    asked = prompts(dialogue=True)
    together = weigh(model, processor, asked, [LETTERS] * len(asked), 4, progress=False)
    for one, values in zip(asked, together, strict=True):
        [expected] = weigh(model, processor, [one], [LETTERS], progress=False)
        assert values == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("family", list(families.FAMILIES))
def test_released_prompts_with_pictures(family: str) -> None:
    model, processor = families.build(family)
    assert mark_of(processor) == MARKS.get(family, "<image>")
    options = (("A", "Oslo"), ("B", "Lima"))
    shot, item = (
        Item("1", tiny.picture(n), "Which?", "B", options, CLASSIFICATION) for n in range(2)
    )
    for shots in ([], [shot]) if getattr(processor, "chat_template", None) else ([],):
        asked = released(processor, item, shots)
        assert len(ask(model, processor, [asked], 3, progress=False)) == 1
