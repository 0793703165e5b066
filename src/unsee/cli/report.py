"""`unsee report`: one page about runs that are there already."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from unsee.report.runs import Run

EXAMPLES = """\
examples:
  unsee report runs/demo
  unsee report runs/demo --relearning runs/relearning.json
  unsee report vanilla=runs/evaluate/original runs/evaluate/out gold=runs/evaluate/gold-test

A folder is a run of `unsee evaluate`, or holds runs, as runs/demo does. Runs are called by their
folder's name, or name=folder; `vanilla` and `gold` are what the first of the others is compared
with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee report`."""
    parser.epilog = EXAMPLES
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder, or name=folder")
    parser.add_argument("--relearning", help="result file of `unsee attack relearn`")
    parser.add_argument("--output", help="HTML file (default: report.html in the first folder)")


def run(args: argparse.Namespace) -> None:
    """Reads the runs, writes the page, prints the table."""
    from unsee.errors import UnseeError
    from unsee.report.relearning import read_relearning
    from unsee.report.runs import read_run

    runs = []
    for word in args.runs:
        name, _, path = word.rpartition("=")
        folder = Path(path)
        inner = sorted(p.parent for p in folder.glob("*/metrics.json"))
        found = [folder] if (folder / "metrics.json").exists() or not inner else inner
        runs += [read_run(one, name or None) for one in found]
    curves = read_relearning(Path(args.relearning)) if args.relearning else None
    forget = _same_questions(runs)
    output = Path(args.output or Path(args.runs[0].rpartition("=")[2]) / "report.html")
    if output.is_dir():
        raise UnseeError(f"{output} is a folder: name an HTML file")
    try:
        show(runs, forget, output, curves)
    except OSError as error:
        raise UnseeError(f"{output} can't be written: {error.strerror}") from error


def _same_questions(runs: Sequence[Run]) -> list[int]:
    """Who was to be forgotten, the same in all runs.

    Raises:
        UnseeError: the runs were asked different questions, or two have the same name.
    """
    from unsee.errors import UnseeError

    if len({run.name for run in runs}) < len(runs):
        raise UnseeError("two runs have the same name: say name=folder")
    first = runs[0]
    for run in runs:
        forget = run.config.get("forget")
        if not isinstance(forget, list) or not all(isinstance(p, int) for p in forget):
            raise UnseeError(
                f"the run {run.name} does not say which drawn people were to be forgotten: make it "
                "with `unsee evaluate`"
            )
        for key in ("forget", "seed", "pictures", "per_person"):
            if run.config.get(key) != first.config.get(key):
                raise UnseeError(
                    f"{first.name} and {run.name} were asked different questions ({key}): evaluate "
                    "them alike"
                )
    return list(first.config["forget"])


def show(
    runs: Sequence[Run],
    forget: Sequence[int],
    output: str | Path,
    relearning: dict[str, Any] | None = None,
) -> None:
    """Writes the page about runs on the embedded benchmark and prints the table."""
    from unsee.data.faces.benchmark import person_of, view_of
    from unsee.data.faces.drawing import draw
    from unsee.data.records import PictureKey
    from unsee.report.page import write_report
    from unsee.report.table import comparison

    def picture_of(key: str) -> np.ndarray:
        person, renders, index = key[1:].split("-")
        found = PictureKey(int(person), renders, int(index))
        return draw(person_of(found.person), view_of(found), 192)

    rows = [row for run in runs for row in run.rows]
    retained = list(dict.fromkeys(row["person"] for row in rows if row["group"] == "retain"))
    output = Path(output)
    write_report(output, runs, picture_of, forget, retained, relearning=relearning)
    print(comparison(runs, "gold" if any(run.name == "gold" for run in runs) else None))
    print(f"report: {output}")
