"""CLEAR's scoring: captions, names among letters, what everybody knows, distance to gold.

Corrected: captions of forgotten and kept people (probability, ROUGE-L recall, truth ratio of each
item), their names as a choice among letters, `real_faces` and `real_world` the same way; utility is
TOFU's harmonic mean of nine numbers. Released: as the published script computes it, with what that
brings: answers are generated *without the picture*, the wrong captions of all rows are averaged
into one number, only the first 300 rows of a config are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from unsee.data.benchmarks.clear import (
    CLEAR,
    FACES,
    FORGET,
    LETTER_REQUEST,
    NAME_QUESTION,
    RETAIN,
    WORLD,
    caption_items,
    lettered,
    open_config,
    real_items,
    training_rows,
)
from unsee.data.benchmarks.records import CLASSIFICATION, GENERATION, TEXT, Item
from unsee.data.benchmarks.registry import EVALUATION, TRAINING
from unsee.data.benchmarks.tables import has_config
from unsee.errors import UnseeError, optional
from unsee.evaluation.benchmarks import tofu
from unsee.evaluation.benchmarks.answers import (
    answered,
    averaged,
    forget_quality,
    prompt_of,
    ratios_of,
)
from unsee.evaluation.benchmarks.asking import ask, letter_choices
from unsee.evaluation.benchmarks.base import (
    CORRECTED,
    RELEASED,
    Scorer,
    Tables,
    check_pictures,
    check_protocol,
)
from unsee.evaluation.benchmarks.judging import chosen_letter
from unsee.evaluation.likelihoods import utility

NEW_TOKENS = 300
"""Of a caption, at most, as in the published script."""
RELEASED_ROWS = 300
"""Rows of a config that the published script scores."""
NAME = "name"
"""Kind of the released protocol: the name as a free answer, among wrong names."""
LIBRARIES = ("rouge_score", "sacrebleu", "scipy")
"""What is needed of `unsee[metrics]`."""
TEXT_SET = "forget_text"
CAPTIONED, REAL = ("forget", "retain"), (FACES, WORLD)
PARTS = ("probability", "rougeL_recall", "truth_ratio_score")
"""What utility is made of, of each kept set."""


class ClearScorer(Scorer):
    """Scores CLEAR; sets `forget`, `retain`, `real_faces`, `real_world`.

    Metrics: `<set>/generation/image_…` with `probability` (captions: per token; real sets: its
    share among the options), `rougeL_recall`, `truth_ratio` (mean), `truth_ratio_score` (TOFU's:
    of `forget` min(R, 1/R), else max(0, 1 - R)); `<set>/classification/image_accuracy` (parsed)
    and `image_likelihood_accuracy` (the likeliest letter); `forget/generation/text_…`, TOFU's
    questions about the forgotten in words, which visual unlearning keeps; `utility`. Means have
    `_low` and `_high`, a bootstrap over people. With gold `forget_quality/…`.
    Released: `<set>/name/image_…` and `image_chrf` instead of letters and of questions in words.
    """

    benchmark = "clear"
    compares_with_gold = True

    def read(
        self, source: str | None, forget: str | None = None, limit: int | None = None
    ) -> Tables:
        for library in LIBRARIES:
            optional(library, "metrics")
        configs = {"forget": forget or CLEAR.forget, "retain": RETAIN}
        configs |= {config: config for config in REAL}
        sets: dict[str, list[Item]] = {}
        left_out: dict[str, str] = {}
        for name, config in configs.items():
            if name != "forget" and not has_config(CLEAR, source, config, EVALUATION):
                left_out[name] = f"{source} has no config {config}; no utility is counted"
                continue
            table = open_config(source, config)
            if name == "forget" and config not in FORGET:
                raise UnseeError(
                    f"{config} is no config of people to forget: take {', '.join(FORGET)}"
                )
            read = real_items if name in REAL else caption_items
            items: list[Item] = []
            for item in read(table):
                if limit is not None and len(items) >= limit:
                    break
                items.append(item)
            sets[name] = items
        words = configs["forget"].replace("_perturbed", "+tofu")
        if words.endswith("+tofu") and has_config(CLEAR, source, words, TRAINING):
            sets[TEXT_SET] = list(training_rows(source, words, TEXT).items)[:limit]
            configs[TEXT_SET] = words
        else:
            left_out[TEXT_SET] = f"{source} has no config {words}; no question is asked in words"
        check_pictures([item.picture for items in sets.values() for item in items])
        return Tables(sets, left_out, {"configs": {name: configs[name] for name in sets}})

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
        for name, items in tables.sets.items():
            if name == TEXT_SET:
                if protocol == CORRECTED:
                    rows += answered(model, processor, "forget", items, lambda item: (), **how)
                continue
            if protocol == RELEASED:
                rows += _released(model, processor, name, items[:RELEASED_ROWS], how)
                continue
            rows += answered(
                model, processor, name, items, _wrong, _paraphrase, new_tokens=NEW_TOKENS, **how
            )
            rows += _choices(model, processor, name, items, seed, how)
        return summarise(rows, protocol), rows

    def distances(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """`forget_quality/…` of captions: the truth ratios of the model beside those of gold."""
        found = forget_quality(rows, golds, GENERATION)
        return {f"forget_quality/{name}": value for name, value in found.items()}


def _wrong(item: Item) -> Sequence[str]:
    return item.extras["wrong"]


def _paraphrase(item: Item) -> str:
    return item.extras.get("paraphrase", item.answer)


def _offered(item: Item) -> Sequence[str]:
    """Wrong answers as the script takes them: of a real set all options, the right one too."""
    return item.extras.get("offered", item.extras["wrong"])


def _choices(
    model: Any, processor: Any, name: str, items: Sequence[Item], seed: int, how: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The right answer among lettered options: the letter that is said, and the likeliest."""
    asked = [lettered(item, seed) for item in items]
    prompts = []
    for item in asked:
        lines = [f"{letter}. {text}" for letter, text in item.options]
        prompts.append(prompt_of(item, "\n".join([item.question, *lines, LETTER_REQUEST])))
    said = ask(model, processor, prompts, 8, what=f"{name}, classification", **how)
    letters = [[letter for letter, _ in item.options] for item in asked]
    quick = {key: how[key] for key in ("batch_size", "progress")}
    likeliest = letter_choices(model, processor, prompts, letters, **quick)
    return [
        {
            **{"set": name, "id": item.id, "kind": CLASSIFICATION, "direction": item.direction},
            **{"question": item.question, "options": list(item.options)},
            **{"answer": item.answer, "prediction": text},
            "correct": chosen_letter(text, offered) == item.answer,
            "likeliest": best == item.answer,
        }
        for item, text, offered, best in zip(asked, said, letters, likeliest, strict=True)
    ]


