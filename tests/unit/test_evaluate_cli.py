"""`unsee evaluate` on a tiny model and a few pictures."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from unsee.cli.main import main

pytestmark = pytest.mark.usefixtures("few_pictures")
FORGET = ["--forget", "3,17", "--per-person", "2"]
ACCURACIES = {
    *("forget/vqa_accuracy retain/vqa_accuracy lookalike/vqa_accuracy".split()),
    *("visible/vqa_accuracy forget/text_accuracy retain/text_accuracy".split()),
    *("forget/abstain_rate forget/misattribution_rate".split()),
}


@pytest.fixture(scope="module")
def model(checkpoint_of: dict[str, Path]) -> str:
    return str(checkpoint_of["llava"])


def evaluate(*words: str) -> int:
    return main(["evaluate", *words])


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = json.loads((folder / "metrics.json").read_text())
    return metrics, [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def run(model: str, few_pictures_module: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    assert evaluate(model, *FORGET, "--output", str(folder)) == 0
    return folder


def test_metrics_and_predictions(run: Path) -> None:
    import yaml

    metrics, rows = read(run)
    assert metrics.keys() >= ACCURACIES
    assert all(0 <= metrics[key] <= 1 for key in ACCURACIES)
    key = "retain/vqa_accuracy"
    assert 0 <= metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"] <= 1
    assert "forget/vqa_accuracy_low" not in metrics  # of two people
    absent = {"gold_gap", "js_to_gold", "text_logits_identical", "seconds"}
    assert not metrics.keys() & absent

    groups = Counter(row["group"] for row in rows)
    assert set(groups) == {"forget", "retain", "lookalike", "stranger", "text_only"}
    private = [r for r in rows if r["group"] == "forget" and r["kind"] == "private"]
    assert len(private) == 2 * 2 * 7 and {r["person"] for r in private} == {3, 17}
    assert {r["person"] for r in rows if r["group"] == "lookalike"} == {43, 57}
    assert {"answer", "question", "name", "attribute", "correct"} <= rows[0].keys()
    right = [r["correct"] for r in private]
    assert metrics["forget/vqa_accuracy"] == sum(right) / len(right)
    weighed = [r for r in rows if "option_log_likelihoods" in r]
    assert len(weighed) == len(private)
    assert all(len(r["option_log_likelihoods"]) == len(r["options"]) == 8 for r in weighed)

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["forget"] == [3, 17] and config["pictures"] == "test"
    assert json.loads((run / "versions.json").read_text()).keys() >= {"python", "torch"}


def test_gap_to_a_gold_run(run: Path, model: str, tmp_path: Path) -> None:
    gold = Path(shutil.copytree(run, tmp_path / "gold"))
    metrics, _ = read(gold)
    metrics["retain/vqa_accuracy"] += 0.5
    (gold / "metrics.json").write_text(json.dumps(metrics))
    words = [model, *FORGET, "--gold", str(gold), "--output", str(tmp_path / "run")]
    assert evaluate(*words) == 0
    found, _ = read(tmp_path / "run")
    assert found["gold_gap"] == pytest.approx(50, abs=0.01)
    assert found["gold_gap/retain"] == pytest.approx(-50, abs=0.01)
    assert found["js_to_gold"] == pytest.approx(0, abs=1e-3)
    assert not found.keys() & {"gold_gap_low", "gold_gap_high", "gold_floor"}


def test_floor_is_the_gap_of_a_second_gold(run: Path, model: str, tmp_path: Path) -> None:
    again = Path(shutil.copytree(run, tmp_path / "again"))
    metrics, _ = read(again)
    metrics["lookalike/vqa_accuracy"] += 0.25
    (again / "metrics.json").write_text(json.dumps(metrics))
    words = [model, *FORGET, "--gold", str(run), "--gold-again", str(again)]
    assert evaluate(*words, "--output", str(tmp_path / "run")) == 0
    found, _ = read(tmp_path / "run")
    assert found["gold_floor"] == pytest.approx(25) and found["gold_gap"] == 0


def test_gold_asked_about_other_people_is_refused(
    run: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [model, "--forget", "3,18", "--per-person", "2", "--gold", str(run)]
    assert evaluate(*words, "--output", "out") == 2
    assert "was asked about other people or pictures" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.usefixtures("compare_in_process")
def test_rerun_into_the_checkpoint_itself_and_original(
    model: str, tmp_path: Path, checkpoint_of: dict[str, Path]
) -> None:
    """Costs come from the unlearning run; scores never from an earlier evaluation."""
    unlearnt = Path(shutil.copytree(model, tmp_path / "unlearnt"))
    cost = {"seconds": 12.5, "trained_parameters": 7, "forget/vqa_accuracy": 7.0, "gold_gap": 1.0}
    (unlearnt / "metrics.json").write_text(json.dumps(cost))
    (unlearnt / "config.yaml").write_text("method: vkd\n")
    words = [str(unlearnt), *FORGET[:2], "--per-person", "1", "--original", model]
    assert evaluate(*words, "--output", str(unlearnt)) == 0
    metrics, _ = read(unlearnt)
    assert metrics["seconds"] == 12.5 and metrics["trained_parameters"] == 7
    assert metrics["forget/vqa_accuracy"] <= 1 and "gold_gap" not in metrics
    assert metrics["text_logits_identical"] is True and metrics["text_kl"] == 0


def one_line(shown: str) -> str:
    assert shown.startswith("unsee: error: ") and shown.count("\n") == 1
    return shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL", "--forget", "3,400"], "400 is not a known person"),
        (["MODEL", "--forget", "him"], "give demo, validation, test or numbers"),
        (["MODEL", "--forget", "test", "--percent", "7"], "--percent 7: forget sets have 5, 10"),
        (["MODEL", "--per-person", "0"], "--per-person must be at least 1"),
        (["MODEL", "--output", "full"], "full holds something else"),
        (["MODEL", "--output", "full/notes.txt"], "notes.txt holds something else"),
        (["./absent"], "there is no model folder ./absent"),
        (["MODEL", "--original", "./absent"], "there is no model folder ./absent"),
        (["MODEL", "--gold-again", "g"], "--gold-again is compared with --gold: name both"),
        (["MODEL", "--gold", "./absent"], "there is no model folder ./absent"),
        (["MODEL", "--data", "mllmu"], "--data is for published benchmarks alone: name the --ben"),
        (["MODEL", "--forget-config", "forget_5"], "--forget-config is for published benchmarks"),
        (["MODEL", "--protocol", "corrected"], "--protocol is for published benchmarks alone"),
        (["MODEL", "--zero-shot"], "--zero-shot is for published benchmarks alone"),
        (["MODEL", "--limit", "0"], "--limit is for published benchmarks alone"),
        (["MODEL", "--batch-size", "16"], "--batch-size is for published benchmarks alone"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    assert evaluate(*[model if word == "MODEL" else word for word in words]) == 2
    assert message in one_line(capsys.readouterr().err)
    assert [path.name for path in Path().rglob("*")] == ["full", "notes.txt"]
