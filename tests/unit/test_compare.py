"""The leaderboard: what is kept, measured anew, summed up and shown; and the settings it uses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from unsee.cli.main import main
from unsee.data.faces.benchmark import Faces
from unsee.data.faces.splits import TEST_POOL, make_split
from unsee.errors import Diverged, UnseeError
from unsee.methods.registry import list_methods
from unsee.models import shipped
from unsee.report.docs import filled
from unsee.report.leaderboard import grid, write_leaderboard
from unsee.studies import compare as study
from unsee.studies import trial, tune
from unsee.studies.compare import compare, references, summary
from unsee.studies.ledger import Ledger, fingerprint
from unsee.studies.settings import read_settings, settings_text

GROUPS = ("forget", "retain", "lookalike", "visible/forget", "visible/retain", "visible/stranger")


def row(method: str, seed: int, right: int, **more: Any) -> dict[str, Any]:
    people = {group: {"1": [10, 10], "2": [10, 10]} for group in GROUPS}
    people["forget"] = {"1": [right, 10], "2": [right, 10]}
    shares = {f"{g}/vqa_accuracy": 1.0 for g in ("retain", "lookalike", "visible")}
    shares |= {"forget/vqa_accuracy": right / 10, "forget/text_accuracy": 1.0}
    found = {"method": method, "fidelity": "paper", "forget_ratio": 5, "seed": seed}
    found |= {"by_person": people, "forget/abstain_rate": 0.5, "stranger/abstain_rate": 0.9}
    return {**found, **shares, **more}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Models that exist by name alone."""
    for name in ("vanilla", "gold-test", "gold-test-15", "gold-validation"):
        folder = tmp_path / "models/seed0" / name
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
        (folder / "model.safetensors").write_text(name)
    return tmp_path / "models"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is trained; nothing is, in truth. NPO can't be run, GA breaks the model."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def scores(method: str) -> dict[str, Any]:
        right = {"gold": 1, "vanilla": 10}.get(method, 3)
        found = row(method, 0, right)
        if method == "ga":
            found["retain/vqa_accuracy"] = 0.5
        told = ("method", "fidelity", "forget_ratio", "seed")
        return {key: value for key, value in found.items() if key not in told}

    def ask(source: str, faces: Any, split: Any, pictures: str) -> Any:
        return scores("gold" if "gold" in source else "vanilla"), []

    def attempt(
        source: str, method: str, options: Any, faces: Any, split: Any, pictures: str, keep: Any = 0
    ) -> Any:
        assert pictures == ("validation" if split.name == "validation" else "test")
        if split.name == "validation":
            assert not set(split.retain) & set(TEST_POOL)
        calls.append((method, dict(options)))
        if method == "npo":
            raise Diverged("the loss is nan")
        more = {}
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / "config.json").touch()
            (keep / "model.safetensors").write_text(json.dumps(options))
            more = {"checkpoint": fingerprint(str(keep))}
        return {**scores(method), "seconds": 1.0, **more}, []

    monkeypatch.setattr(study, "FRESH", False)
    monkeypatch.setattr(trial, "ask", ask)
    monkeypatch.setattr(trial, "attempt", attempt)
    return calls