def _released(
    model: Any, processor: Any, name: str, items: Sequence[Item], how: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """As the script: no picture while generating, one number for all wrong answers of the set."""
    script: dict[str, Any] = {
        "protocol": RELEASED,
        "ratio_of": "set",
        "shown": False,
        "new_tokens": NEW_TOKENS,
    }
    rows = answered(model, processor, name, items, _offered, _paraphrase, **script, **how)
    if name in CAPTIONED:
        named = [
            replace(i, question=NAME_QUESTION, answer=i.extras["name"], kind=NAME) for i in items
        ]
        rows += answered(
            model, processor, name, named, lambda i: i.extras["wrong_names"], **script, **how
        )
    for row in rows:
        row["chrf"] = tofu.chrf(row["prediction"], row["answer"])
    return rows


def summarise(rows: Sequence[Mapping[str, Any]], protocol: str = CORRECTED) -> dict[str, float]:
    """Metrics from rows, see `ClearScorer`; `utility` where every kept set is there."""
    found: dict[str, float] = {}
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["kind"], row["direction"]), []).append(row)
    for (name, kind, direction), chosen in groups.items():
        key = f"{name}/{kind}/{direction}"
        found[f"{key}_questions"] = len(chosen)
        if kind == CLASSIFICATION:
            found |= averaged(f"{key}_accuracy", chosen, "correct")
            found |= averaged(f"{key}_likelihood_accuracy", chosen, "likeliest")
            continue
        # rows of questions in words do not say whom they are about: no bootstrap over people
        if direction == TEXT:
            chosen = [{**row, "id": ""} for row in chosen]
        own = "probability" if name in CAPTIONED and kind == GENERATION else "shared_probability"
        found |= averaged(f"{key}_probability", chosen, own)
        found |= averaged(f"{key}_rougeL_recall", chosen, "rougeL_recall")
        found |= ratios_of(key, chosen, name == "forget")
        if protocol == RELEASED:
            found |= averaged(f"{key}_chrf", chosen, "chrf")
    return {**found, **_utility(found, protocol)}


def _utility(found: Mapping[str, float], protocol: str) -> dict[str, float]:
    kept = [f"{name}/{GENERATION}/image" for name in ("retain", *REAL)]
    parts: tuple[str, ...] = PARTS
    if protocol == RELEASED:
        kept.append(f"retain/{NAME}/image")
        parts = (*PARTS, "chrf")  # on its scale of 100, as in the script
    keys = [f"{key}_{part}" for key in kept for part in parts]
    if not all(key in found for key in keys):
        return {}
    return {"utility": utility(found, keys)}
