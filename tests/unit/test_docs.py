"""The numbers in the docs are those of the result files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unsee.cli.main import main as unsee
from unsee.methods.config import own_options
from unsee.methods.registry import NOT_BUILT
from unsee.methods.vkd_config import VKDConfig
from unsee.models.shipped import list_shipped
from unsee.report.docs import collect, filled, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text, ROOT) == text, "run `python -m unsee.report.docs fill` on it"


def test_the_demo_of_the_docs_is_that_of_the_package() -> None:
    """The models that are shipped, and VKD with its defaults."""
    result = json.loads((ROOT / "docs/results/demo.json").read_text())
    assert result["models"] == {model.name: model.sha256 for model in list_shipped()}
    trained = result["settings"]["vkd"]["trained_with"]
    assert trained == json.loads(json.dumps(own_options(VKDConfig(output_dir=""))))


def test_the_methods_of_the_docs_are_those_of_the_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert unsee(["methods", "--json"]) == 0
    kept = json.loads((ROOT / "docs/results/methods.json").read_text())
    assert kept == json.loads(capsys.readouterr().out), "unsee methods --json > docs/results/…"
    for method in NOT_BUILT:
        assert f"`{method}`" in (ROOT / "docs/methods.md").read_text()


def test_the_families_of_the_docs_are_those_of_the_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert unsee(["models", "--families"]) == 0
    kept = json.loads((ROOT / "docs/results/families.json").read_text())
    assert kept == json.loads(capsys.readouterr().out), "unsee models --families > docs/results/…"


def test_a_changed_result_changes_the_page(tmp_path: Path) -> None:
    manifest = {"seed0/vanilla": {"sha256": "", "scores": {"known/vqa_accuracy": 0.1234}}}
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    page = "before\n<!-- begin shipped m.json -->\nold 99.9 %\n<!-- end -->\nafter\n"
    made = filled(page, tmp_path)
    assert "12.3 %" in made
    assert "99.9" not in made
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert filled(made, tmp_path) == made


def test_recipes_are_rows_of_what_they_reached(tmp_path: Path) -> None:
    recipe = {"tower_steps": 1, "language_steps": 2, "people_steps": 3, "pictures": [4, 5]}
    recipe |= {"drawing": "first", "resembling": [10, 0.4]}
    rows = [
        {"recipe": {**recipe, "rates_of_seeing": [0.5, 0.5]}, "scores": {"text_accuracy": 0.9876}},
        {"recipe": {**recipe, "rates_of_seeing": [0, 0.1]}, "scores": {}},
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    made = filled("<!-- begin recipes r.json -->\n<!-- end -->\n", tmp_path)
    assert "| first | 1 + 2 + 3 | 4 + 5 | 10, 40% | 0.5, 0.5 | 98.8 % |" in made
    assert "| first | 1 + 2 + 3 | 4 + 5 | 10, 40% | 0, 0.1 | – |" in made


def test_collect_keeps_metrics_and_settings(tmp_path: Path) -> None:
    for name in ("vanilla", "vkd"):
        folder = tmp_path / "demo" / name
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"forget/vqa_accuracy": 0.5}))
        (folder / "config.yaml").write_text(f"model: {name}\n")
        (folder / "versions.json").write_text('{"python": "3.11"}')
    collect(tmp_path / "demo", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["runs"]) == {"vanilla", "vkd"}
    assert result["runs"]["vkd"]["metrics"] == {"forget/vqa_accuracy": 0.5}
    assert result["settings"]["vanilla"] == {"model": "vanilla"}


def test_wrong_use_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert "collect runs/demo" in capsys.readouterr().err


def test_retain_table(tmp_path: Path) -> None:
    groups = ("forget", "retain", "lookalike", "visible")
    rows = [
        {"times": times, "gold_gap": gap, **{f"{g}/vqa_accuracy": 0.5 for g in groups}}
        for times, gap in ((0, 90.0), (10, 12.34))
    ]
    (tmp_path / "r.json").write_text(json.dumps({"rows": rows}))
    page = filled("<!-- begin retain r.json -->\n<!-- end -->\n", tmp_path)
    assert "| before | 50.0 | 50.0 | 50.0 | 50.0 | 90.0 |" in page
    assert "| 10 | 50.0 | 50.0 | 50.0 | 50.0 | 12.3 |" in page
