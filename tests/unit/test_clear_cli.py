"""`unsee evaluate --benchmark clear` and `fiubench`, with gold beside the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import clear_files
import fiubench_files
from unsee.cli.main import main
from unsee.evaluation.benchmarks import asking, clear, kept


@pytest.fixture
def model(checkpoint_of: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(clear, "NEW_TOKENS", 8)  # a random model does not stop by itself
    return str(checkpoint_of["llava"])


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = json.loads((folder / "metrics.json").read_text())
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return metrics, config, [json.loads(line) for line in lines]


def test_clear_and_gold(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(clear_files.write(tmp_path / "CLEAR"))
    words = ["evaluate", model, "--benchmark", "clear", "--data", data, "--limit", "1"]
    words += ["--forget-config", "forget10_perturbed"]
    assert main([*words, "--output", "run"]) == 0
    metrics, config, rows = read(Path("run"))
    assert "utility" in metrics and not any("gold" in key for key in metrics)
    assert config["configs"]["forget"] == "forget10_perturbed" and len(rows) == 9
    assert rows[0]["id"] == "Ada Belberg"

    assert main([*words, "--gold", "run", "--output", "again"]) == 0
    beside, config, _ = read(Path("again"))
    assert beside["forget_quality/ks_p_value"] == 1 and config["gold"] == "run"
    assert {key.removeprefix("gold/") for key in beside if key.startswith("gold/")} == set(metrics)
    assert main([*words, "--gold", model, "--output", "third"]) == 0
    assert read(Path("third"))[0] == beside

    capsys.readouterr()
    assert main([*words, "--protocol", "released", "--gold", "run", "--output", "no"]) == 2
    assert "is of protocol corrected, and released is asked for" in capsys.readouterr().err
    assert main([*words, "--seed", "1", "--gold", "run", "--output", "no"]) == 2
    assert "is of seed 0, and 1 is asked for" in capsys.readouterr().err
    assert not Path("no").exists()


def test_wrong_configs_end_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    data = str(clear_files.write(tmp_path / "CLEAR"))
    words = ["evaluate", model, "--benchmark", "clear", "--data", data, "--forget-config"]
    for config, complaint in (
        ("forget05", "forget05 of CLEAR is training data, and evaluation data is needed"),
        ("retain95_perturbed", "retain95_perturbed does not exist on the hub"),
        ("real_faces", "real_faces is no config of people to forget: take forget01_perturbed, f"),
        ("retain_perturbed", "retain_perturbed is no config of people to forget: take forget01"),
    ):
        assert main([*words, config]) == 2
        assert complaint in capsys.readouterr().err
    assert not Path("runs").exists()


def test_fiubench(model: str, tmp_path: Path) -> None:
    data = str(fiubench_files.write(tmp_path / "FIU"))
    words = ["evaluate", model, "--benchmark", "fiubench", "--data", data, "--limit", "1"]
    assert main([*words, "--protocol", "released", "--output", "run"]) == 0
    metrics, config, rows = read(Path("run"))
    assert config["splits"] == {"forget": "forget5", "retain": "retain5"}
    assert config["protocol"] == "released" and "forget/generation/image_exact_match" in metrics
    assert {row["id"] for row in rows} == {"00000000", "00000003"}


@pytest.mark.parametrize("benchmark", ["clear", "fiubench"])
@pytest.mark.parametrize("cut", ["complete", "log_likelihoods"])
def test_an_interrupted_run_goes_on(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: str, cut: str
) -> None:
    files = {"clear": clear_files, "fiubench": fiubench_files}[benchmark]
    words = ["evaluate", model, "--benchmark", benchmark, "--batch-size", "1", "--output"]
    words[4:4] = ["--data", str(files.write(tmp_path / "data")), "--limit", "2"]
    monkeypatch.setattr(kept, "PORTION", 1)
    calls: dict[str, int] = {"complete": 0, "log_likelihoods": 0}
    stop = {cut: 2}

    def counted(name: str) -> None:
        real = getattr(asking, name)

        def call(*args: Any) -> Any:
            if calls[name] == stop.get(name):
                raise KeyboardInterrupt
            calls[name] += 1
            return real(*args)

        monkeypatch.setattr(asking, name, call)

    counted("complete")
    counted("log_likelihoods")
    assert main([*words, "run"]) == 130
    assert [path.name for path in Path("run").iterdir()] == ["answers.partial"]
    stop.clear()
    assert main([*words, "run"]) == 0
    once = dict(calls)
    assert main([*words, "whole"]) == 0
    assert calls == {name: 2 * count for name, count in once.items()}
    assert min(once.values()) > 2
    assert read(Path("run")) == read(Path("whole"))
    assert not Path("run/answers.partial").exists()
