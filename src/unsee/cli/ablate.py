"""`unsee ablate`: which ingredients of VKD earn their place, on validation people."""

from __future__ import annotations

import argparse
from pathlib import Path

INTERRUPTED = "run the same command again: the rows that are finished are kept"

EXAMPLES = """\
examples:
  unsee faces train --seed 0 --models vanilla,gold-validation --output runs/models
  unsee ablate --models runs/models --seeds 0
  unsee ablate --models runs/models --seeds 0,1,2 --output docs/results/ablation.json
  unsee ablate --models runs/models --seeds 0 --only "target: k-same,mask: fisher of features"

The first seed screens every variant; the others confirm the best eight. Validation people and
pictures alone are looked at. Rows are appended; the same command goes on where it was cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee ablate`."""
    parser.epilog = EXAMPLES
    parser.add_argument("--models", default="runs/models", help="folder of `unsee faces train`")
    parser.add_argument("--seeds", default="0", help="seeds such as 0,1,2 (default: 0)")
    parser.add_argument(
        "--only", default="", help="variants, separated by commas, or a group: on the person"
    )
    parser.add_argument("--jobs", type=int, default=1, help="variants at a time (default: 1)")
    parser.add_argument(
        "--output", default="runs/ablation.json", help="result file (default: runs/ablation.json)"
    )


def run(args: argparse.Namespace) -> None:
    """Runs what is missing and prints the table."""
    from unsee.cli.options import at_least, numbers
    from unsee.data.faces.benchmark import Faces
    from unsee.report.blocks import ablation_table
    from unsee.studies.ablate import ablate
    from unsee.studies.variants import named

    seeds = numbers("--seeds", args.seeds)
    only = named(args.only)
    at_least(1, jobs=args.jobs)
    ledger = ablate(Path(args.models), Path(args.output), Faces(), seeds, only, jobs=args.jobs)
    print(ablation_table({"rows": ledger.rows}))
    print(f"written to {args.output}")
