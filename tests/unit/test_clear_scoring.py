"""CLEAR's scores, both protocols, against numbers worked out apart from the scorer's own code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clear_files
import parquet
import tiny
from unsee.data.benchmarks import clear
from unsee.errors import UnseeError
from unsee.evaluation.benchmarks import answers
from unsee.evaluation.benchmarks import clear as scoring
from unsee.evaluation.benchmarks.clear import ClearScorer

SETS = ("forget", "retain", "real_faces", "real_world")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clear_files.write(tmp_path_factory.mktemp("clear"))


@pytest.fixture(scope="module")
def model(processing: Any) -> Any:
    return tiny.llava(processing)


def score(
    model: Any, processing: Any, folder: Path, **how: Any
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    tables = ClearScorer().read(str(folder), "forget01_perturbed")
    return ClearScorer().score(model, processing, tables, progress=False, **how)


def by_hand(model: Any, processing: Any, question: str, picture: int, answer: str) -> float:
    """Mean log-likelihood of an answer's tokens, one prompt alone, by the model's own loss."""
    import torch

    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = processing.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    ids = processing.tokenizer(f" {answer}</s>", add_special_tokens=False).input_ids
    whole = processing(
        text=[f"{text} {answer}</s>"], images=[tiny.picture(picture)], return_tensors="pt"
    )
    labels = torch.full_like(whole["input_ids"], -100)
    labels[0, -len(ids) :] = whole["input_ids"][0, -len(ids) :]
    with torch.inference_mode():
        return -float(model(**whole, labels=labels).loss)


@pytest.fixture
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model does not stop by itself."""
    monkeypatch.setattr(scoring, "NEW_TOKENS", 8)


@pytest.mark.usefixtures("few_tokens")
def test_likelihoods_are_those_of_the_model(model: Any, processing: Any, folder: Path) -> None:
    found, rows = score(model, processing, folder)
    kind = ("forget", "generation", "image")
    captions = [row for row in rows if (row["set"], row["kind"], row["direction"]) == kind]
    assert [row["answer"] for row in captions] == [clear_files.caption(0, i) for i in (0, 1)]
    ratios, chances = [], []
    for index, row in enumerate(captions):

        def logs(text: str, index: int = index, row: Any = row) -> float:
            return by_hand(model, processing, row["question"], index, text)

        wrong = clear_files.perturbed(0, index)["perturbed_captions"]
        mean = np.mean([math.exp(logs(text)) for text in wrong])
        paraphrase = clear_files.perturbed(0, index)["paraphrased_caption"]
        ratios.append(mean / math.exp(logs(paraphrase)))
        chances.append(math.exp(logs(row["answer"])))
        assert row["truth_ratio"] == pytest.approx(ratios[-1], rel=1e-3)
        assert row["options"] == [paraphrase, *wrong]
    assert found["forget/generation/image_probability"] == pytest.approx(np.mean(chances), rel=1e-3)
    assert found["forget/generation/image_truth_ratio"] == pytest.approx(np.mean(ratios), rel=1e-3)
    score_by_hand = np.mean([min(r, 1 / r) for r in ratios])
    assert found["forget/generation/image_truth_ratio_score"] == pytest.approx(
        score_by_hand, rel=1e-3
    )
    again, _ = score(model, processing, folder)
    assert again == found


