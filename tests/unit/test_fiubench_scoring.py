"""FIUBench's scores, both protocols, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fiubench_files as files
import tiny
from unsee.errors import UnseeError
from unsee.evaluation.benchmarks import answers
from unsee.evaluation.benchmarks import fiubench as scoring
from unsee.evaluation.benchmarks.fiubench import FIUBenchScorer

# P per token of an answer.
CHANCE = {"Ada of Oslo.": 0.6, "Ada lives in Oslo.": 0.5, "Bo lives in Lima.": 0.2}
CHANCE |= {"Cy lives in Rome.": 0.05, "A Pilot.": 0.3, "Her job is pilot.": 0.4, "A baker.": 0.1}
CHANCE |= {"Ada of oslo.": 0.3, "Ada lives in oslo.": 0.25, "A pilot.": 0.2}


def question(**changed: Any) -> dict[str, Any]:
    asked = {
        "question": "Who is THIS?",
        "answer": "Ada of Oslo.",
        "paraphrased_question": ["Name?", "Tell who."],
        "paraphrased_answer": "Ada lives in Oslo.",
        "perturbed_answer": ["Bo lives in Lima.", "Cy lives in Rome."],
        "keywords": ["Ada", "Oslo"],
    }
    return asked | changed


JOB = {
    "question": "Job?",
    "answer": "A Pilot.",
    "paraphrased_question": ["Her trade?"],
    "paraphrased_answer": "Her job is pilot.",
    "perturbed_answer": ["A baker."],
    "keywords": [],
}
SAID = {"Who is THIS?": "Ada of Lima", "Name?": "ADA from Oslo", "Tell who.": "No.", "Job?": "a"}
SAID |= {"Who is this?": "Ada of Lima", "Her trade?": "pilot"}


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for the model: says and weighs what it is told to; the prompts that it saw."""
    prompts: list[Any] = []

    def ask(m: Any, p: Any, asked: Sequence[Any], *a: Any, **k: Any) -> list[str]:
        prompts.extend(asked)
        return [SAID[prompt[0].text] for prompt in asked]

    def weigh(m: Any, p: Any, asked: Any, options: Any, *a: Any, **k: Any) -> Any:
        return [[math.log(CHANCE[text]) * len(text) for text in offered] for offered in options]

    for module in (answers, scoring):
        monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setattr(answers, "weigh", weigh)
    monkeypatch.setattr(answers, "option_tokens", lambda p, text: list(text))
    monkeypatch.setattr(answers, "context_of", lambda model: None)
    return prompts


@pytest.fixture
def small(tmp_path: Path) -> Path:
    people = [
        {**files.person(0), "qa_list": [question(), JOB]},
        {**files.person(3), "qa_list": [question()]},
    ]
    return files.write(tmp_path, people)


def score(folder: Path, protocol: str = "corrected") -> tuple[dict[str, float], list[Any]]:
    tables = FIUBenchScorer().read(str(folder), "forget1")
    return FIUBenchScorer().score(None, None, tables, protocol)


