"""Two processes on CPUs (gloo) make what one process makes with the same batch.

They are started as users start them, by `accelerate launch`; see `together.py` for what they run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import together
import torch

import tiny
from unsee import distributed, sharding
from unsee.data.collate import Filler, PairedCollator, PairedDataset
from unsee.errors import UnseeError
from unsee.methods.registry import list_methods
from unsee.methods.several import PartOfEach, SeveralProcesses
from unsee.methods.steps import StepsOfSides

pytestmark = pytest.mark.usefixtures("compare_in_process")
HERE = Path(__file__).parent
LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
LAUNCH += "--num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no".split()
LAUNCH += "--main_process_port 0".split()
DDP = [*LAUNCH, "--multi_gpu"]
FSDP = [*LAUNCH, "--use_fsdp", "--fsdp_version", "2", "--fsdp_cpu_ram_efficient_loading", "false"]
FSDP += ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]
ENGINES = {"DDP": DDP, "FSDP": FSDP}
OPTIONS = {"batch": 4, "max_steps": 5, "learning_rate": 1e-3, "warmup_steps": 0, "augment": True}
OPTIONS |= {"save_strategy": "no", "lr_scheduler_type": "constant", "logging_steps": 2}
"""Five steps are more than an epoch of eleven pairs, and the last batch of that is not whole."""
TOLERANCE = 5e-5
"""Of weights that move by 5e-3: AdamW divides by the size of a gradient, so that noise about a
gradient of almost 0 shows."""
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "mask": ("vkd", {"mask": "fisher"}),
    "kl": ("vkd", {"output_loss": "kl"}),
    "npo-output": ("vkd", {"output_loss": "npo"}),
    "repel": ("vkd", {"forget_target": "repel"}),
    "other-people": ("vkd", {"forget_target": "other-people"}),
    "pruned": ("vkd", {"forget_target": "pruned", "prune_side": "both"}),
    "vision-lora": ("vkd", {"lora_rank": 2}),
    "lora": ("npo", {"lora_rank": 2, "trainable": "lora"}),
    "dora": ("graddiff", {"lora_rank": 2, "use_dora": True, "save_adapter": "adapter"}),
    "stranger-stop": ("vkd", {"stop_at_strangers": True, "stranger_steps": 2}),
}
"""What else is looked at: name -> (method, options)."""


def plan(names: list[str], **options: Any) -> list[dict[str, Any]]:
    entries = []
    for name in names:
        method, own = MORE.get(name, (name, {}))
        chosen = {**OPTIONS, **own, **options}
        entries.append({"name": name, "method": method, "options": chosen})
    return entries


def start(command: list[str], where: Path, entries: list[dict[str, Any]]) -> str:
    """Runs a plan; gives what was printed."""
    return call([*command, str(HERE / "together.py"), str(where), json.dumps(entries)], where)


def call(words: list[str], where: Path) -> str:
    """Runs a command in a folder; gives what was printed."""
    environment = {**distributed.alone(), "OMP_NUM_THREADS": "1"}
    paths = [str(HERE.parent), *sys.path]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=where)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def where(processing: Any, tmp_path: Path) -> Path:
    tiny.save(tmp_path / "base", tiny.llava(processing), processing)
    return tmp_path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return tiny.weights(folder)


def check_same(where: Path, ours: str, theirs: str) -> None:
    one, other = weights(where / ours), weights(where / theirs)
    assert one and one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=TOLERANCE, msg=name)


def both(where: Path, engine: str, names: list[str]) -> list[dict[str, Any]]:
    """Runs a plan with two processes and with one, into folders `NAME` and `one-NAME`; checks that
    weights and metrics are the same. Gives the metrics of two."""
    entries = plan(names)
    printed = start(ENGINES[engine], where, entries)
    together.main(where, [{**e, "name": f"one-{e['name']}"} for e in entries])
    wrapped = {"DDP": "DistributedDataParallel", "FSDP": "FSDPLlavaForConditionalGeneration"}
    found = []
    for name in names:
        check_same(where, name, f"one-{name}")
        two, one = (
            json.loads((where / folder / "metrics.json").read_text())
            for folder in (name, f"one-{name}")
        )
        assert two.pop("processes") == 2
        for key in two.keys() - {"seconds", "peak_memory_mb"}:
            assert two[key] == pytest.approx(one[key], abs=1e-3), (name, key)
        for rank in range(2):
            if (file := where / f"{name}.{rank}.json").exists():  # not of edits without steps
                seen = json.loads(file.read_text())
                assert seen == {"wrapped": wrapped[engine], "sharded": engine == "FSDP"}
        found.append(two)
    lines = [line for line in printed.splitlines() if "train_loss" in line]
    assert len(lines) <= len(names)  # the first process alone speaks
    return found


def test_two_processes_make_the_weights_of_one(where: Path) -> None:
    both(where, "DDP", ["vkd", "graddiff"])
    before, after = weights(where / "base"), weights(where / "vkd")
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert moved > 50 * TOLERANCE
    logged = [json.loads((where / f"{run}vkd.log.json").read_text()) for run in ("", "one-")]
    assert len(logged[0]) == len(logged[1]) == 3
    for two, one in zip(*logged, strict=True):
        assert two.keys() == one.keys() >= {"forget_loss", "retain_loss"}
        for key in one.keys() - {"train_runtime", "total_flos"}:
            if "_per_second" not in key:
                assert two[key] == pytest.approx(one[key], rel=1e-3, abs=1e-4), key


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_every_method_and_feature(engine: str, where: Path) -> None:
    found = both(where, engine, [*(method.name for method in list_methods()), *MORE])
    assert list(MORE)[-1] == "stranger-stop" and "stranger_auc" in found[-1]
    assert found[-1]["steps"] == 2  # the second process would have gone on


@pytest.mark.slow
def test_resumed_by_another_number_of_processes(where: Path) -> None:
    """One, two, two with shards, in whatever order."""
    cut = {"save_strategy": "steps", "save_steps": 2}
    ours = {"language_share": 0.5}
    runs = {
        "vkd": plan(["vkd"], **cut)[0],
        "two_sided": plan(["two_sided"], **cut, **ours)[0],
        "lora": plan(["lora"], **cut)[0],
    }

    def some(**stops: int | None) -> list[dict[str, Any]]:
        made = []
        for name, stop in stops.items():
            run, _, _ = name.partition("__")
            made.append({**runs[run], "name": name, "stop": stop})
        return made

    together.main(where, some(vkd=None, two_sided=None, lora=None, vkd__a=3, lora__a=3))
    start(DDP, where, some(vkd__a=4, vkd__b=3, two_sided__a=3, lora__b=3))
    start(FSDP, where, some(vkd__a=None, vkd__c=3, two_sided__a=None, lora__b=None))
    together.main(where, some(vkd__b=None, vkd__c=None, lora__a=None))
    for name in ("vkd__a", "vkd__b", "vkd__c", "two_sided__a", "lora__a", "lora__b"):
        check_same(where, name, name.partition("__")[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--fsdp_version", "1"], "FSDP 1 flattens weights"),
        (["--fsdp_cpu_ram_efficient_loading", "true"], "set it to false"),
    ],
)
def test_what_would_go_wrong_is_refused(flags: list[str], said: str, where: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        start([*FSDP, *flags], where, plan(["vkd"]))


@pytest.mark.slow
def test_shipped_configuration_shards_the_command_line(
    where: Path, folders: tuple[Path, Path]
) -> None:
    """On two CPUs in place of eight GPUs."""
    from unsee.configs import HERE as CONFIGS

    name = "8x80gb-fsdp.yaml"
    launch = [*LAUNCH[:4], "--config_file", str(CONFIGS / "accelerate" / name)]
    launch += ["--num_processes", "2", "--main_process_port", "0", "-m", "unsee", "unlearn"]
    options = ["--config", str(CONFIGS / "unlearn" / name), "--use_cpu", "true", "--max_steps", "2"]
    options += ["--model", "base", "--forget", str(folders[0]), "--retain", str(folders[1])]
    printed = call([*launch, *options, "--output", "out"], where)
    assert printed.count("done in") == 1 and "the same to the bit" in printed
    metrics = json.loads((where / "out/metrics.json").read_text())
    assert metrics["processes"] == 2 and metrics["steps"] == 2
    assert weights(where / "out").keys() == weights(where / "base").keys()
    assert not tiny.same_weights(where / "out", where / "base")
    with pytest.raises(AssertionError, match="error: out holds a finished run"):
        call([*launch, *options, "--output", "out"], where)


# ---- without other processes ---------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_parts_of_a_batch_are_all_of_it(processes: int) -> None:
    from torch.utils.data import BatchSampler, SequentialSampler

    batches = BatchSampler(SequentialSampler(range(13)), 6, drop_last=False)
    parts = [list(PartOfEach(batches, number, processes)) for number in range(processes)]
    assert {len(part) for part in parts} == {len(batches)} == {3}
    for index, batch in enumerate(batches):
        shares = [part[index] for part in parts]
        real = [i for share in shares for i in share if not isinstance(i, Filler)]
        assert real == batch and all(shares)


def test_filler_is_told_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = PairedDataset([{"image": 0}], [{"image": 1}, {"image": 2}])
    collate = PairedCollator(lambda examples: {"images": [e["image"] for e in examples]})
    assert "filler" not in collate([pairs[0]])
    assert collate([pairs[Filler(1)]])["filler"] and pairs[Filler(1)]["retain"] == {"image": 2}
    trainer = SeveralProcesses()
    assert trainer.share(3) == 1.0 and float(trainer.overall(torch.tensor([1.0, 2.0]))) == 1.5
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "total", lambda *numbers: [n + 6.0 for n in numbers])
    assert trainer.share(2) == pytest.approx(2 * 2 / 8)
    trainer.counts = False
    assert trainer.share(2) == 0.0 and trainer.share(2, drawn=True) == pytest.approx(0.5)


class Accelerated:
    """The least of a `Trainer` that asks for DeepSpeed."""

    def __init__(self, stage: int, processes: int = 2, accumulation: int = 1) -> None:
        plugin = SimpleNamespace(zero_stage=stage)
        state = SimpleNamespace(deepspeed_plugin=plugin)
        self.accelerator = SimpleNamespace(state=state, num_processes=processes)
        self.is_deepspeed_enabled, self.is_fsdp_enabled = stage > 0, False
        self.args = SimpleNamespace(
            ddp_find_unused_parameters=None, gradient_accumulation_steps=accumulation
        )

    def create_accelerator_and_postprocess(self) -> None:
        """As `Trainer` calls it; the accelerator is there already."""


def test_zero_3_is_refused_and_zero_2_is_not() -> None:
    class Trainer(SeveralProcesses, Accelerated):
        pass

    Trainer(stage=2).create_accelerator_and_postprocess()
    with pytest.raises(UnseeError, match="ZeRO-3 shards weights.*zero_stage 1 or 2"):
        Trainer(stage=3).create_accelerator_and_postprocess()


@pytest.mark.parametrize(
    "stage, processes, accumulation, refused",
    [(2, 2, 1, True), (0, 2, 4, True), (0, 2, 1, False), (2, 1, 1, False), (0, 1, 4, False)],
)
def test_mask_is_refused_where_gradients_are_not_whole(
    stage: int, processes: int, accumulation: int, refused: bool
) -> None:
    class Trainer(StepsOfSides, Accelerated):
        uses, masked_sides = ("forget",), ("forget",)

    trainer, mask = Trainer(stage, processes, accumulation), {"w": torch.tensor([True, False])}
    if refused:
        with pytest.raises(UnseeError, match="gradient_accumulation_steps=1, and DDP or FSDP"):
            trainer.confine(mask)
    else:
        trainer.confine(mask)
        assert trainer.trained_parameters == 1


def test_skeleton_keeps_ties_and_takes_no_room() -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    other.weight = one.weight
    model = torch.nn.Sequential(one, other)
    bones = sharding.skeleton(model)
    assert {p.device.type for p in bones.parameters()} == {"meta"}
    assert bones[0].weight is bones[1].weight and len(list(bones.parameters())) == 3
    sharding.fill(bones, model, keep=True)
    assert bones[0].weight is bones[1].weight
    assert all(
        torch.equal(a, b) for a, b in zip(bones.parameters(), model.parameters(), strict=True)
    )


def test_first_process_decides_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed as dist

    def refuse() -> None:
        raise UnseeError("the folder holds something else")

    with pytest.raises(UnseeError, match="something else"):
        distributed.on_first(refuse)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")

    def broadcast(box: list[Any], src: int) -> None:
        box[0] = (None, "the folder holds something else")

    monkeypatch.setattr(dist, "broadcast_object_list", broadcast)
    with pytest.raises(UnseeError, match="something else"):
        distributed.on_first(lambda: pytest.fail("only the first does it"))
    assert distributed.alone().keys().isdisjoint({"RANK", "WORLD_SIZE"})
    with pytest.raises(UnseeError, match="2 processes were started and are not connected"):
        distributed.check_launched()
