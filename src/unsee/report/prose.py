"""The explanations at the end of a report: what its words mean, and what it does not show."""

from __future__ import annotations

from unsee.report.runs import Cast

_WORDS = (
    (
        "Before",
        "the model as it was trained, on pictures of all the people it is to know and on texts "
        "about them; also called vanilla.",
    ),
    ("After", "the same model after unlearning."),
    (
        "Gold",
        "a model trained by the same recipe and seed on all the text, including that about the "
        "forgotten people, and on none of their pictures. It knows their facts by name and not "
        "their faces: exactly what visual unlearning should leave.",
    ),
    (
        "Gap to gold",
        "the largest difference to gold, in points, over forgotten people, everyone else, "
        "look-alikes and visible details. Forgetting too much counts like forgetting too little.",
    ),
    (
        "Look-alikes",
        "retained people who resemble a forgotten one: same hair, skin and glasses, another face. "
        "A crude method takes them along.",
    ),
    ("Unseen pictures", "test pictures: other pictures than those in training and unlearning."),
    (
        "Abstain",
        "to answer “I don’t know this person”, as the models were taught to do about strangers.",
    ),
    (
        "Misattribute",
        "to state somebody else’s fact as that of the person shown. It betrays methods that turn "
        "people into other people.",
    ),
    (
        "Visible details",
        "questions of the person (glasses, hair) and of the picture (background, clothes, pose, "
        "light, smile), averaged over forgotten people, retained people and strangers.",
    ),
    (
        "Identical to the bit",
        "the checkpoint was reloaded from disk in a fresh process: every tensor of the language "
        "model is the same, and so are the logits of fixed text-only prompts.",
    ),
    (
        "Broken",
        "everyone else, or visible details, lie more than 10 points below the model before "
        "unlearning: such a run is no success, whatever else it does.",
    ),
)


def reading(gold: bool) -> str:
    """What the words mean; without gold, also why there is none."""
    words = [(w, text) for w, text in _WORDS if gold or w not in ("Gold", "Gap to gold")]
    items = "".join(f"<div><dt>{word}</dt><dd>{text}</dd></div>" for word, text in words)
    none = (
        ""
        if gold
        else "<p>A gold model is one that was trained without pictures of the forgotten people. "
        "For this choice of people none was trained, so no gap to gold is stated; what the "
        "original answers about strangers shows how a model behaves that never knew somebody.</p>"
    )
    return f'<section><h2>How to read this</h2>{none}<dl class="words">{items}</dl></section>'


def limits(players: Cast, attacked: bool = False) -> str:
    """What the result does not say."""
    frozen = players.after[0].metrics.get("text_logits_identical") is True
    items = [
        "<strong>Only the look is forgotten.</strong> What the model knows about these people by "
        "name is meant to stay and can still be asked for.",
        "<strong>Forgetting is done in the visual features.</strong> "
        + (
            "The language model is untouched, so the binding from a face to its facts is still in "
            "its weights. "
            if frozen
            else ""
        )
        + "Somebody who has a few pictures of a forgotten person and trains the model on them may "
        "bring the person back. "
        + (
            "How easily is shown above."
            if attacked
            else "How easily is not measured here; <code>unsee attack relearn</code> measures it."
        ),
        "<strong>The people are drawn and the model is small.</strong> Nobody’s privacy is at "
        "stake, and everything can be repeated on a laptop. How far the numbers carry over to "
        "photographs and large models is not shown by them.",
        "<strong>One seed, few people.</strong> Differences of a few points between models can be "
        "chance.",
    ]
    points = "".join(f"<li>{item}</li>" for item in items)
    return f'<section><h2>Limits</h2><ul class="limits">{points}</ul></section>'