@pytest.mark.usefixtures("few_pictures")
def test_references_are_asked_once_and_the_floor_is_a_row(
    checkpoint_of: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("vanilla", "gold-test", "gold-test@1"):
        shutil.copytree(checkpoint_of["llava"], tmp_path / "models/seed0" / name)
    output = tmp_path / "rows.json"
    for _ in range(2):
        compare(tmp_path / "models", output, Faces(progress=False), ())
    rows = json.loads(output.read_text())["rows"]
    assert [row["method"] for row in rows] == ["gold", "vanilla", "gold, another seed"]
    assert "gold_gap" not in rows[0] and rows[1]["gold_gap"] == rows[2]["gold_gap"] == 0
    with pytest.raises(
        UnseeError, match="seed1/vanilla is missing: make it with `unsee faces train"
    ):
        compare(tmp_path / "models", output, Faces(progress=False), (), (1,))


@pytest.mark.usefixtures("few_pictures")
def test_what_is_kept_is_what_was_scored(checkpoint_of: dict[str, Path], tmp_path: Path) -> None:
    source, keep = str(checkpoint_of["llava"]), tmp_path / "kept"
    faces, split = Faces(progress=False), make_split("3,17")
    options: dict[str, Any] = {
        "max_steps": 1,
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "statistics_pictures": 4,
    }
    found, rows = trial.attempt(source, "vkd", options, faces, split, "test", 1, 4, keep=keep)
    assert not tiny.same_weights(keep, checkpoint_of["llava"])
    again, same = trial.ask(str(keep), faces, split, "test")
    assert [r["prediction"] for r in rows] == [r["prediction"] for r in same]
    assert found["by_person"] == again["by_person"] and found["steps"] == 1
    assert found["text_logits_identical"] is True and found["text_kl"] == 0


@pytest.mark.usefixtures("few_pictures")
def test_an_editor_can_be_compared_too(checkpoint_of: dict[str, Path]) -> None:
    source, faces = str(checkpoint_of["llava"]), Faces(progress=False)
    options = {"statistics_pictures": 2, "trainable": "language", "prune_ratio": 0.9}
    found, _ = trial.attempt(source, "manu", options, faces, make_split("3,17"), "test", 1, 4)
    assert found["trained_parameters"] > 0
    assert found["text_logits_identical"] is False and found["text_kl"] > 0


def test_rows_are_kept_and_other_options_are_measured_anew(
    models: Path, tried: Any, tmp_path: Path
) -> None:
    output, quiet = tmp_path / "rows.json", lambda line: None
    for _ in range(2):
        rows = compare(models, output, None, ("vkd", "npo", "ga"), say=quiet).rows
    assert [name for name, _ in tried] == ["vkd", "npo", "ga"]
    assert [r["method"] for r in rows] == ["gold", "vanilla", "vkd", "npo", "ga"]
    assert rows[2]["gold_gap"] == pytest.approx(20) and rows[2]["fidelity"] == "reconstruction"
    assert rows[3]["failed"] == "the loss is nan" and rows[3]["diverged"]
    assert [r.get("broken") for r in rows] == [None, False, False, None, True]
    settings = {"vkd": {"learning_rate": 2e-3}}
    rows = compare(models, output, None, ("vkd",), settings=settings, say=quiet).rows
    assert tried[3:] == [("vkd", {"learning_rate": 2e-3})]
    assert rows[-1]["trained_with"]["learning_rate"] == 2e-3 and len(rows) == 6
    rows = compare(models, output, None, ("vkd",), say=quiet).rows  # as before, and newest again
    assert len(tried) == 4 and rows[6] == rows[2]
    rows = compare(models, output, None, ("vkd",), percent=15, say=quiet).rows
    assert [(r["method"], r["forget_ratio"]) for r in rows[7:]] == [
        ("gold", 15),
        ("vanilla", 15),
        ("vkd", 15),
    ]
    (models / "seed0/vanilla/model.safetensors").write_text("another")
    with pytest.raises(UnseeError, match="holds rows of another vanilla"):
        compare(models, output, None, ("vkd",), say=quiet)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory: MemoryError"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (UnseeError("a library is missing"), "a library is missing"),
    ],
)
def test_what_the_method_is_not_to_blame_for_is_tried_again(
    error: Exception,
    told: str,
    models: Path,
    tried: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, quiet, attempt = tmp_path / "rows.json", lambda line: None, trial.attempt

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(trial, "attempt", failing)
    rows = compare(models, output, None, ("vkd",), say=quiet).rows
    assert rows[-1]["failed"] == told
    monkeypatch.setattr(trial, "attempt", attempt)
    for _ in range(2):
        rows = compare(models, output, None, ("vkd",), say=quiet).rows
        assert [name for name, _ in tried] == ["vkd"] and "failed" not in rows[-1]
    assert grid(rows)[-1][0] == "vkd"


def test_a_checkpoint_that_is_kept_is_the_one_of_its_row(
    models: Path, tried: Any, tmp_path: Path
) -> None:
    output, keep = tmp_path / "rows.json", tmp_path / "kept"
    for rate in (1e-5, 2e-5, 1e-5):
        for _ in range(2):
            settings = {"vkd": {"learning_rate": rate}}
            how: dict[str, Any] = {"settings": settings, "say": lambda line: None}
            [*_, newest] = compare(models, output, None, ("vkd",), keep=keep, **how).rows
        assert newest["checkpoint"] == fingerprint(str(keep / "seed0/test/vkd"))
        assert newest["trained_with"]["learning_rate"] == rate
    assert [options["learning_rate"] for _, options in tried] == [1e-5, 2e-5, 1e-5]
    with pytest.raises(UnseeError, match=r"rows.json is no folder that can be written to"):
        compare(models, output, None, ("vkd",), keep=output / "kept", say=lambda line: None)


def test_answers_without_a_likelihood_are_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def named_parameters(self) -> list[Any]:
            return []

    rows = [{"option_log_likelihoods": [-1.0, float("nan")]}]
    monkeypatch.setattr(trial, "train", lambda *args: (Model(), None, None, None))
    monkeypatch.setattr(trial, "evaluate_faces", lambda *a, **k: ({}, rows))
    with pytest.raises(Diverged, match="answers have no finite likelihood"):
        trial.attempt("m", "vkd", {}, Faces(progress=False), make_split("3,17"), "test")


def test_summary_is_over_the_seeds_that_have_a_gold_and_the_newest_row_counts() -> None:
    rows = [row("gold", 0, 1), row("gold", 1, 1), row("vkd", 0, 9, seconds=99.0)]
    rows += [row("vkd", 0, 2, seconds=10.0), row("vkd", 1, 4, seconds=20.0), row("vkd", 2, 9)]
    gold, vkd = summary(rows)
    assert "gap" not in gold and vkd["seeds"] == 2
    assert vkd["gap"][0] == pytest.approx(20) and 9.9 < vkd["gap"][1] <= vkd["gap"][2] < 30.1
    assert vkd["forget/vqa_accuracy"] == pytest.approx(0.3) and vkd["text_kl"] is None
    assert vkd["seconds"] == 15
    assert summary(rows, percent=15) == []
    other = row("vkd", 0, 5, trained_with={"max_steps": 1})
    assert summary([*rows, other])[1]["seeds"] == 1  # other options are another method


def test_failures_with_some_seeds_are_told() -> None:
    rows = [row("gold", 0, 1), row("gold", 1, 1), row("vkd", 0, 3)]
    rows.append({"method": "vkd", "fidelity": "", "forget_ratio": 5, "seed": 1, "failed": "nan"})
    assert grid(rows)[2][0] == "vkd (failed: 1 of 2 seeds)"


def test_references_come_first_broken_rows_last_and_failed_ones_behind(tmp_path: Path) -> None:
    rows = [row("ga", 0, 1, **{"retain/vqa_accuracy": 0.89}), row("vkd", 0, 9), row("npo", 0, 3)]
    rows.append({"method": "dpo", "fidelity": "paper", "forget_ratio": 5, "seed": 0, "failed": "x"})
    rows += [row("gold", 0, 1), row("vanilla", 0, 10)]
    names = [line[0] for line in grid(rows)[1:]]
    assert names == ["vanilla", "gold", "npo", "vkd", "ga (broken)", "dpo (failed: x)"]
    (tmp_path / "f.json").write_text(json.dumps({"rows": rows}))
    page = filled("<!-- begin leaderboard f.json -->\n<!-- end -->\n", tmp_path)
    assert "| npo | paper |  | 1 | 20.0 [20.0, 20.0] | 30.0 | 100.0 |" in page
    page = filled("<!-- begin final f.json -->\n<!-- end -->\n", tmp_path)
    assert "npo" not in page and "| vkd |" in page
    write_leaderboard(tmp_path / "out", [*rows, row("<b>", 0, 5)])
    html = (tmp_path / "out/leaderboard.html").read_text()
    assert "&lt;b&gt;" in html and '<th scope="row">ga (broken)</th>' in html
    larger = {"forget_ratio": 15}
    both = [*rows, *({**one, **larger} for one in (row("gold", 0, 1), row("rmu", 0, 3)))]
    assert "rmu" in write_leaderboard(tmp_path / "out", both, 15)
    for name in ("md", "html"):
        page = (tmp_path / f"out/leaderboard.{name}").read_text()
        assert page.index("5 % of the known") < page.index("npo") < page.index("15 % of the known")
        assert page.index("15 % of the known") < page.index("rmu")


def test_demo_people_are_compared_with_the_shipped_models(tmp_path: Path) -> None:
    found = references(tmp_path / "none", "demo", 5, 0)
    assert found == {
        "gold": str(shipped.shipped_path("seed0/gold-demo")),
        "vanilla": str(shipped.shipped_path("seed0/vanilla")),
    }
    with pytest.raises(UnseeError, match="seed0/vanilla is missing"):
        references(tmp_path / "none", "test", 5, 0)


def test_command_writes_a_leaderboard_with_the_settings_of_a_folder(
    models: Path, tried: Any, tmp_path: Path, capsys: Any
) -> None:
    text = settings_text("graddiff", {"learning_rate": 2e-4}, ["unsee tune graddiff", "because"])
    assert text.startswith("# unsee tune graddiff\n# because\nmethod: graddiff\n")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/graddiff.yaml").write_text(text)
    words = ["compare", "vkd", "graddiff", "--models", str(models), "--output", "out"]
    assert main([*words, "--settings", str(tmp_path / "settings")]) == 0
    assert tried == [("vkd", {}), ("graddiff", {"learning_rate": 2e-4})]
    assert "| graddiff | paper | tuned | 1 | 20.0" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"leaderboard.json", "leaderboard.md", "leaderboard.html"}
    keys = json.loads((tmp_path / "out/leaderboard.json").read_text())["rows"][-1].keys()
    assert {"method", "fidelity", "forget_ratio", "seed", "gold_gap"} <= keys


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "no method is called 'nothing'"),
        (["vkd", "all"], "all is every method"),
        (["vkd", "--seeds", "a"], "--seeds 'a': give numbers"),
        (["vkd", "--jobs", "0"], "--jobs must be at least 1"),
        (["vkd", "--people", "demo", "--percent", "15"], "the demo people are five percent"),
        (["vkd", "--settings", "nowhere"], "--settings nowhere is no folder"),
        (["vkd", "--models", "nowhere"], "seed0/vanilla is missing"),
    ],
)
def test_wrong_use_is_named(words: list[str], message: str, capsys: Any) -> None:
    assert main(["compare", *words]) == 2
    assert message in capsys.readouterr().err


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "npo.yaml"
    for text, message in (
        ("method: npo\nlearning: 1\n", "npo has no option 'learning'"),
        ("learning_rate: 1\n", "and `method:`"),
        ("a: [", "can't be read"),
        ("method: npo\nbeta: 0\n", "npo.yaml: beta must be above 0"),
        ("method: npo\nlearning_rate: fast\n", "npo.yaml: could not convert"),
        ("method: x\n", "no method is called 'x'"),
    ):
        file.write_text(text)
        with pytest.raises(UnseeError, match=message):
            read_settings(tmp_path)


