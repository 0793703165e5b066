"""The configurations that are shipped are what the launcher and `unsee unlearn` take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unsee.configs import HERE, MACHINES, Machine, estimates

ROOT = Path(__file__).parents[2]
each_machine = pytest.mark.parametrize("machine", MACHINES, ids=[m.name for m in MACHINES])


def test_every_file_is_listed() -> None:
    for kind in ("accelerate", "unlearn"):
        found = {path.stem for path in (HERE / kind).glob("*.yaml")}
        assert found == {machine.name for machine in MACHINES}


@each_machine
def test_launcher_reads_it(machine: Machine) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(HERE / "accelerate" / f"{machine.name}.yaml"))
    assert read.num_processes == (1 if machine.shard == "ddp" else 8)
    assert read.mixed_precision == "bf16"
    kinds = {"ddp": "NO", "fsdp": "FSDP", "zero2": "DEEPSPEED"}
    assert read.distributed_type == kinds[machine.shard]
    if machine.shard == "fsdp":
        assert read.fsdp_config["fsdp_version"] == 2
        assert read.fsdp_config["fsdp_cpu_ram_efficient_loading"] is False
    if machine.shard == "zero2":
        assert read.deepspeed_config["zero_stage"] == 2


@each_machine
def test_unlearn_reads_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from unsee.cli.unlearn import parse

    words = "--model M --forget F --retain R --output out --use_cpu true".split()
    file = HERE / "unlearn" / f"{machine.name}.yaml"
    args = parse(["--config", str(file), *words], "unsee unlearn")
    expected: dict[str, Any] = machine.read("unlearn")
    assert args.method == expected.pop("method")
    assert {name: args.options[name] for name in expected} == expected


def test_estimates_of_the_docs_are_those_of_the_package() -> None:
    stored = json.loads((ROOT / "docs/results/configurations.json").read_text())
    asked = [(m.name, model) for m in MACHINES for model in m.models]
    assert [(row["configuration"], row["model"]) for row in stored] == asked
    assert all(row["peak"] + 1e9 < row["gigabytes"] * 1e9 for row in stored)
    again = next(estimates())
    assert again.pop("peak") == pytest.approx(stored[0].pop("peak"), rel=0.1)
    assert again == stored[0]
