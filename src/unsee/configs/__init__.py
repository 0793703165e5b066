"""Configurations for common machines: `accelerate/NAME.yaml` for the launcher, `unlearn/NAME.yaml`
for `unsee unlearn --config`, and what they are thought for.

    python -m unsee.configs docs/results/configurations.json

writes the memory that `unsee estimate` computes for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Machine:
    """One configuration.

    Attributes:
        name: of both files.
        gigabytes: memory of a GPU, 10^9 bytes.
        models: names on the hub that it is estimated for.
        shard: see `unsee.estimate.memory.SHARDS`.
    """

    name: str
    gigabytes: int
    models: tuple[str, ...]
    shard: str = "ddp"

    def read(self, kind: str) -> dict[str, Any]:
        """The file in `accelerate/` or `unlearn/`."""
        import yaml

        return dict(yaml.safe_load((HERE / kind / f"{self.name}.yaml").read_text()))


LLAVA_7B, LLAVA_13B = "llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-13b-hf"
MACHINES = (
    Machine("1x24gb", 24, (LLAVA_7B,)),
    Machine("1x80gb", 80, (LLAVA_7B, LLAVA_13B)),
    Machine("8x80gb-fsdp", 80, (LLAVA_7B, LLAVA_13B), "fsdp"),
    Machine("8x80gb-zero2", 80, (LLAVA_7B, LLAVA_13B), "zero2"),
)


def estimates() -> Iterator[dict[str, Any]]:
    """What each configuration takes on each GPU, with each of its models."""
    from unsee.estimate.memory import Plan, estimate
    from unsee.estimate.published import config_of

    for machine in MACHINES:
        options = machine.read("unlearn")
        plan = Plan(
            method=options["method"],
            bf16=options["bf16"],
            batch_size=options["per_device_train_batch_size"],
            gradient_checkpointing=options.get("gradient_checkpointing", False),
            processes=machine.read("accelerate")["num_processes"],
            shard=machine.shard,
        )
        for model in machine.models:
            made = estimate(config_of(model), plan, model).as_dict()
            yield {
                "configuration": machine.name,
                "gigabytes": machine.gigabytes,
                "model": model,
                "processes": plan.processes,
                "batch": plan.batch_size,
                "checkpointing": plan.gradient_checkpointing,
                "peak": made["total"],
            }
