"""FIUBench's scoring: TOFU's metrics, keywords, and questions in other words.

Released differs from corrected in this: questions and right answers are put into lower case but for
the first letter (wrong answers are not), the truth ratio takes the geometric mean of wrong answers,
a question without keywords counts as 0, ROUGE knows plain letters alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unsee.data.benchmarks.fiubench import FIUBENCH, REST, RETAIN, items, read_people
from unsee.data.benchmarks.records import GENERATION, Item
from unsee.errors import UnseeError, optional
from unsee.evaluation.benchmarks import tofu
from unsee.evaluation.benchmarks.answers import (
    answered,
    averaged,
    forget_quality,
    prompt_of,
    ratios_of,
    room,
)
from unsee.evaluation.benchmarks.asking import ask
from unsee.evaluation.benchmarks.base import (
    CORRECTED,
    RELEASED,
    Scorer,
    Tables,
    check_pictures,
    check_protocol,
)
from unsee.evaluation.likelihoods import utility

NEW_TOKENS = 50
LIBRARIES = ("rouge_score", "scipy")
"""What is needed of `unsee[metrics]`."""
PARAPHRASE = "paraphrase"
"""Kind of the rows of questions in other words."""
UTILITY = ("probability", "rougeL_recall", "truth_ratio_score")

NEEDED = {"wrong": ("truth ratio", "wrong answers"), "keywords": ("exact match", "keywords")}
"""What a question may lack -> (the metric that goes without it, what it is called)."""


class FIUBenchScorer(Scorer):
    """Scores FIUBench; sets `forget` and `retain`.

    Args:
        retain: split of the people to keep; None: `retain5`, else `retain15`, else all who are in
            no forget split.

    Metrics: `<set>/generation/image_…` with `probability` (of the answer, per token),
    `rougeL_recall`, `truth_ratio` (mean), `truth_ratio_score` (TOFU's: of `forget` min(R, 1/R),
    else max(0, 1 - R)), `exact_match` (share of keywords that are said);
    `forget/paraphrase/image_exact_match` (mean over the ways of asking) and
    `image_exact_match_worst` (the way that brings out most); `utility` of the retained. Means have
    `_low` and `_high`, a bootstrap over people. With gold `forget_quality/…`.
    """

    benchmark = "fiubench"
    compares_with_gold = True

    def __init__(self, retain: str | None = None) -> None:
        self.retain = retain

    def read(
        self, source: str | None, forget: str | None = None, limit: int | None = None
    ) -> Tables:
        for library in LIBRARIES:
            optional(library, "metrics")
        people = read_people(source)
        there = [name for name in RETAIN if name in people.splits]
        splits = {"forget": forget or FIUBENCH.forget}
        splits["retain"] = self.retain or (there[0] if there else REST)
        both = set(people.of(splits["forget"])) & set(people.of(splits["retain"]))
        if both:
            who = people.entries[min(both)]["unique_id"]
            raise UnseeError(
                f"{who} is in {splits['forget']} and in {splits['retain']}: "
                "name a split of people to forget"
            )
        sets = {name: items(people, split, limit) for name, split in splits.items()}
        check_pictures([item.picture for asked in sets.values() for item in asked])
        left_out = {}
        for name, asked in sets.items():
            for key, (metric, what) in NEEDED.items():
                bare = sum(not item.extras[key] for item in asked)
                if bare:
                    reason = f"{bare} of {len(asked)} questions have no {what}"
                    left_out[f"{name}, {metric}"] = reason
        return Tables(sets, left_out, {"splits": splits})

    def score(
        self,
        model: Any,
        processor: Any,
        tables: Tables,
        protocol: str = CORRECTED,
        seed: int = 0,
        batch_size: int = 16,
        progress: bool = True,
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        check_protocol(protocol)
        how: dict[str, Any] = {"batch_size": batch_size, "progress": progress, "kept": self.kept}
        rows: list[dict[str, Any]] = []
        for name, asked in tables.sets.items():
            if protocol == RELEASED:
                asked = [_capitalised(item) for item in asked]
            own = answered(
                *(model, processor, name, asked),
                wrong=lambda item: item.extras["wrong"],
                truth=lambda item: item.extras["paraphrase"],
                protocol=protocol,
                new_tokens=NEW_TOKENS,
                **how,
            )
            for row, item in zip(own, asked, strict=True):
                row |= _matched(row["prediction"], item, protocol)
            rows += own
            if name == "forget":
                rows += _paraphrased(model, processor, name, asked, protocol, how)
        return summarise(rows), rows

    def distances(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """`forget_quality/…`: the truth ratios of the model beside those of gold."""
        found = forget_quality(rows, golds, GENERATION)
        return {f"forget_quality/{name}": value for name, value in found.items()}


def _capitalised(item: Item) -> Item:
    """As the script does: lower case but for the first letter, wrong answers as they are."""
    extras = {**item.extras, "paraphrase": item.extras["paraphrase"].capitalize()}
    extras["paraphrases"] = tuple(one.capitalize() for one in item.extras["paraphrases"])
    return replace(
        item,
        question=item.question.capitalize(),
        answer=item.answer.capitalize(),
        extras=extras,
    )


def _matched(said: str, item: Item, protocol: str) -> dict[str, Any]:
    """Keywords and how many of them are said; nothing is said of a question that has none, but in
    the script, where it counts as 0."""
    keywords = item.extras["keywords"]
    if not keywords and protocol != RELEASED:
        return {}
    return {"keywords": list(keywords), "exact_match": tofu.keyword_match(said, keywords)}


def _paraphrased(
    model: Any,
    processor: Any,
    name: str,
    asked: Sequence[Item],
    protocol: str,
    how: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A row for each other way of asking a question (adversarial paraphrases)."""
    pairs = [
        (item, words)
        for item in asked
        for words in item.extras["paraphrases"]
        if item.extras["keywords"] or protocol == RELEASED
    ]
    if not pairs:
        return []
    prompts = [prompt_of(item, words) for item, words in pairs]
    tokens = room(model, NEW_TOKENS)
    said = ask(model, processor, prompts, tokens, what=f"{name}, paraphrases", **how)
    return [
        {
            **{"set": name, "id": item.id, "kind": PARAPHRASE, "direction": item.direction},
            **{"question": words, "answer": item.answer, "prediction": text},
            **{"of": item.extras["row"], **_matched(text, item, protocol)},
        }
        for (item, words), text in zip(pairs, said, strict=True)
    ]


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics from rows, see `FIUBenchScorer`."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(row["set"] for row in rows):
        asked = [row for row in rows if (row["set"], row["kind"]) == (name, GENERATION)]
        key = f"{name}/{GENERATION}/image"
        found |= averaged(f"{key}_probability", asked, "probability")
        found |= averaged(f"{key}_rougeL_recall", asked, "rougeL_recall")
        found |= ratios_of(key, asked, name == "forget")
        matched = [row for row in asked if "exact_match" in row]
        if matched:
            found |= averaged(f"{key}_exact_match", matched, "exact_match")
        found[f"{key}_questions"] = len(asked)
        ways: dict[str, list[float]] = {}
        for row in rows:
            if (row["set"], row["kind"]) == (name, PARAPHRASE):
                ways.setdefault(row["of"], []).append(row["exact_match"])
        if ways:
            key = f"{name}/{PARAPHRASE}/image_exact_match"
            found[key] = float(np.mean([np.mean(each) for each in ways.values()]))
            found[f"{key}_worst"] = float(np.mean([max(each) for each in ways.values()]))
    keys = [f"retain/{GENERATION}/image_{part}" for part in UTILITY]
    if all(key in found for key in keys):
        found["utility"] = utility(found, keys)
    return found