def test_corrected_by_hand(small: Path, oracle: list[Any]) -> None:
    found, rows = score(small)
    assert all(prompt[0].picture is not None for prompt in oracle)
    get = {key.replace("generation/image_", ""): value for key, value in found.items()}
    assert get["forget/probability"] == pytest.approx((0.6 + 0.3) / 2)
    assert get["forget/truth_ratio"] == pytest.approx((0.125 / 0.5 + 0.1 / 0.4) / 2)
    assert get["forget/truth_ratio_score"] == pytest.approx(0.25)
    assert get["forget/rougeL_recall"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert get["forget/exact_match"] == pytest.approx(0.5)  # the question that has keywords
    assert found["forget/paraphrase/image_exact_match"] == pytest.approx((1 + 0) / 2)
    assert found["forget/paraphrase/image_exact_match_worst"] == 1
    assert not any(key.startswith("retain/paraphrase") for key in found)
    kept = (0.6, 2 / 3, 1 - 0.25)
    assert found["utility"] == pytest.approx(3 / sum(1 / value for value in kept))
    assert [row["kind"] for row in rows].count("paraphrase") == 2


def test_released_by_hand(small: Path, oracle: list[Any]) -> None:
    found, rows = score(small, "released")
    get = {key.replace("generation/image_", ""): value for key, value in found.items()}
    assert oracle[0][0].text == "Who is this?"  # str.capitalize puts the rest into lower case
    assert get["forget/probability"] == pytest.approx((0.3 + 0.2) / 2)
    own = [math.sqrt(0.2 * 0.05) / 0.25, 0.1 / 0.4]  # geometric, of each item
    assert get["forget/truth_ratio"] == pytest.approx(np.mean(own))
    assert get["retain/truth_ratio_score"] == pytest.approx(1 - own[0])
    assert get["forget/exact_match"] == pytest.approx((0.5 + 0) / 2)  # no keywords: 0
    assert found["forget/paraphrase/image_exact_match"] == pytest.approx((0.5 + 0) / 2)
    assert {row["answer"] for row in rows} == {"Ada of oslo.", "A pilot."}


def test_forget_quality_against_gold(small: Path, oracle: list[Any]) -> None:
    _, rows = score(small)
    same = FIUBenchScorer().against_gold(rows, rows)
    assert same["forget_quality/ks_p_value"] == 1
    golds = [{**row, "truth_ratio": 9.0} if "truth_ratio" in row else row for row in rows]
    assert FIUBenchScorer().against_gold(rows, golds)["forget_quality/ks_distance"] == 1


def test_what_questions_lack_is_left_out_and_named(tmp_path: Path, oracle: list[Any]) -> None:
    bare = question(perturbed_answer=None, paraphrased_answer=None)
    people = [
        {**files.person(0), "qa_list": [bare]},
        {**files.person(3), "qa_list": [question()]},
    ]
    folder = files.write(tmp_path, people)
    tables = FIUBenchScorer().read(str(folder), "forget1")
    assert tables.left_out == {"forget, truth ratio": "1 of 1 questions have no wrong answers"}
    found, _ = FIUBenchScorer().score(None, None, tables)
    assert "forget/generation/image_truth_ratio" not in found
    assert "forget/generation/image_exact_match" in found and "utility" in found


def test_who_is_kept(tmp_path: Path) -> None:
    folder = files.write(tmp_path / "all")
    tables = FIUBenchScorer().read(str(folder), "forget10", limit=2)
    assert tables.notes == {"splits": {"forget": "forget10", "retain": "retain5"}}
    assert len({item.id for item in tables.sets["forget"]}) == 2
    tables = FIUBenchScorer("retain15").read(str(folder))
    assert {item.id for item in tables.sets["retain"]} == {files.identity(p) for p in (3, 4, 5)}
    assert tables.notes["splits"]["forget"] == "forget5"
    only = {"forget5": files.splits()["forget5"]}
    folder = files.write(tmp_path / "few", split=only)
    assert FIUBenchScorer().read(str(folder)).notes["splits"]["retain"] == "retain"


def test_refusals(tmp_path: Path) -> None:
    folder = files.write(tmp_path)
    with pytest.raises(UnseeError, match="no split 'forget15': it has forget1"):
        FIUBenchScorer().read(str(folder), "forget15")
    with pytest.raises(UnseeError, match="00000003 is in retain15 and in retain5"):
        FIUBenchScorer().read(str(folder), "retain15")
    shown = folder / files.PICTURES / f"SFHQ_pt1_{files.identity(1)}.png"
    shown.write_bytes(shown.read_bytes()[:90])
    with pytest.raises(UnseeError, match="full.json, person 00000001 can't be read"):
        FIUBenchScorer().read(str(folder))


def test_the_whole_of_it_on_a_model(tmp_path: Path, processing: Any) -> None:
    tables = FIUBenchScorer().read(str(files.write(tmp_path)), "forget1")
    model = tiny.llava(processing)
    for protocol in ("corrected", "released"):
        found, rows = FIUBenchScorer().score(
            model, processing, tables, protocol, batch_size=3, progress=False
        )
        assert all(np.isfinite(value) for value in found.values()) and "utility" in found
        alone, _ = FIUBenchScorer().score(
            model, processing, tables, protocol, batch_size=1, progress=False
        )
        key = "forget/generation/image_truth_ratio"
        assert alone[key] == pytest.approx(found[key], rel=1e-3)
        assert len(rows) == 4 + 3
