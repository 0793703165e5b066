"""`unsee attack`: tries to bring forgotten people back."""

from __future__ import annotations

import argparse
from pathlib import Path

INTERRUPTED = "run the same command again: the curves that are finished are kept"

EXAMPLES = """\
examples:
  unsee attack relearn runs/demo/vkd/model
  unsee attack relearn vkd=out gold=runs/models/seed0/gold-test --forget test --access vision
  unsee attack relearn out --share 0.5 --learning-rates 3e-5,1e-4,3e-4 --output runs/attack.json

Models are folders, or name=folder. The attacker has a share of each forgotten person's attacker
pictures (one at least), and trains on half of the attributes; the other half is scored on other
pictures. Learning rates are swept: the worst one counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommands of `unsee attack`."""
    from unsee.data.faces.splits import SETS

    parser.epilog = EXAMPLES
    commands = parser.add_subparsers(dest="attack", metavar="ATTACK", required=True)
    relearn = commands.add_parser("relearn", help="train on pictures and facts of the forgotten")
    relearn.add_argument(
        "models", nargs="+", metavar="MODEL", help="checkpoint, or name=checkpoint"
    )
    relearn.add_argument("--forget", default="demo", help=f"{', '.join(SETS)}, or numbers")
    relearn.add_argument("--seed", type=int, default=0, help="seed of the forget sets")
    relearn.add_argument(
        "--access", default="vision,all", help="vision, lora, all (default: vision,all)"
    )
    relearn.add_argument("--share", type=float, default=0.05, help="of his pictures (default: .05)")
    relearn.add_argument(
        "--learning-rates", help="such as 3e-5,1e-4 (default: a decade for each access)"
    )
    relearn.add_argument("--steps", type=int, default=200, help="updates (default: 200)")
    relearn.add_argument(
        "--pictures",
        choices=["test", "validation"],
        help="pictures to ask about (default: those named like the forget set, else test)",
    )
    relearn.add_argument("--jobs", type=int, default=1, help="attacks at a time (default: 1)")
    relearn.add_argument("--no-control", action="store_true", help="leave text-only people out")
    relearn.add_argument("--output", default="runs/relearning.json", help="result file")


def run(args: argparse.Namespace) -> None:
    """Attacks the models and prints the end of each curve."""
    from unsee.attacks.base import Budget
    from unsee.checkpoints import check_loadable
    from unsee.cli.options import at_least
    from unsee.data.faces.splits import make_split
    from unsee.errors import UnseeError
    from unsee.studies.relearning import relearn

    models = {}
    for word in args.models:
        name, _, path = word.rpartition("=")
        models[name or Path(path.rstrip("/")).name] = path
    if len(models) < len(args.models):
        raise UnseeError("two models have the same name: say name=checkpoint")
    try:
        rates = [float(part) for part in (args.learning_rates or "").split(",") if part]
    except ValueError:
        raise UnseeError(
            f"--learning-rates {args.learning_rates!r}: give numbers such as 3e-5,1e-4"
        ) from None
    accesses = [part.strip() for part in args.access.split(",")]
    at_least(1, jobs=args.jobs)
    if not 0 < args.share <= 1:
        raise UnseeError("--share must be above 0 and at most 1")
    for access in accesses:
        for rate in rates or [1e-4]:
            Budget(access, rate, args.steps)  # refuse bad values before any work
    split = make_split(args.forget, args.seed)
    for path in models.values():
        check_loadable(path)
    relearn(
        models,
        Path(args.output),
        split,
        args.pictures or split.pictures,
        accesses,
        rates,
        args.share,
        args.steps,
        control=not args.no_control,
        say=lambda line: print(line, flush=True),
        jobs=args.jobs,
    )
    print(f"written to {args.output}")
