"""The ablation study: what is run, kept, resumed and concluded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from unsee.cli.main import main
from unsee.data.faces.splits import TEST_POOL, make_split
from unsee.errors import UnseeError
from unsee.methods.vkd_config import VKDConfig
from unsee.report.blocks import ablation_table
from unsee.studies import ablate, parallel, trial
from unsee.studies.ledger import Ledger
from unsee.studies.variants import VARIANTS, named

GROUPS = ("forget", "retain", "lookalike", "visible")


def scores(forget: float, retain: float = 0.9) -> dict[str, Any]:
    """Metrics of a run in which everybody of a group is answered alike."""
    rates = {"forget": forget, "retain": retain, "lookalike": 0.9, "visible": 0.9}
    people = {"forget": forget, "retain": retain, "lookalike": 0.9}
    people |= dict.fromkeys([f"visible/{g}" for g in ("forget", "retain", "stranger")], 0.9)
    found: dict[str, Any] = {f"{group}/vqa_accuracy": rates[group] for group in GROUPS}
    found["by_person"] = {
        g: {p: [round(100 * r), 100] for p in range(5)} for g, r in people.items()
    }
    return {**found, "seconds": 1.0, "peak_memory_mb": 1.0, "trained_parameters": 1}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Models that exist by name alone; a trial forgets the better the smaller its seed."""
    tried: list[tuple[str, dict[str, Any]]] = []
    for seed in (0, 1):
        for name in ("vanilla", "gold-validation"):
            folder = tmp_path / f"models/seed{seed}" / name
            folder.mkdir(parents=True)
            (folder / "config.json").touch()
            (folder / "model.safetensors").write_text(f"{seed} {name}")

    def ask(source: str, faces: Any, split: Any, pictures: str) -> Any:
        assert pictures == "validation" and not set(split.retain) & set(TEST_POOL)
        return scores(0.05 if "gold" in source else 0.95), []

    def attempt(
        source: str, method: str, options: Any, faces: Any, split: Any, pictures: str
    ) -> Any:
        assert method == "vkd" and pictures == "validation" and split.name == "validation"
        tried.append((source, options))
        if options.get("retain_weight") == 10.0:
            return scores(0.05, retain=0.5), []
        return scores(0.1 if options.get("distance") == "mse" else 0.2), []

    monkeypatch.setattr(trial, "ask", ask)
    monkeypatch.setattr(trial, "attempt", attempt)
    return {"tried": tried, "models": tmp_path / "models", "output": tmp_path / "rows.json"}


def study(fake: dict[str, Any], **options: Any) -> Ledger:
    return ablate.ablate(fake["models"], fake["output"], None, say=lambda _: None, **options)


