"""What unlearning costs: seconds, peak memory and trained parameters, side by side.

    python -m unsee.studies.costs MODEL docs/results/costs.json

Every run is a process of its own, so that memory is its own; methods take turns, so that a busy
machine is busy for all. Tables quote ratios of medians, for absolute times are the machine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from unsee.studies.command import command
from unsee.studies.ledger import Ledger

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "vkd, W not run": ("vkd", {}),
    "vkd, with losses on answers": ("vkd", {"output_loss": "ce", "output_weight": 0.1}),
    "two_sided": ("two_sided", {}),
    "graddiff, all parts": ("graddiff", {}),
    "graddiff, vision and projector": ("graddiff", {"trainable": "vision+projector"}),
}
STEPS = 50
REPEATS = 5


def measure(source: str, method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a method for `STEPS` steps on the validation people; nothing is asked or saved."""
    import torch

    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import make_split
    from unsee.studies.trial import train

    _, cost, trainer, _ = train(
        source, method, {"max_steps": STEPS, **options}, Faces(), make_split("validation")
    )
    return {
        "seconds": round(cost.seconds, 3),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
        "trained_parameters": trainer.trained_parameters,
        "threads": torch.get_num_threads(),
    }


def costs(source: str, output: Path, repeats: int = REPEATS) -> Ledger:
    """Measures what is missing from the result file."""
    ledger = Ledger(output, {"study": "costs", "steps": STEPS}, ("run", "repeat"))
    for repeat in range(repeats):
        for name, (method, options) in RUNS.items():
            if ledger.find(run=name, repeat=repeat):
                continue
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found = pool.submit(measure, source, method, options).result()
            ledger.add({"run": name, "repeat": repeat, **found})
            print(f"{name}: {found['seconds']:.1f} s, {found['peak_memory_mb']:.0f} MB", flush=True)
    return ledger


def medians(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line a run: medians, and their ratios to those of the first run."""
    lines: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["run"] for row in rows):
        of_name = [row for row in rows if row["run"] == name]
        line: dict[str, Any] = {"run": name, "repeats": len(of_name)}
        for key in ("seconds", "peak_memory_mb", "trained_parameters"):
            line[key] = median(row[key] for row in of_name)
            line[f"{key}/ratio"] = line[key] / (lines[0][key] if lines else line[key])
        lines.append(line)
    return lines


def _main(source: str, output: str) -> None:
    costs(source, Path(output))


if __name__ == "__main__":
    command(__doc__, 2, _main)
