"""`unsee data`: pictures of one's own, and benchmarks in the formats that others' code reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from unsee.cli.data_check import add_check, run_check
from unsee.cli.data_probe import add_probe, run_probe

EXAMPLES = """\
examples:
  unsee data check --forget ./him --retain ./others
  unsee data probe --model M ./him --output him.jsonl
  unsee data export --output mllmu              the drawn people in MLLMU-Bench's parquet schema
  unsee data export --output small --pictures 5 --test-pictures 2
  unsee data export --seed 1 --output mllmu-1   other people to forget

  >>> datasets.load_dataset("mllmu", "forget_5", split="train")
"""
INTERRUPTED = "run the same command again: a probe goes on, anything else begins anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    parser.epilog = EXAMPLES
    commands = parser.add_subparsers(dest="action", required=True, metavar="check|probe|export")
    add_check(commands)
    add_probe(commands)
    export = commands.add_parser(
        "export",
        help="write a benchmark into a new folder",
        description="Write a benchmark into a new folder.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    export.add_argument(
        "--benchmark", choices=["faces"], default="faces", help="what to export (default: faces)"
    )
    export.add_argument(
        "--format", choices=["mllmu"], default="mllmu", help="whose schema (default: mllmu)"
    )
    export.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="a folder that is new or empty"
    )
    export.add_argument(
        "--seed", type=int, default=0, help="whose test people are to be forgotten (default: 0)"
    )
    export.add_argument(
        "--size", type=_positive, default=64, help="width of the pictures in pixels (default: 64)"
    )
    export.add_argument(
        "--pictures", type=_positive, metavar="N", help="training pictures a person (default: all)"
    )
    export.add_argument(
        "--test-pictures", type=_positive, metavar="N", help="test pictures a person (default: all)"
    )


def run(args: argparse.Namespace) -> int | None:
    """Does what was asked for; the export prints its folder.

    Raises:
        UnseeError: wrong use, or the output folder of an export holds something already.
    """
    if args.action == "check":
        return run_check(args)
    if args.action == "probe":
        run_probe(args)
        return None
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.export import forget_ids, profiles
    from unsee.data.mllmu import export_mllmu, require_free

    require_free(args.output)  # before minutes of drawing
    people = list(profiles(Faces(size=args.size), args.pictures, args.test_pictures))
    files = export_mllmu(people, forget_ids(args.seed), args.output)
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    print(f"{args.output}: {len(people)} people, {len(files)} tables, {megabytes:.1f} MB")
    return None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
