"""`unsee tune`: settings of methods, by trials on validation people."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

OUTPUT, SETTINGS = "runs/tuning.json", "runs/settings"
INTERRUPTED = "run the same command again: the trials that are finished are kept"

EXAMPLES = """\
examples:
  unsee faces train --seed 0 --models vanilla,gold-validation --output runs/models
  unsee tune npo --models runs/models
  unsee tune all --models runs/models --seeds 0,1 --jobs 2
  unsee tune npo --people demo --trials 2        with the shipped models: to look at the command

The first trial is the defaults, then Optuna proposes; the criterion is the gap to gold. SETTINGS
gets a METHOD.yaml for each method, which `unsee compare --settings` takes (and `unsee unlearn
--config`, for methods that need no questions)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee tune`."""
    parser.epilog = EXAMPLES
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="see `unsee methods`, or all")
    parser.add_argument("--models", default="runs/models", help="folder of `unsee faces train`")
    parser.add_argument("--seeds", default="0", help="seeds such as 0,1,2 (default: 0)")
    parser.add_argument("--trials", type=int, default=8, help="of each method (default: 8)")
    parser.add_argument(
        "--people", choices=["validation", "demo"], default="validation", help="who is forgotten"
    )
    parser.add_argument("--jobs", type=int, default=1, help="methods at a time (default: 1)")
    parser.add_argument("--output", default=OUTPUT, help=f"result file (default: {OUTPUT})")
    parser.add_argument(
        "--settings", default=SETTINGS, help=f"folder for the YAML (default: {SETTINGS})"
    )


def run(args: argparse.Namespace) -> None:
    """Makes the trials that are missing and writes the settings."""
    from unsee.cli.options import at_least, methods_of, numbers
    from unsee.data.faces.benchmark import Faces
    from unsee.errors import UnseeError
    from unsee.evaluation.runs import write_text
    from unsee.studies.settings import settings_text
    from unsee.studies.tune import best, trials_of, tune

    at_least(1, trials=args.trials, jobs=args.jobs)
    if Path(args.settings).exists() and not Path(args.settings).is_dir():
        raise UnseeError(f"--settings {args.settings} is no folder")
    methods, seeds = methods_of(args.methods), numbers("--seeds", args.seeds)
    ledger = tune(
        Path(args.models),
        Path(args.output),
        Faces(),
        methods,
        seeds,
        args.trials,
        args.people,
        say=lambda line: print(line, flush=True),
        jobs=args.jobs,
    )
    for method in methods:
        try:
            found = best(ledger.rows, method)
        except UnseeError as error:
            print(f"{error}: no settings are written")
            continue
        words = ["unsee", "tune", method, "--models", args.models, "--seeds", args.seeds]
        words += ["--trials", str(args.trials)]
        words += [] if args.people == "validation" else ["--people", args.people]
        words += [] if args.output == OUTPUT else ["--output", args.output]
        words += [] if args.settings == SETTINGS else ["--settings", args.settings]
        tried = len(trials_of(ledger.rows, method))
        state = ", broken" if found["broken"] else ""
        remarks = [
            shlex.join(words),
            f"gap to gold {found['gold_gap']:.1f} points{state} on {args.people} people; "
            f"trial {found['trial'] + 1} of {tried}",
        ]
        file = Path(args.settings) / f"{method}.yaml"
        write_text(file, settings_text(method, found["options"], remarks))
        print(f"{remarks[1]}: {file}")
