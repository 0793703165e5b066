"""`unsee data check`: what is in pictures that are to be forgotten or kept, and what is broken."""

from __future__ import annotations

import argparse
from typing import Any

from unsee.errors import UnseeError

EXAMPLES = """\
examples:
  unsee data check ./him
  unsee data check --forget him.jsonl --retain ./others
  unsee data check --forget ./him --retain ./others --json
exit status: 0, or 2 where a picture or row is broken, or is both to be forgotten and to be kept"""


def add_check(commands: Any) -> None:
    """Declares `unsee data check` and its options."""
    parser = commands.add_parser(
        "check",
        help="what is in your pictures, and what is broken",
        description="Reads pictures in any form that `unsee unlearn` takes (docs/own-pictures.md):"
        "\npeople, formats, broken files with their lines; between forget and retain, what is in\n"
        "both, what looks alike, and whether there is enough to retain.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("sources", nargs="*", metavar="DATA", help="pictures to look at")
    parser.add_argument("--forget", metavar="DATA", help="pictures of the people to forget")
    parser.add_argument("--retain", metavar="DATA", help="pictures of other people, to be kept")
    parser.add_argument("--json", action="store_true", help="for programs")


def run_check(args: argparse.Namespace) -> int:
    """Prints what was found; 2 where something is broken.

    Raises:
        UnseeError: nothing to look at, or a source of no known form.
    """
    import json

    from unsee.data import checking
    from unsee.data.own import read_own

    sides = {side: source for side in ("forget", "retain") if (source := vars(args)[side])}
    if not args.sources and not sides:
        raise UnseeError("give pictures to look at: a folder, or --forget and --retain")
    sets = {source: read_own(source, True) for source in dict.fromkeys(args.sources)}
    of_side = {side: read_own(source, True) for side, source in sides.items()}
    found: dict[str, Any] = {"sources": {n: checking.described(s) for n, s in sets.items()}}
    found |= {side: checking.described(pictures) for side, pictures in of_side.items()}
    if len(of_side) == 2:
        found["between"] = checking.compared(of_side["forget"], of_side["retain"])
    parts = [*found["sources"].values(), *(found[side] for side in of_side)]
    found["ok"] = not any(map(checking.is_broken, [*parts, found.get("between", {})]))
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0 if found["ok"] else 2
    lines = [line for n, part in found["sources"].items() for line in checking.told(n, part)]
    for side in of_side:
        lines += checking.told(f"{side} {sides[side]}", found[side])
    if "between" in found:
        lines += checking.told_between(found["between"])
    broken = sum(len(part["broken"]) for part in parts)
    both = len(found.get("between", {}).get("same", ()))
    lines.append("nothing is broken" if found["ok"] else f"broken: {broken}, in both: {both}")
    print("\n".join(lines))
    return 0 if found["ok"] else 2