class Oracle:
    """Stands in for the model: says and weighs what it is told to, and remembers the prompts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: Any, weight: Any) -> None:
        self.prompts: list[Any] = []

        def ask(model: Any, processor: Any, prompts: Sequence[Any], *a: Any, **k: Any) -> list[str]:
            self.prompts += prompts
            return [said(prompt[0]) for prompt in prompts]

        def weigh(m: Any, p: Any, prompts: Any, options: Any, *a: Any, **k: Any) -> Any:
            return [
                [math.log(weight(prompt[0], text)) * len(text) for text in offered]
                for prompt, offered in zip(prompts, options, strict=True)
            ]

        def letters(m: Any, p: Any, prompts: Any, offered: Any, **k: Any) -> list[str]:
            return ["B" for _ in prompts]

        monkeypatch.setattr(answers, "ask", ask)
        monkeypatch.setattr(answers, "weigh", weigh)
        monkeypatch.setattr(answers, "option_tokens", lambda p, text: list(text))
        monkeypatch.setattr(answers, "context_of", lambda model: None)
        monkeypatch.setattr(scoring, "ask", ask)
        monkeypatch.setattr(scoring, "letter_choices", letters)


# Two rows whose wrong captions are so unlike that one number for the set is another than each
# row's own: P per token of paraphrase .5, .1; of wrong captions .2, .05 and .4, .1.
CHANCE = {"para one": 0.5, "wrong a": 0.2, "wrong b": 0.05, "caption one": 0.6}
CHANCE |= {"para two": 0.1, "wrong c": 0.4, "wrong d": 0.1, "caption two": 0.2}
CHANCE |= {"Ada": 0.9, "Bo": 0.1, "Cy": 0.2, "Star 1": 0.4, "Star 2": 0.3, "Star 3": 0.1}
CHANCE |= {"a tower": 0.5, "a dog": 0.25, "In Oslo.": 0.7}


def captioned(which: str, *wrong: str, picture: int = 0) -> dict[str, Any]:
    return {
        "image": parquet.picture(picture),
        **{"caption": f"caption {which}", "name": "Ada"},
        **{"paraphrased_caption": f"para {which}", "perturbed_captions": list(wrong)},
        "perturbed_names": ["Bo", "Cy"],
    }


@pytest.fixture
def small(tmp_path: Path) -> Path:
    two = [captioned("one", "wrong a", "wrong b"), captioned("two", "wrong c", "wrong d")]
    stars = ["Star 1", "Star 2", "Star 3"]
    face = {"image": parquet.picture(7), "answer": "Star 2", "options": stars}
    world = {"image": parquet.picture(8), "question": "What?", "answer": "a tower"}
    return clear_files.write(
        tmp_path,
        **{"forget01_perturbed": two, "retain_perturbed": two[:1], "real_faces": [face]},
        real_world=[{**world, "options": ["a dog"]}],
    )


def said(turn: Any) -> str:
    """A caption of which half of the words are right; option B of letters."""
    if turn.text.startswith("Where does"):
        return "in Oslo"
    return "It is B." if "A. " in turn.text else "caption of nobody"


def test_corrected_by_hand(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle(monkeypatch, said, lambda turn, text: CHANCE[text])
    found, rows = score(None, None, small)
    seen = [prompt[0].text for prompt in oracle.prompts if prompt[0].picture is None]
    assert seen == ["Where does Ada Belberg live?"]
    get = {k.replace("/image", "").replace("generation", "g"): v for k, v in found.items()}
    assert get["forget/g_probability"] == pytest.approx((0.6 + 0.2) / 2)
    assert get["forget/g_truth_ratio"] == pytest.approx((0.125 / 0.5 + 0.25 / 0.1) / 2)
    assert get["forget/g_truth_ratio_score"] == pytest.approx((0.25 + 0.4) / 2)
    assert get["forget/g_rougeL_recall"] == pytest.approx(0.5)
    assert get["retain/g_probability"] == pytest.approx(0.6)
    assert get["retain/g_truth_ratio_score"] == pytest.approx(1 - 0.25)
    # of real sets: the share among the options; the truth itself stands in the ratio
    assert get["real_faces/g_probability"] == pytest.approx(0.3 / 0.8)
    assert get["real_faces/g_truth_ratio"] == pytest.approx((0.4 + 0.1) / 2 / 0.3)
    assert get["real_world/g_probability"] == pytest.approx(0.5 / 0.75)
    assert get["real_world/g_truth_ratio_score"] == pytest.approx(0.5)
    choices = [row for row in rows if row["kind"] == "classification"]
    assert len(choices) == 5 and len({row["answer"] for row in choices}) > 1
    assert [row["likeliest"] for row in choices] == [row["answer"] == "B" for row in choices]
    assert [row["correct"] for row in choices] == [row["answer"] == "B" for row in choices]
    assert get["forget/classification_accuracy"] == get["forget/classification_likelihood_accuracy"]
    assert found["forget/generation/text_probability"] == pytest.approx(0.7)
    assert found["forget/generation/text_rougeL_recall"] == 1 and get["forget/g_questions"] == 2
    assert found["utility"] == 0  # nothing right was said of the real sets


def test_utility_is_a_harmonic_mean_of_nine(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"What?": "a tower", clear.NAME_QUESTION: "Star 9"}
    Oracle(monkeypatch, lambda t: answer.get(t.text, said(t)), lambda turn, text: CHANCE[text])
    nine = [0.6, 0.5, 0.75, 0.3 / 0.8, 0.5, 1 - 0.25 / 0.3, 0.5 / 0.75, 1.0, 0.5]
    found, _ = score(None, None, small)
    assert found["utility"] == pytest.approx(9 / sum(1 / value for value in nine))


def test_released_by_hand(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"What?": "a tower", clear.NAME_QUESTION: "Ada Star"}
    oracle = Oracle(
        monkeypatch, lambda t: answer.get(t.text, said(t)), lambda turn, text: CHANCE[text]
    )
    found, rows = score(None, None, small, protocol="released")
    assert all(prompt[0].picture is None for prompt in oracle.prompts)  # text alone
    assert {row["kind"] for row in rows} == {"generation", "name"}
    whole = (0.2 * 0.05 * 0.4 * 0.1) ** 0.25  # one number for the set
    mean = (whole / 0.5 + whole / 0.1) / 2
    get = {k.replace("/image", "").replace("generation", "g"): v for k, v in found.items()}
    assert get["forget/g_truth_ratio"] == pytest.approx(mean)
    assert get["forget/g_truth_ratio_score"] == pytest.approx((whole / 0.5 + 0.1 / whole) / 2)
    assert get["retain/g_truth_ratio_score"] == pytest.approx(1 - 0.1 / 0.5)
    assert get["forget/name_probability"] == pytest.approx(0.9 / 1.2)
    # the right answer is among the options of real_faces, and counted there again
    assert get["real_faces/g_probability"] == pytest.approx(0.3 / (0.3 + 0.8))
    ratio = (0.4 * 0.3 * 0.1) ** (1 / 3) / 0.3
    assert get["real_faces/g_truth_ratio_score"] == pytest.approx(1 - ratio)
    assert get["real_world/g_chrf"] == pytest.approx(100)
    parts = ("probability", "rougeL_recall", "truth_ratio_score", "chrf")
    kept = ("retain/g", "retain/name", "real_faces/g", "real_world/g")
    sixteen = [get[f"{key}_{part}"] for key in kept for part in parts]
    assert min(sixteen) > 0 and found["utility"] == pytest.approx(
        16 / sum(1 / value for value in sixteen)
    )


def test_released_scores_the_first_300_rows(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Oracle(monkeypatch, said, lambda turn, text: CHANCE[text])
    tables = ClearScorer().read(str(small), "forget01_perturbed")
    tables.sets["retain"][:] = tables.sets["retain"] * 310
    for protocol, counted in (("released", 300), ("corrected", 310)):
        _, rows = ClearScorer().score(None, None, tables, protocol)
        kept = [r for r in rows if r["set"] == "retain" and r["kind"] == "generation"]
        assert len(kept) == counted


def test_forget_quality_against_gold(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Oracle(monkeypatch, said, lambda turn, text: CHANCE[text])
    _, rows = score(None, None, small)
    same = ClearScorer().against_gold(rows, rows)
    assert same["forget_quality/ks_p_value"] == 1 and same["forget_quality/js_distance"] == 0
    golds = [{**row, "truth_ratio": 50.0} if "truth_ratio" in row else row for row in rows]
    other = ClearScorer().against_gold(rows, golds)
    assert other["forget_quality/ks_distance"] == 1
    assert other["forget_quality/js_distance"] == pytest.approx(1)
    for others in (golds[1:], [*golds, golds[0]], [{**golds[0], "question": "Who?"}, *golds[1:]]):
        with pytest.raises(UnseeError, match="gold was asked other questions: forget, generation"):
            ClearScorer().against_gold(rows, others)


def test_what_is_absent_is_left_out_and_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in [*(small / "real_faces").iterdir(), *(small / "forget01+tofu").iterdir()]:
        file.unlink()
    tables = ClearScorer().read(str(small), "forget01_perturbed", limit=1)
    assert list(tables.sets) == ["forget", "retain", "real_world"]
    assert "no config forget01+tofu" in tables.left_out["forget_text"]
    assert "no config real_faces; no utility" in tables.left_out["real_faces"]
    assert len(tables.sets["forget"]) == 1
    Oracle(monkeypatch, said, lambda turn, text: CHANCE[text])
    found, _ = ClearScorer().score(None, None, tables)
    assert "utility" not in found and "real_world/classification/image_accuracy" in found


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match="forget05 of CLEAR is training data"):
        ClearScorer().read(str(folder), "forget05")
    with pytest.raises(UnseeError, match="retain95_perturbed does not exist on the hub"):
        ClearScorer().read(str(folder), "retain95_perturbed")
    rows = [clear_files.perturbed(0, 0) | {"image": parquet.truncated(1)}]
    broken = clear_files.write(tmp_path, forget05_perturbed=rows)
    with pytest.raises(UnseeError, match="the picture in row 0 of forget05_perturbed"):
        ClearScorer().read(str(broken))
    with pytest.raises(UnseeError, match="protocol 'mine' is not offered"):
        score(None, None, folder, protocol="mine")


@pytest.mark.usefixtures("few_tokens")
def test_the_whole_of_it_on_a_model(model: Any, processing: Any, folder: Path) -> None:
    for protocol in ("corrected", "released"):
        found, rows = score(model, processing, folder, protocol=protocol)
        assert {row["set"] for row in rows} == set(SETS) and "utility" in found
        assert all(np.isfinite(value) for value in found.values())
