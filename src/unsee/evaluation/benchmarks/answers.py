"""Asks items and weighs given answers of them: the rows from which TOFU's metrics are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from unsee.data.benchmarks.records import Item
from unsee.evaluation import likelihoods
from unsee.evaluation.answering import option_tokens
from unsee.evaluation.benchmarks import tofu
from unsee.evaluation.benchmarks.asking import Prompt, Turn, ask, context_of, weigh
from unsee.evaluation.benchmarks.judging import interval
from unsee.evaluation.benchmarks.kept import Kept


def prompt_of(item: Item, words: str | None = None, shown: bool = True) -> Prompt:
    """An item as a prompt, with other words if they are given, without its picture if not shown."""
    picture = item.picture if shown else None
    return (Turn(item.question if words is None else words, picture),)


def room(model: Any, wanted: int) -> int:
    """New tokens to ask for: as many as wanted, at most half of the model's context."""
    context = context_of(model)
    return wanted if context is None else max(1, min(wanted, context // 2))


def answered(
    model: Any,
    processor: Any,
    name: str,
    items: Sequence[Item],
    wrong: Callable[[Item], Sequence[str]],
    truth: Callable[[Item], str] = lambda item: item.answer,
    protocol: str = "corrected",
    ratio_of: str = "item",
    shown: bool = True,
    new_tokens: int = 50,
    batch_size: int = 16,
    progress: bool = True,
    kept: Kept | None = None,
) -> list[dict[str, Any]]:
    """One row an item: what was said, and how likely right and wrong answers are.

    Args:
        model: multimodal model.
        processor: its processor.
        name: of the set.
        items: what is asked.
        wrong: wrong answers of an item.
        truth: the right answer that the truth ratio takes, such as a paraphrase.
        protocol: `corrected` or `released`, see `unsee.evaluation.benchmarks.tofu`.
        ratio_of: `item` or `set`, see there.
        shown: whether the picture is shown when the answer is generated; it always is when answers
            are weighed.
        new_tokens: of a generated answer, at most.
        batch_size: prompts at a time.
        progress: show progress bars.
        kept: what is there already is not asked again, see `unsee.evaluation.benchmarks.kept`.

    Returns:
        Rows with `set`, `id`, `kind`, `direction`, `question`, `answer`, `prediction`,
        `rougeL_recall`, `probability` (of the answer, per token), `shared_probability` (beside the
        wrong ones), `options` (truth first) with their likelihoods, and `truth_ratio` where an item
        has wrong answers.
    """
    said = ask(
        *(model, processor, [prompt_of(item, shown=shown) for item in items]),
        max_new_tokens=room(model, new_tokens),
        batch_size=batch_size,
        progress=progress,
        what=f"{name}, {items[0].kind}",
        kept=kept,
    )
    recalls = tofu.rouge_recalls(said, [item.answer for item in items], protocol)
    offered = [list(dict.fromkeys((i.answer, truth(i), *wrong(i)))) for i in items]
    prompts = [prompt_of(item) for item in items]
    weights = weigh(model, processor, prompts, offered, batch_size, progress, kept)
    rows, ratios = [], []
    for item, text, recall, options, values in zip(
        items, said, recalls, offered, weights, strict=True
    ):
        weight = dict(zip(options, values, strict=True))
        own = _weighed(processor, [item.answer, *wrong(item)], weight)
        beside = _weighed(processor, [truth(item), *wrong(item)], weight)
        ratios.append(beside)
        rows.append(
            {
                **{"set": name, "id": item.id, "kind": item.kind, "direction": item.direction},
                **{"question": item.question, "answer": item.answer, "prediction": text},
                "rougeL_recall": recall,
                "probability": tofu.probability([own]),
                "shared_probability": likelihoods.answer_probability([own]),
                **{key: beside[key] for key in beside if key != "answer"},
            }
        )
    compared = [i for i, row in enumerate(ratios) if len(row["options"]) > 1]
    if compared:
        found = tofu.truth_ratios([ratios[i] for i in compared], protocol, ratio_of)
        for i, ratio in zip(compared, found, strict=True):
            rows[i]["truth_ratio"] = float(ratio)
    return rows


def _weighed(processor: Any, options: list[str], found: Mapping[str, float]) -> dict[str, Any]:
    """A row of `tofu`, the right answer first."""
    return {
        "answer": options[0],
        "options": options,
        "option_log_likelihoods": [float(found[option]) for option in options],
        "option_lengths": [len(option_tokens(processor, option)) for option in options],
    }


def averaged(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    """Mean of a number that every row has, as `name`; of three people or more with `_low` and
    `_high`, the 95 % interval of a bootstrap over people."""
    values = [float(row[key]) for row in rows]
    pairs = zip((str(row["id"]) for row in rows), values, strict=True)
    return {name: float(np.mean(values)), **interval(name, pairs)}


def ratios_of(name: str, rows: Sequence[Mapping[str, Any]], forgotten: bool) -> dict[str, float]:
    """`name_truth_ratio`, the mean, and `name_truth_ratio_score`, TOFU's number between 0 and 1;
    empty where no row has wrong answers."""
    ratios = np.array([row["truth_ratio"] for row in rows if "truth_ratio" in row])
    if not len(ratios):
        return {}
    score = tofu.forgotten if forgotten else tofu.told
    mean = float(ratios.mean())
    return {f"{name}_truth_ratio": mean, f"{name}_truth_ratio_score": score(ratios)}


def forget_quality(
    rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]], kind: str
) -> dict[str, float]:
    """`likelihoods.forget_quality` of a kind of row of the forget set; empty where
    either side has none."""
    ours, theirs = (
        np.array(
            [
                row["truth_ratio"]
                for row in side
                if (row["set"], row["kind"]) == ("forget", kind) and "truth_ratio" in row
            ]
        )
        for side in (rows, golds)
    )
    return likelihoods.forget_quality(ours, theirs) if len(ours) and len(theirs) else {}
