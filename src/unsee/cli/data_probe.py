"""`unsee data probe`: what a model says of pictures, as records that `unsee unlearn` takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unsee.cli.options import add_loading, at_least, loading_of

EXAMPLES = """\
examples:
  unsee data probe --model M ./him --output him.jsonl
  unsee data probe --model M ./him --output him.jsonl --question "Who is this person?"
  unsee unlearn --model M --method graddiff --forget him.jsonl --retain others.jsonl --output out
the same command goes on where it was interrupted"""


def add_probe(commands: Any) -> None:
    """Declares `unsee data probe` and its options."""
    parser = commands.add_parser(
        "probe",
        help="ask a model about your pictures and record its answers",
        description="Asks a model about every picture and writes a JSON line an answer: image,\n"
        "question, answer. That is the state before unlearning, and what methods that need\n"
        "questions take. Questions: --question, else the picture's own, else general ones.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("pictures", metavar="DATA", help="pictures, in any form of unsee unlearn")
    parser.add_argument("--model", required=True, help="a folder or a name on the hub")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.jsonl")
    parser.add_argument(
        "--question",
        action="append",
        metavar="WORDS",
        help="ask this of every picture; may be given several times",
    )
    parser.add_argument(
        "--max-new-tokens", type=int, default=32, metavar="N", help="longest answer (default: 32)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="questions at once (default: 16)"
    )
    add_loading(parser)


def run_probe(args: argparse.Namespace) -> None:
    """Asks what is not answered yet.

    Raises:
        UnseeError: wrong use, or a file that holds something else.
    """
    import sys

    at_least(1, max_new_tokens=args.max_new_tokens, batch_size=args.batch_size)
    from unsee.checkpoints import check_loadable, load
    from unsee.data.own import read_own
    from unsee.data.probing import Record, probe

    how = loading_of(args)
    check_loadable(args.model, **how)
    pictures = read_own(args.pictures)
    record = Record(args.output, args.model)
    for line in pictures.warnings():
        print(f"unsee: warning: {line}", file=sys.stderr)
    asked = record.missing(pictures, args.question)
    if asked:
        model, processor = load(args.model, **how)
        limits = args.batch_size, args.max_new_tokens
        probe(model, processor, pictures, asked, record, *limits)
    count, there = len(asked) + record.kept, record.kept
    print(f"{args.output}: {count} answers about {len(pictures)} pictures, {there} of them there")
    if record.silent:
        print(f"{record.silent} questions were answered with nothing: those rows hold no answer")
