"""`unsee compare`: methods side by side, a leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path

INTERRUPTED = "run the same command again: the rows that are finished are kept"

EXAMPLES = """\
examples:
  unsee compare vkd graddiff --people demo      with the shipped models
  unsee faces train --seed 0 --models vanilla,gold-test,gold-test@1 --output runs/models
  unsee compare all --models runs/models --jobs 2
  unsee compare vkd two_sided --models runs/models --seeds 0,1,2 --keep runs/unlearned
  unsee compare all --models runs/models --percent 15 --output runs/leaderboard-15

Every method is run with the settings that `unsee tune` chose for it on validation people (those
that come with unsee, or a folder of your own), else with its defaults. OUTPUT gets
leaderboard.json, .md and .html, written anew after every row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee compare`."""
    parser.epilog = EXAMPLES
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="see `unsee methods`, or all")
    parser.add_argument("--models", default="runs/models", help="folder of `unsee faces train`")
    parser.add_argument("--seeds", default="0", help="seeds such as 0,1,2 (default: 0)")
    parser.add_argument(
        "--people", choices=["test", "validation", "demo"], default="test", help="who is forgotten"
    )
    parser.add_argument(
        "--percent", type=int, choices=[5, 10, 15], default=5, help="of the known people"
    )
    parser.add_argument("--settings", metavar="DIR", help="METHOD.yaml files of `unsee tune`")
    parser.add_argument(
        "--defaults", action="store_true", help="the methods' defaults, whatever was tuned"
    )
    parser.add_argument("--keep", metavar="DIR", help="folder for the checkpoints")
    parser.add_argument("--jobs", type=int, default=1, help="methods at a time (default: 1)")
    parser.add_argument(
        "--output", default="runs/leaderboard", help="folder (default: runs/leaderboard)"
    )


def run(args: argparse.Namespace) -> None:
    """Measures what is missing and writes the leaderboard."""
    from unsee.cli.options import at_least, methods_of, numbers
    from unsee.data.faces.benchmark import Faces
    from unsee.errors import UnseeError
    from unsee.report.leaderboard import write_leaderboard
    from unsee.studies.compare import compare
    from unsee.studies.ledger import Ledger
    from unsee.studies.settings import FOLDER, read_settings

    at_least(1, jobs=args.jobs)
    if args.percent != 5 and args.people == "demo":
        raise UnseeError("--percent: the demo people are five percent")
    if args.settings and args.defaults:
        raise UnseeError("--settings and --defaults: say one of them")
    if args.settings and not Path(args.settings).is_dir():
        raise UnseeError(f"--settings {args.settings} is no folder")
    settings = {} if args.defaults else read_settings(Path(args.settings or FOLDER))
    output = Path(args.output)

    def write(ledger: Ledger) -> None:
        write_leaderboard(output, ledger.rows, args.percent)

    ledger = compare(
        Path(args.models),
        output / "leaderboard.json",
        Faces(),
        methods_of(args.methods),
        numbers("--seeds", args.seeds),
        args.people,
        args.percent,
        settings,
        Path(args.keep) if args.keep else None,
        say=lambda line: print(line, flush=True),
        jobs=args.jobs,
        done=write,
    )
    print(write_leaderboard(output, ledger.rows, args.percent))
    print(f"written to {output}/leaderboard.md, .html and .json")
