"""What `unsee estimate` says of the models whose configuration is in the package.

    python -m unsee.studies.estimates docs/results/estimates.json

Two pictures of each side, bfloat16, autocast, gradient checkpointing, one GPU.
"""

from __future__ import annotations

import json
from pathlib import Path

from unsee.studies.command import command

METHODS = (("vkd", ""), ("graddiff", "vision+projector"), ("graddiff", "all"))


def estimates(output: Path) -> None:
    """Estimates every published model whose family is known, with each of `METHODS`."""
    from unsee.anatomy import families
    from unsee.estimate.memory import Plan, estimate
    from unsee.estimate.published import config_of, published
    from unsee.evaluation.runs import write_text

    rows = []
    configs = {name: config_of(name) for name in published()}
    known = {name: c for name, c in configs.items() if c.model_type in families()}
    for name, config in sorted(known.items(), key=lambda item: item[0].lower(), reverse=True):
        for method, trainable in METHODS:
            plan = Plan(
                method=method,
                trainable=trainable,
                dtype="bfloat16",
                bf16=True,
                batch_size=2,
                gradient_checkpointing=True,
            )
            rows.append(estimate(config, plan, name).as_dict())
    write_text(output, json.dumps(rows, indent=1) + "\n")


def _main(output: str) -> None:
    estimates(Path(output))


if __name__ == "__main__":
    command(__doc__, 1, _main)
