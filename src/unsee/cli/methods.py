"""`unsee methods`: what can be run, where it comes from and what it trains."""

from __future__ import annotations

import argparse
import json

EXAMPLES = """\
examples:
  unsee methods
  unsee methods --json
"""
COLUMNS = (
    *("name trains supports touches_language runs_language edits".split()),
    *("fidelity source summary".split()),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee methods`."""
    parser.epilog = EXAMPLES
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: argparse.Namespace) -> None:
    """Prints the registered methods."""
    from unsee.methods.registry import NOT_BUILT, list_methods

    rows = [{column: getattr(m, column) for column in COLUMNS} for m in list_methods()]
    if args.json:
        print(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        language = "changes" if row["touches_language"] else "leaves alone"
        print(f"{row['name']}: {row['summary']}")
        verb = "edits" if row["edits"] else "trains"
        also = [what for what in row["supports"] if what != row["trains"]]
        other = f" (or {', '.join(also)})" if also else ""
        print(f"    {verb} {_words(row['trains'])}{other}; {language} the language model")
        print(f"    {row['source']} ({row['fidelity']})")
    for name, why in NOT_BUILT.items():
        print(f"not built, {name}: {why}")


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
