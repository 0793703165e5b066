"""UMU-Bench: its text in both notations, prompts, scores of each direction and of both together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parquet
import tiny
import umu_files
from unsee.cli.main import main
from unsee.data.benchmarks.records import CLASSIFICATION, CLOZE, GENERATION, IMAGE, TEXT
from unsee.data.benchmarks.tables import open_table
from unsee.data.benchmarks.umu import CONFIGS, UMU, read_people, training_rows
from unsee.errors import UnseeError
from unsee.evaluation.benchmarks import people, umu
from unsee.evaluation.benchmarks.umu import UMUScorer, together


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return umu_files.write_umu(tmp_path_factory.mktemp("umu"))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_is_read_and_learnt(data: Path, config: str) -> None:
    found = read_people(open_table(UMU, str(data), config))
    for person in found:
        for kind in (CLASSIFICATION, CLOZE, GENERATION):
            assert len(person.items(kind, IMAGE)) == len(person.items(kind, TEXT)) == 1
    rows = training_rows(str(data), config)
    assert len(rows) == 2 * len(found)


def test_both_notations(data: Path) -> None:
    plain, literal = read_people(open_table(UMU, str(data), "Full_Set"))[2:4]
    [shown] = plain.items(CLASSIFICATION, IMAGE)
    assert (shown.question, shown.answer, shown.right) == ("Which city?", "C", "Lima")
    assert np.array_equal(np.asarray(shown.picture.load()), tiny.picture(2))
    [named] = literal.items(CLASSIFICATION, TEXT)
    assert (named.question, named.right) == ("Which city is Зоя Иванова of?", "Cairo")
    rows = training_rows(str(data), "forget_10", "text")
    assert [(r["id"], r["image"], r["answer"]) for r in rows] == [
        *(("001", None, "Malmö"), ("003", None, "Cairo"))
    ]
    assert training_rows(str(data), "forget_5", "image")[0]["image"].size == (64, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Cloze": '{"unimodal": '}, "row 0 of forget_5 .*, column Cloze holds no JSON text"),
        ({"Cloze": "[1]"}, "column Cloze holds no questions under"),
        ({"Generation": "{'unimodal': {'a': {'question': 'Who?'}}}"}, "'a' is no question with"),
        (
            {"Classify": "{'unimodal': {'a': {'question': 'W?', 'answer': 'X', 'options': {}}}}"},
            "column Classify, 'a': the right answer 'X' is none of its options",
        ),
        (
            {"Classify": "{'unimodal': {'a': {'question': '?', 'answer': 1, 'options': {0: 1}}}}"},
            "column Classify, 'a': the option '0' is no capital letter",
        ),
        ({"ID": None}, "row 0 of forget_5 .* has no ID"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = umu_files.person(1) | change
    parquet.write([row], umu_files.COLUMNS, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match=message):
        read_people(open_table(UMU, str(tmp_path), "forget_5"))


def test_the_shapes_of_mllmu_are_read_too(tmp_path: Path) -> None:
    options = {"A": "Oslo", "B": "Lima"}
    choice = {"Question": "Which city?", "Options": options, "Correct_Answer": "B"}
    gaps = [
        {"Question": "Ada is of __.", "Ground_Truth": "Lima", "Type": "Pure_Text"},
        {"Question": "She is of __.", "Ground_Truth": "Lima", "Type": "Image_Textual"},
    ]
    listed = {"question": "Which?", "answer": "B: Lima", "options": ["Oslo", "Lima"]}
    row = umu_files.person(1) | {
        "Classify": json.dumps({"Image_Textual_Questions": [choice], "Pure_Text_Questions": []}),
        "Cloze": json.dumps(gaps),
    }
    other = umu_files.person(2) | {"Classify": json.dumps({"unimodal": {"c": listed}})}
    parquet.write([row, other], umu_files.COLUMNS, tmp_path / "forget_5")
    one, two = read_people(open_table(UMU, str(tmp_path), "forget_5"))
    [shown] = one.items(CLASSIFICATION, IMAGE)
    assert (shown.question, shown.answer, shown.right) == ("Which city?", "B", "Lima")
    assert [i.question for i in one.items(CLOZE, IMAGE)] == ["She is of __."]
    assert [i.answer for i in one.items(CLOZE, TEXT)] == ["Lima"]
    [named] = two.items(CLASSIFICATION, TEXT)
    assert named.options == (("A", "Oslo"), ("B", "Lima")) and named.answer == "B"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MM_QA": "{'question': {'a': 'Who?'}, 'answer': {}}"}, "MM_QA: 'a' is no question with"),
        ({"UM_QA": "7"}, "column UM_QA holds no questions with answers"),
        ({"image": None}, "row 0 of forget_5 .* has no picture"),
    ],
)
def test_wrong_lessons_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = umu_files.person(1) | change
    parquet.write([row], umu_files.COLUMNS, tmp_path / "forget_5")
    with pytest.raises(UnseeError, match=message):
        training_rows(str(tmp_path), "forget_5")


def test_released_prompts(data: Path, processing: Any) -> None:
    tables = UMUScorer().read(str(data))
    plan = list(UMUScorer().plan(processing, tables, "released"))
    texts = {(a.item.kind, a.item.direction): a.prompt.text for a in plan if a.set == "forget"}
    offered = "['Oslo', 'Malmö', 'Lima', 'Cairo']"
    assert texts[CLASSIFICATION, IMAGE] == (
        f"USER: <image>\nWhich city?\nSelect answer in {offered}\nASSISTANT:"
    )
    assert texts[CLASSIFICATION, TEXT] == (
        f"USER:\nWhich city is Søren Ångström of?\nSelect answer in {offered}\nASSISTANT:"
    )
    assert texts[CLOZE, TEXT] == (
        "USER: Søren Ångström lives in\nPlease **ONLY** provide the correct answer without any "
        "explanation\nASSISTANT:"
    )
    assert texts[CLOZE, IMAGE].startswith("USER: <image>\nThis person lives in __.\nPlease")
    assert texts[GENERATION, IMAGE].endswith("in one sentence accurately in ENGLISH.\nASSISTANT: ")


def test_corrected_prompts(data: Path, processing: Any) -> None:
    tables = UMUScorer().read(str(data))
    plan = list(UMUScorer().plan(processing, tables))
    texts = {(a.item.kind, a.item.direction): a.prompt.text for a in plan if a.set == "forget"}
    assert texts[CLASSIFICATION, IMAGE].startswith("USER: <image>Which city?\nA: Oslo\nB: Malmö\n")
    assert "lives in [Blank].\nPlease **ONLY**" in texts[CLOZE, IMAGE]
    assert texts[CLOZE, TEXT].startswith("USER: Søren Ångström lives in\nPlease **ONLY** provide")


class Nothing:
    """A model without a context that could be too short."""

    class config:
        @staticmethod
        def get_text_config() -> None:
            """No text configuration."""


def says(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(people, "complete", lambda m, p, asked, *rest: [answer(a) for a in asked])
    monkeypatch.setattr(people, "letter_choices", lambda m, p, asked, *rest: ["B"] * len(asked))


def test_scores_by_both_protocols(
    data: Path, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = UMUScorer().read(str(data))
    # knows the person to forget, 001 of Malmö, by picture alone
    says(monkeypatch, lambda a: "Malmö" if a.pictures else "malmo")
    script, rows = UMUScorer().score(Nothing(), processing, tables, "released")
    assert script["forget/classification/image_accuracy"] == 1
    assert script["forget/classification/text_accuracy"] == 0  # not word for word
    assert script["forget/classification/both_right"] == 0
    assert script["forget/classification/both_wrong"] == 0
    assert script["forget/cloze/image_accuracy"] == 1
    # of real people the most like option counts: 000 is of Oslo, 001 of Malmö
    assert script["retain_real/classification/text_accuracy"] == 0.5
    assert len(rows) == (1 + 5 + 2) * 6
    says(monkeypatch, lambda a: "B" if a.pictures else "The answer is B")
    ours, _ = UMUScorer().score(Nothing(), processing, tables, "corrected")
    assert ours["forget/classification/both_right"] == 1
    assert ours["forget/classification/image_likelihood_accuracy"] == 1
    assert ours["forget/cloze/both_wrong"] == 1


def test_free_answers_leave_room_for_the_question(
    data: Path, processing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(Nothing):
        class config:
            @staticmethod
            def get_text_config() -> Any:
                return type("Text", (), {"max_position_embeddings": 256})

    asked: list[int] = []

    def complete(m: Any, p: Any, prompts: list[Any], size: int, tokens: int, *a: Any) -> list[str]:
        asked.append(tokens)
        return ["B"] * len(prompts)

    says(monkeypatch, str)
    monkeypatch.setattr(people, "complete", complete)
    monkeypatch.setattr(people, "check_lengths", lambda *a: None)
    UMUScorer().score(Short(), processing, UMUScorer().read(str(data)))
    assert asked == [50, 50, 128]


def test_both_directions_together() -> None:
    def row(name: str, person: str, direction: str, value: float) -> dict[str, Any]:
        fields = {"set": name, "id": person, "kind": GENERATION, "direction": direction}
        return {**fields, "key": "city", "rougeL": value}

    values = [("1", 1.0, 0.5), ("2", 0.0, 0.0)]
    for name, first in (("forget", 1.25 / 1.5), ("retain_shared", 1.0 / 1.5)):
        rows = [
            row(name, person, side, value)
            for person, a, b in values
            for side, value in ((IMAGE, a), (TEXT, b))
        ]
        assert together(rows) == {f"{name}/generation/aligned_rougeL": pytest.approx(first / 2)}
        assert together(rows[:1]) == {}


def test_the_script_cuts_the_truth_at_its_first_full_stop() -> None:
    row = {"kind": CLOZE, "set": "forget", "answer": "St. Gallen", "prediction": "in Stuttgart"}
    umu.judge_released(row, None)  # type: ignore[arg-type]
    assert row["correct"]


def test_the_command(
    data: Path,
    processing: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(umu, "NEW_TOKENS", dict.fromkeys(umu.NEW_TOKENS, 4))
    model = tiny.llava(processing)
    model.config.text_config.max_position_embeddings = 4096
    checkpoint = str(tiny.save(tmp_path / "model", model, processing))
    words = ["evaluate", checkpoint, "--benchmark", "umu", "--data", str(data), "--limit", "1"]
    for protocol in ("corrected", "released"):
        run = tmp_path / protocol
        assert main([*words, "--protocol", protocol, "--output", str(run)]) == 0
        metrics = json.loads((run / "metrics.json").read_text())
        assert {"forget/cloze/both_right", "retain_real/generation/aligned_rougeL"} <= set(metrics)
        assert metrics["retain_shared/cloze/text_questions"] == 1
