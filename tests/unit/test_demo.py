"""A reduced `unsee demo`: a few pictures, two steps, nothing cached."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
from unsee.cli.main import main
from unsee.models.shipped import MANIFEST

KEYS = {
    *("forget/vqa_accuracy retain/vqa_accuracy lookalike/vqa_accuracy".split()),
    *("visible/vqa_accuracy forget/text_accuracy retain/text_accuracy".split()),
    *("forget/abstain_rate forget/misattribution_rate text_logits_identical".split()),
    *("seconds peak_memory_mb trained_parameters".split()),
}
SMALL = ["--steps", "2", "--per-person", "1", "--retain-pictures", "1"]
HAS_GOLD = MANIFEST.exists()
RUNS = ["vanilla", "vkd", "gold"] if HAS_GOLD else ["vanilla", "vkd"]


@pytest.fixture(scope="module")
def source(checkpoint_of: dict[str, Path]) -> list[str]:
    """The shipped models where there are some, else a tiny random one without a gold."""
    return [] if HAS_GOLD else ["--model", str(checkpoint_of["llava"])]


@pytest.fixture(scope="module")
def fresh_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing drawn yet, and two renders of everybody in every split."""
    from unsee.data.faces import splits

    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "PICTURES", dict.fromkeys(splits.PICTURES, 2))
        patch.setenv("UNSEE_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="module")
def demo(
    source: list[str], fresh_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """(output folder, what was printed)"""
    import contextlib
    import io

    output = tmp_path_factory.mktemp("demo") / "runs"
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main(["demo", *source, *SMALL, "--output", str(output)]) == 0
    assert list(fresh_cache.rglob("*.npy"))
    yield output, shown.getvalue()


def metrics_of(output: Path, name: str) -> dict[str, Any]:
    return json.loads((output / name / "metrics.json").read_text())


def test_run_folders(demo: tuple[Path, str]) -> None:
    import yaml

    output, _ = demo
    assert {path.name for path in output.iterdir()} == {*RUNS, "report.html"}
    for name in RUNS:
        metrics = metrics_of(output, name)
        assert metrics.keys() >= KEYS
        assert all(0 <= metrics[key] <= 1 for key in KEYS if "/" in key)
        lines = (output / name / "predictions.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert {row["group"] for row in rows} >= {"forget", "retain", "lookalike", "stranger"}
        assert {r["person"] for r in rows if r["group"] == "forget"} == {0, 1, 2, 3, 4}
        config = yaml.safe_load((output / name / "config.yaml").read_text())
        assert config["forget"] == [0, 1, 2, 3, 4]
        assert "torch" in json.loads((output / name / "versions.json").read_text())
    vkd = metrics_of(output, "vkd")
    assert vkd["seconds"] > 0 and vkd["trained_parameters"] > 0 and vkd["steps"] == 2
    assert metrics_of(output, "vanilla")["trained_parameters"] == 0


def test_language_model_is_untouched_and_vision_is_not(demo: tuple[Path, str]) -> None:
    import torch

    output, _ = demo
    assert metrics_of(output, "vanilla")["text_logits_identical"] is True
    assert metrics_of(output, "vkd")["text_logits_identical"] is True
    before, after = (tiny.weights(output / name / "model") for name in ("vanilla", "vkd"))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert before.keys() == after.keys()
    assert changed and not [name for name in changed if "language_model" in name]


def test_checkpoints_are_complete(demo: tuple[Path, str]) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    output, _ = demo
    for name in ("vanilla", "vkd"):
        folder = output / name / "model"
        _, found = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
        assert not any(found.values())
        assert AutoProcessor.from_pretrained(folder).tokenizer.eos_token == "</s>"


def test_gap_is_written_only_where_there_is_a_gold(demo: tuple[Path, str]) -> None:
    output, _ = demo
    for name in RUNS:
        metrics = metrics_of(output, name)
        assert ("gold_gap" in metrics) == ("js_to_gold" in metrics) == HAS_GOLD
    if HAS_GOLD:
        assert metrics_of(output, "gold")["gold_gap"] == 0
        assert metrics_of(output, "vanilla")["gold_gap"] > 50
        found = metrics_of(output, "vkd")
        assert 0 <= found["gold_gap_low"] <= found["gold_gap"] <= found["gold_gap_high"]
        assert metrics_of(output, "vanilla")["forget/vqa_accuracy"] > 0.8
        assert metrics_of(output, "gold")["forget/vqa_accuracy"] < 0.3


def test_report_stands_alone(demo: tuple[Path, str]) -> None:
    from unsee.data.faces.benchmark import Faces

    output, shown = demo
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Where they lie" in page and "Each person" in page and 'class="whisker"' in page
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url\(([^)]+)\)""", page)
    outside = [one or other for one, other in links]
    assert not [link for link in outside if not link.strip("'\"").startswith(("data:", "#"))]
    assert page.count("data:image/png;base64,") >= 5
    names = Faces(progress=False).names
    assert all(names[person] in page and names[person] in shown for person in range(5))
    assert "report.html" in shown and "forget" in shown


def test_again_with_people_of_ones_choice(
    demo: tuple[Path, str], source: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rerun replaces what was there; other people have no gold."""
    from unsee.evaluation import frozen

    monkeypatch.setattr(frozen, "check", frozen.compare)
    output, _ = demo
    assert main(["demo", *source, *SMALL, "--forget", "3,17", "--output", str(output)]) == 0
    assert {path.name for path in output.iterdir()} == {"vanilla", "vkd", "report.html"}
    rows = (output / "vkd/predictions.jsonl").read_text().splitlines()
    asked = {r["person"] for r in map(json.loads, rows) if r["group"] == "forget"}
    assert asked == {3, 17} and "gold_gap" not in metrics_of(output, "vkd")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--forget", "3,400"], "400 is not a known person"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--per-person", "0"], "--per-person must be at least 1"),
        (["--retain-pictures", "0"], "--retain-pictures must be at least 1"),
        (["--output", "full"], "full holds something else (notes.txt)"),
        (["--output", "full/notes.txt"], "notes.txt is a file"),
        (["--model", "./absent"], "there is no model folder ./absent"),
    ],
)
@pytest.mark.usefixtures("fresh_cache")
def test_bad_input_is_one_line_and_leaves_nothing(
    words: list[str], message: str, source: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    assert main(["demo", *source, *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("unsee: error: ") and error.count("\n") == 1
    assert sorted(map(str, Path().rglob("*"))) == ["full", "full/notes.txt"]
