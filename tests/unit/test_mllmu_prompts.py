"""The prompts of MLLMU-Bench: both protocols, word for word."""

from __future__ import annotations

from typing import Any

from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, GENERATION, IMAGE, TEXT, Item
from unsee.evaluation.benchmarks.mllmu_prompts import corrected, released

OPTIONS = (("A", "Oslo"), ("B", "Lima"), ("C", "Rome"), ("D", "Bonn"))
LINES = "A: Oslo\nB: Lima\nC: Rome\nD: Bonn"
LETTER = "Just give ONE letter representing the answer directly."
FILL = "Please **ONLY** provide the correct answer that should replace the [Blank]."
SENTENCE = "Answer the question based on your trained knowledge in one sentence"


def item(question: str, kind: str, picture: Any = None, answer: str = "B") -> Item:
    direction = TEXT if picture is None else IMAGE
    options = OPTIONS if kind == CLASSIFICATION else ()
    return Item("1", picture, question, answer, options, kind, direction)


def shown(asked: Any) -> list[Any]:
    return asked.load()


def test_corrected_choice_is_a_dialogue(processing: Any) -> None:
    shots = [item("Where?", CLASSIFICATION, "him"), item("Whence?", CLASSIFICATION, "him", "D")]
    asked = corrected(processing, item("Which?", CLASSIFICATION, "her"), shots)
    assert asked.text == (
        f"USER: <image>Where?\n{LINES}\n{LETTER} ASSISTANT: B</s>"
        f"USER: Whence?\n{LINES}\n{LETTER} ASSISTANT: D</s>"
        f"USER: <image>Which?\n{LINES}\n{LETTER} ASSISTANT:"
    ).replace("ASSISTANT: B", "ASSISTANT: B")
    assert shown(asked) == ["him", "her"]


def test_released_choice(processing: Any) -> None:
    shots = [item("Where?", CLASSIFICATION, "him"), item("Whence?", CLASSIFICATION, "him", "D")]
    asked = released(processing, item("Which?", CLASSIFICATION, "her"), shots)
    assert asked.text == (
        f"USER: <image>\nQuestion: Where?\n{LINES}\nCorrect Answer: B\n"
        f"USER: <image>\nQuestion: Whence?\n{LINES}\nCorrect Answer: D\n"
        f"USER: <image>\nWhich?\n{LINES}\n{LETTER}\nASSISTANT:"
    )
    assert shown(asked) == ["him", "him", "her"]
    words = released(
        processing, item("Which?", CLASSIFICATION), [item("Where is Bo?", CLASSIFICATION)]
    )
    assert words.text == (
        f"USER:\nQuestion: Where is Bo?\n{LINES}\nCorrect Answer: B\n"
        f"USER:\nWhich?\n{LINES}\n{LETTER}\nASSISTANT:"
    )
    assert words.pictures == ()


def test_corrected_cloze(processing: Any) -> None:
    shots = [
        item("She lives in __.", CLOZE, "her", "Lima"),
        item("His name is __.", CLOZE, "him", "Bo"),
    ]
    asked = corrected(processing, item("He likes ____ and __.", CLOZE, "them"), shots)
    assert asked.text.endswith(f"<image>He likes [Blank] and [Blank].\n{FILL} ASSISTANT:")
    assert asked.text.count("<image>") == 3 and shown(asked) == ["her", "him", "them"]
    assert f"She lives in [Blank].\n{FILL} ASSISTANT:" in asked.text


def test_released_cloze(processing: Any) -> None:
    shots = [item("She lives in __.", CLOZE, "her", "Lima")]
    asked = released(processing, item("He likes ____.", CLOZE, "him"), shots)
    assert asked.text == (
        f"USER:<image>\nShe lives in [Blank].\n{FILL}\nCorrect Answer: Lima\n"
        f"USER: <image>\nHe likes [Blank][Blank].\n{FILL}\nASSISTANT:"
    )
    words = released(processing, item("Bo likes __.", CLOZE), [item("Al has __.", CLOZE)])
    assert words.text == (
        f"USER:\nAl has [Blank].\n{FILL}\nCorrect Answer: B\n"
        f"USER:\nBo likes [Blank].\n{FILL}\nASSISTANT:"
    )


def test_generation_has_no_examples_and_text_has_no_picture(processing: Any) -> None:
    about = item("Who is this?", GENERATION, "her")
    named = item("Who is Bo?", GENERATION)
    assert corrected(processing, about).text == (
        f"USER: <image>Who is this?\n{SENTENCE} accurately in ENGLISH. ASSISTANT:"
    )
    assert released(processing, about).text == (
        f"USER: <image>\nWho is this?\n{SENTENCE} accurately in ENGLISH.\nASSISTANT: "
    )
    asked = released(processing, named)
    assert asked.text == f"USER: Who is Bo?\n{SENTENCE} in ENGLISH.\nASSISTANT:"
    assert asked.pictures == ()