def test_numbers_that_yaml_takes_for_words_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "npo.yaml").write_text("method: npo\nlearning_rate: 1e-4\n")
    assert read_settings(tmp_path) == {"npo": {"learning_rate": 1e-4}}


def test_settings_that_come_with_unsee_fit_their_methods() -> None:
    from unsee.methods.registry import get_method

    settings = read_settings()
    assert "graddiff" in settings
    for method, options in settings.items():
        get_method(method).classes()[1](output_dir="work", **options)


# ---- tuning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [m.name for m in list_methods()])
def test_defaults_lie_in_the_space_and_proposals_can_be_configured(method: str) -> None:
    from unsee.methods.registry import get_method

    config = get_method(method).classes()[1]
    rows: list[dict[str, Any]] = []
    for number in range(3):
        options = tune.propose(method, rows)
        assert options.keys() == tune.space_of(method).keys()
        made = config(output_dir="work", **options)
        if not number:
            assert all(getattr(made, name) == value for name, value in options.items())
        rows.append({"options": options, "criterion": float(number)})
    assert tune.propose(method, rows[:2]) == rows[2]["options"] != rows[1]["options"]


def test_trials_are_kept_the_best_is_chosen_and_broken_ones_are_not(
    models: Path, tried: Any, tmp_path: Path, capsys: Any
) -> None:
    words = ["tune", "kl_min", "ga", "npo", "--models", str(models), "--trials", "2"]
    words += ["--output", "tuning.json", "--settings", "settings"]
    assert main(words) == 0 and len(tried) == 6
    assert main(words) == 0 and len(tried) == 6
    rows = json.loads((tmp_path / "tuning.json").read_text())["rows"]
    assert [(r["method"], r.get("trial")) for r in rows] == [
        ("gold", None),
        ("vanilla", None),
        *[(method, number) for number in (0, 1) for method in ("kl_min", "ga", "npo")],
    ]
    assert rows[2]["criterion"] == pytest.approx(20) and rows[3]["broken"]
    assert rows[3]["criterion"] == pytest.approx(tune.BROKEN + 50)
    assert rows[4]["failed"] == "the loss is nan" and rows[4]["criterion"] == 2 * tune.BROKEN
    out = capsys.readouterr().out
    assert "no trial of npo could be run: no settings are written" in out
    text = (tmp_path / "settings/kl_min.yaml").read_text()
    first, second, *_ = text.splitlines()
    assert first == (
        f"# unsee tune kl_min --models {models} --seeds 0 --trials 2 --output tuning.json "
        "--settings settings"
    )
    assert second == "# gap to gold 20.0 points on validation people; trial 1 of 2"
    assert read_settings(tmp_path / "settings")["kl_min"]["learning_rate"] == 3e-5
    assert not (tmp_path / "settings/npo.yaml").exists()


