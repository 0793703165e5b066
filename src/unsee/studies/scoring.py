"""How much faster scoring is than asking one question at a time, and whether it answers the same.

    python -m unsee.studies.scoring docs/results/scoring.json [MODEL]

MODEL is the shipped vanilla unless another is given. Ways take turns in one process, so that a busy
machine is busy for all, on the same questions of the demo: all answers of the first way are kept
and those of the others compared with them, text by text. The speed-up is a ratio of medians.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from unsee.studies.command import command
from unsee.studies.ledger import Ledger

WAYS: dict[str, dict[str, Any]] = {
    "one by one": {"batch_size": 1, "share": False},
    "in batches": {"share": False},
    "in batches, sharing": {},
}
"""Arguments of `answer` and `option_log_likelihoods`; the last way is their default."""
REPEATS = 3
PER_PERSON = 2
"""Pictures of each person to forget; see `Faces.evaluation`."""
WEIGHED = 120
"""Questions whose options are weighed."""


def scoring(
    source: str, output: Path, repeats: int = REPEATS, per_person: int = PER_PERSON
) -> Ledger:
    """Measures what is missing from the result file.

    Args:
        source: checkpoint that is asked.
        output: result file; a row a way and repeat.
        repeats: how often each way is measured.
        per_person: pictures of each person to forget.
    """
    import torch

    from unsee.checkpoints import load
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import make_split
    from unsee.evaluation.answering import answer, option_log_likelihoods

    about = {"study": "scoring", "threads": torch.get_num_threads()}
    ledger = Ledger(output, about, ("way", "repeat"))
    checkpoint = ledger.same_model("the model", source)
    missing = [r for r in range(repeats) if not all(ledger.find(way=w, repeat=r) for w in WAYS)]
    if not missing:
        return ledger
    faces = Faces()
    questions = faces.evaluation(make_split("demo"), per_person=per_person)
    faces.prepare({(q.picture.person, q.picture.split) for q in questions if q.picture is not None})
    weighed = [q for q in questions if q.options][:WEIGHED]
    model, processor = load(source)
    for way in WAYS.values():  # nothing is timed that is slow only once
        answer(model, processor, questions[:2], faces.picture, progress=False, **way)
    for repeat in missing:
        first: tuple[list[str], list[list[float]]] | None = None
        for name, way in WAYS.items():
            begin = time.perf_counter()
            said = answer(model, processor, questions, faces.picture, progress=False, **way)
            middle = time.perf_counter()
            weights = option_log_likelihoods(
                model, processor, weighed, faces.picture, progress=False, **way
            )
            end = time.perf_counter()
            first = first or (said, weights)
            row = {
                "way": name,
                "repeat": repeat,
                "checkpoint": checkpoint,
                "questions": len(questions),
                "pictures": len({q.picture for q in questions if q.picture is not None}),
                "options": sum(len(q.options) for q in weighed),
                "seconds": round(middle - begin, 3),
                "seconds_of_options": round(end - middle, 3),
                "answers_that_differ": sum(a != b for a, b in zip(said, first[0], strict=True)),
                "options_differ_by": round(_largest(weights, first[1]), 7),
            }
            ledger.add(row)
            print(f"{repeat} {name}: {row['seconds']} s, {row['seconds_of_options']} s", flush=True)
    return ledger


def _largest(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> float:
    return max(
        abs(a - b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def speed_ups(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line a way: medians of seconds, and how many times faster than the first way that is."""
    lines: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["way"] for row in rows):
        of_way = [row for row in rows if row["way"] == name]
        line: dict[str, Any] = {"way": name, "repeats": len(of_way)}
        for key in ("seconds", "seconds_of_options"):
            line[key] = median(row[key] for row in of_way)
            line[f"{key}/times"] = (lines[0][key] if lines else line[key]) / line[key]
        for key in ("questions", "options", "pictures", "answers_that_differ", "options_differ_by"):
            line[key] = max(row[key] for row in of_way)
        lines.append(line)
    return lines


def _main(output: str, source: str | None = None) -> None:
    from unsee.models.shipped import shipped_path

    scoring(source or str(shipped_path("seed0/vanilla")), Path(output))


if __name__ == "__main__":
    command(__doc__, 1, _main)
