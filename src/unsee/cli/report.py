"""`unsee report`: one page about runs that are there already."""

from __future__ import annotations

import argparse
import json
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
    from unsee.report.runs import GOLD, VANILLA, read_run

    runs = []
    for word in args.runs:
        name, _, path = word.rpartition("=")
        folder = Path(path)
        inner = sorted(p.parent for p in folder.glob("*/metrics.json"))
        found = [folder] if (folder / "metrics.json").exists() or not inner else inner
        runs += [read_run(one, name or None) for one in found]
    curves = None
    if args.relearning:
        try:
            curves = json.loads(Path(args.relearning).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnseeError(f"{args.relearning} can't be read: {error}") from error
    about = next((r for r in runs if r.name not in (VANILLA, GOLD)), runs[0]).config
    if not about.get("forget"):
        raise UnseeError("the runs do not say who was to be forgotten: make them by unsee evaluate")
    first = Path(args.runs[0].rpartition("=")[2])
    show(runs, about["forget"], args.output or first / "report.html", curves)


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