def test_trials_of_another_search_space_are_not_mixed_in(
    models: Path, tried: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.methods.ga import GAConfig

    words = ["tune", "ga", "--models", str(models), "--trials", "1", "--output", "tuning.json"]
    assert main(words) == 0
    before = (tmp_path / "tuning.json").read_text()
    for space in (
        {**GAConfig.space, "max_steps": [25, 50]},
        {**GAConfig.space, "learning_rate": (1e-3, 1e-2)},
        {**GAConfig.space, "forget_weight": (0.5, 2.0)},
    ):
        monkeypatch.setattr(GAConfig, "space", space)
        assert main([*words, "--trials", "2"]) == 2 and len(tried) == 1
        assert "tuning.json has a trial of ga from before its search" in capsys.readouterr().err
        assert (tmp_path / "tuning.json").read_text() == before


def test_tuning_is_a_table_with_the_best_first(tmp_path: Path) -> None:
    def tried(method: str, trial: int, gap: float, broken: bool = False) -> dict[str, Any]:
        found = {f"{g}/vqa_accuracy": 0.5 for g in ("forget", "retain", "lookalike", "visible")}
        criterion = gap + tune.BROKEN * broken
        found |= {"criterion": criterion, "gold_gap": gap, "broken": broken, "seconds": 9.0 * trial}
        return {"method": method, "trial": trial, "options": {"learning_rate": trial}, **found}

    rows: list[dict[str, Any]] = [{"method": "gold", "seed": 0, "checkpoint": "x"}]
    rows += [tried("ga", 0, 50), tried("ga", 1, 3, broken=True), tried("vkd", 0, 30, broken=True)]
    rows.append(tried("vkd", 1, 7.25))
    failed = {"trial": 2, "options": {}, "failed": "nan", "broken": True, "criterion": 2000.0}
    rows += [{"method": "vkd", **failed}, {"method": "npo", **failed}]
    (tmp_path / "t.json").write_text(json.dumps({"rows": rows}))
    page = filled("<!-- begin tuning t.json -->\n<!-- end -->\n", tmp_path).splitlines()
    assert page[3].startswith("| vkd | 30.0 (broken) | 7.2 | 50.0 | 50.0 |")
    assert page[3].endswith("| 3, 2 | 9 | learning_rate 1 |")
    assert page[4].startswith("| ga | 50.0 | 50.0 |") and len(page) == 6


def test_best_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnseeError, match="no trial of vkd could be run"):
        tune.best(Ledger(tmp_path / "x.json", {}, ("method",)).rows, "vkd")
