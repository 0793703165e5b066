"""`unsee methods`: what can be run, where it comes from and what it trains."""

from __future__ import annotations

import argparse
import json

EXAMPLES = """\
examples:
  unsee methods
  unsee methods --json
"""
COLUMNS = ("name", "trains", "touches_language", "fidelity", "source", "summary")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee methods`."""
    parser.epilog = EXAMPLES
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: argparse.Namespace) -> None:
    """Prints the registered methods."""
    from unsee.methods.registry import list_methods

    rows = [{column: getattr(m, column) for column in COLUMNS} for m in list_methods()]
    if args.json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        language = "changes" if row["touches_language"] else "leaves alone"
        print(f"{row['name']}: {row['summary']}")
        print(f"    trains {_words(row['trains'])}; {language} the language model")
        print(f"    {row['source']} ({row['fidelity']})")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