def test_screen_then_confirm_the_best(fake: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(ablate, "CONFIRMED", 1)
    only = ["distance: mse", "distance: cosine", "retain weight 10"]
    rows = study(fake, seeds=(0, 1), only=only).rows
    tried = [(row["variant"], row["seed"]) for row in rows]
    assert tried == [
        *[(name, 0) for name in ("gold", "vanilla", "start", *only)],
        *[(name, 1) for name in ("gold", "vanilla", "start", "distance: mse")],
    ]
    gaps = {row["variant"]: row["gold_gap"] for row in rows if "gold_gap" in row}
    assert gaps["start"] == pytest.approx(15) and gaps["distance: mse"] == pytest.approx(5)
    lines = ablate.verdicts(rows)
    found = {line["variant"]: (line["verdict"], line["broken"]) for line in lines}
    assert found["distance: mse"] == ("better", False)
    assert found["distance: cosine"] == ("no evidence", False)
    assert lines[0]["variant"] == "distance: mse" and lines[-1]["variant"] == "retain weight 10"
    assert found["retain weight 10"][1] is True
    table = ablation_table({"rows": rows})
    judged = (
        "| distance: mse | 1 seed, confirmed | 5.0 [5.0, 5.0] | -10.0 [-10.0, -10.0] | better |"
    )
    assert judged in table and "| distance: cosine | 1 seed, screened |" in table


def test_what_is_finished_is_not_run_again(fake: dict[str, Any]) -> None:
    study(fake, seeds=(0,), only=["distance: mse"])
    kept = fake["output"].read_text()
    assert len(fake["tried"]) == 2 and len(json.loads(kept)["rows"]) == 4
    study(fake, seeds=(0,), only=["distance: mse"])
    assert len(fake["tried"]) == 2 and fake["output"].read_text() == kept
    study(fake, seeds=(0,), only=["distance: mse", "steps 150"])
    assert len(fake["tried"]) == 3


def test_finished_seed_needs_no_models(fake: dict[str, Any]) -> None:
    study(fake, seeds=(0,), only=["distance: mse"])
    shutil.rmtree(fake["models"] / "seed0")
    rows = study(fake, seeds=(0, 1), only=["distance: mse"]).rows
    confirmed = [row["variant"] for row in rows if row["seed"] == 1]
    assert confirmed[2:] == ["start", "distance: mse"]
    with pytest.raises(UnseeError, match="seed0"):
        study(fake, seeds=(0, 1), only=["distance: mse", "steps 150"])
    shutil.rmtree(fake["models"] / "seed1")
    assert study(fake, seeds=(0, 1), only=["distance: mse"]).rows == rows


def test_several_at_a_time_find_the_same(fake: dict[str, Any], monkeypatch: Any) -> None:
    """In threads here, for what is faked would be real again in another process."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", lambda n, **_: ThreadPoolExecutor(n))
    one = study(fake, seeds=(0,), only=["distance: mse", "distance: cosine"]).rows
    fake["output"].unlink()
    two = study(fake, seeds=(0,), only=["distance: mse", "distance: cosine"], jobs=2).rows
    order = [row["variant"] for row in one]
    assert sorted(two, key=lambda row: order.index(row["variant"])) == one


def test_variant_that_fails_is_a_row_and_the_rest_goes_on(
    fake: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = trial.attempt

    def attempt(source: str, method: str, options: Any, *rest: Any) -> Any:
        if options.get("distance") == "cosine":
            raise UnseeError("the loss is nan at step 3")
        return works(source, method, options, *rest)

    monkeypatch.setattr(trial, "attempt", attempt)
    only = ["distance: cosine", "distance: mse"]
    rows = study(fake, seeds=(0, 1), only=only).rows
    assert [r["variant"] for r in rows if "failed" in r] == ["distance: cosine"]
    lines = ablate.verdicts(rows)
    assert (
        lines[0]["variant"] == "distance: mse"
        and lines[-1]["failed"] == "the loss is nan at step 3"
    )
    assert "| distance: cosine | | | | can't be run: the loss is nan" in ablation_table(
        {"rows": rows}
    )


def test_verdict_is_corrected_for_the_number_of_variants(
    fake: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[float] = []
    interval = ablate.gap_interval

    def watched(*args: Any, **kwargs: Any) -> Any:
        levels.append(kwargs.get("level", 0.95))
        return interval(*args, **kwargs)

    monkeypatch.setattr(ablate, "gap_interval", watched)
    only = ["distance: mse", "distance: cosine", "steps 150"]
    ablate.verdicts(study(fake, seeds=(0,), only=only).rows)
    assert sorted(set(levels)) == pytest.approx([0.95, 1 - 0.05 / 4])


def test_rows_of_other_models_or_settings_are_refused(fake: dict[str, Any]) -> None:
    study(fake, seeds=(0,), only=["distance: mse"])
    with pytest.raises(UnseeError, match="holds rows of a study with other settings"):
        study(fake, seeds=(0,), base={"max_steps": 7})
    (fake["models"] / "seed0/vanilla/model.safetensors").write_text("another")
    with pytest.raises(UnseeError, match="holds rows of another vanilla than"):
        study(fake, seeds=(0,), only=["distance: cosine"])


def test_missing_model_and_unknown_variant_are_named(fake: dict[str, Any]) -> None:
    with pytest.raises(UnseeError, match=r"seed7/vanilla is missing: make it with `unsee faces"):
        study(fake, seeds=(0, 7))
    with pytest.raises(UnseeError, match="there is no variant 'magic'"):
        study(fake, only=["magic"])
    assert not fake["tried"] and not fake["output"].exists()


def test_broken_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("{}")
    with pytest.raises(UnseeError, match="holds no rows of a study"):
        Ledger(path, {}, ("variant",))


@pytest.mark.parametrize("name", list(ablate.VARIANTS))
def test_every_variant_is_a_valid_configuration(name: str) -> None:
    changed = ablate.VARIANTS[name]
    args = VKDConfig(output_dir="work", **changed)
    assert all(getattr(args, key) == value for key, value in changed.items())


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.parametrize("options", [{}, {"output_loss": "ce"}, {"forget_target": "strangers"}])
def test_a_trial_runs_end_to_end(
    options: dict[str, Any], checkpoint_of: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from unsee.data.faces import splits
    from unsee.data.faces.benchmark import Faces

    monkeypatch.setattr(splits, "RETAIN_SAMPLE", 2)
    monkeypatch.setattr(trial, "STRANGERS_FOR_UNLEARNING", range(2998, 3000))
    monkeypatch.setattr(splits, "GENERAL_PICTURES", 2)
    split = make_split("validation", 0)
    found, rows = trial.attempt(
        str(checkpoint_of["llava"]),
        "vkd",
        {"max_steps": 1, "per_device_train_batch_size": 2, **options},
        Faces(progress=False),
        split,
        "validation",
        retained=1,
    )
    assert {f"{group}/vqa_accuracy" for group in GROUPS} <= found.keys()
    assert found["seconds"] > 0 and set(found["by_person"]["forget"]) == set(split.forget)
    assert {row["group"] for row in rows} >= {"forget", "retain", "lookalike", "stranger"}


def test_command_refuses_bad_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "--seeds", "one"]) == 2
    assert "--seeds 'one': give numbers such as 0,1,2" in capsys.readouterr().err


def test_names_with_commas_can_be_listed() -> None:
    wanted = ["steps 600", "rate 1e-3, features: projector, steps 600", "rate 1e-3, steps 600"]
    assert named(", ".join(wanted)) == wanted
    assert named(",".join(VARIANTS)) == list(VARIANTS)
    assert named("") == []
    assert set(named("on the person")) < set(VARIANTS) and len(named("on the person")) > 5
    with pytest.raises(UnseeError, match="no variant 'steps 6'"):
        named("steps 600,steps 6")
