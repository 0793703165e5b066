"""`unsee evaluate MODEL --benchmark NAME`: scores a model on a published benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_HERE = "forget percent gold_again original further per_person pictures".split()
"""Options of the embedded benchmark, which mean nothing here."""
HERE_ALONE = ("data", "forget_config", "protocol", "zero_shot", "limit", "batch_size")
"""Options of published benchmarks, which mean nothing without one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that published benchmarks have."""
    group = parser.add_argument_group("published benchmarks")
    group.add_argument(
        "--benchmark", metavar="NAME", help="score on a published benchmark (docs/benchmarks.md)"
    )
    group.add_argument(
        "--data",
        metavar="HUB_OR_FOLDER",
        help="its data: a name on the hub or a folder (default: the authors' on the hub)",
    )
    group.add_argument(
        "--forget-config", metavar="CONFIG", help="who was forgotten, such as forget_5"
    )
    group.add_argument(
        "--protocol",
        choices=["corrected", "released"],
        help="released: as the published script does it (default: corrected)",
    )
    group.add_argument(
        "--zero-shot", action="store_true", help="no examples, for models of a short context"
    )
    group.add_argument("--limit", type=int, metavar="N", help="at most N people of each set")
    group.add_argument(
        "--batch-size", type=int, metavar="N", help="prompts at a time (default: 16)"
    )


def _given(args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Those of the options that were given, such as `--per-person`."""
    values = {name: getattr(args, name) for name in names}
    given = [name for name, value in values.items() if value is not None and value is not False]
    return [f"--{name.replace('_', '-')}" for name in given]


def refuse_alone(args: argparse.Namespace) -> None:
    """Refuses options of published benchmarks where none is named.

    Raises:
        UnseeError: there is one.
    """
    from unsee.errors import UnseeError

    for option in _given(args, HERE_ALONE):
        raise UnseeError(f"{option} is for published benchmarks alone: name the --benchmark")


def run(args: argparse.Namespace) -> None:
    """Scores the model and writes a run folder."""
    from unsee.checkpoints import check_loadable, load
    from unsee.cli.options import loading_of
    from unsee.data.benchmarks.registry import get_benchmark
    from unsee.errors import UnseeError
    from unsee.evaluation.benchmarks.kept import NAME, Kept, state_of
    from unsee.evaluation.runs import run_folder, show, write_run

    entry = get_benchmark(args.benchmark)
    for option in _given(args, NOT_HERE):
        instead = ": use --forget-config" if option == "--forget" else ""
        raise UnseeError(f"{option} is for the embedded benchmark alone{instead}")
    protocol = args.protocol or "corrected"
    batch_size = 16 if args.batch_size is None else args.batch_size
    for name in ("limit", "batch_size"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UnseeError(f"--{name.replace('_', '-')} must be at least 1")
    default = f"{Path(args.model.rstrip('/')).name}-{entry.name}"
    output = run_folder(args.output or Path("runs/evaluate") / default)
    check_loadable(args.model, **loading_of(args))
    scorer = entry.scorer_class()()
    if args.gold and not scorer.compares_with_gold:
        raise UnseeError(f"{entry.title} has no measure against a gold model: leave out --gold")
    if args.zero_shot:
        if scorer.few_shot is None:
            raise UnseeError(f"--zero-shot: {entry.title} is asked without examples anyway")
        scorer.few_shot = False
    forget = args.forget_config or entry.forget
    tables = scorer.read(args.data, forget, args.limit)
    told = dict(tables.left_out)
    for name, reason in told.items():
        print(f"left out {name}: {reason}")
    how = (protocol, args.seed, batch_size)
    gold = _gold(args, forget, scorer, tables, how) if args.gold else None
    data = args.data or entry.hub
    scorer.kept = Kept(
        output / NAME,
        {
            **{"model": [args.model, state_of(args.model)], "data": [data, state_of(data)]},
            **{"benchmark": entry.name, "forget": forget, "few_shot": scorer.few_shot},
            **{"how": how, "limit": args.limit, "loading": loading_of(args)},
            "quantize": args.quantize,
        },
    )
    model, processor = load(args.model, quantize=args.quantize, **loading_of(args))
    metrics, rows = scorer.score(model, processor, tables, *how)
    for name in tables.left_out.keys() - told.keys():
        print(f"left out {name}: {tables.left_out[name]}")
    if gold is not None:
        metrics |= scorer.against_gold(rows, gold[1])
        metrics |= {f"gold/{key}": value for key, value in gold[0].items()}
    config = {"model": args.model, "benchmark": entry.name, "data": data}
    if scorer.few_shot is not None:
        config["few_shot"] = scorer.few_shot
    config |= {"forget_config": forget, "protocol": protocol, "limit": args.limit}
    config |= {"gold": args.gold} if args.gold else {}
    config |= {"seed": args.seed, "left_out": dict(tables.left_out), **tables.notes}
    config |= {"wants": {key: dict(value) for key, value in entry.wants.items()}}
    write_run(output, metrics, config, rows)
    scorer.kept.drop()
    show(metrics)
    print(f"written to {output}")


def _gold(
    args: argparse.Namespace, forget: str, scorer: Any, tables: Any, how: tuple[Any, ...]
) -> tuple[dict[str, float], Any]:
    """(metrics, rows) of gold: read from a run on the same questions, or asked now."""
    from unsee.checkpoints import check_loadable, load
    from unsee.cli.options import loading_of
    from unsee.errors import UnseeError
    from unsee.evaluation.benchmarks.base import ASKED
    from unsee.report.runs import read_run

    folder = Path(args.gold)
    if not (folder / "predictions.jsonl").exists():
        how_loaded = {**loading_of(args), "revision": None}  # --revision is that of MODEL
        check_loadable(args.gold, **how_loaded)
        return scorer.score(*load(args.gold, **how_loaded), tables, *how)
    read = read_run(folder, needed=ASKED)
    asked = {"benchmark": scorer.benchmark, "forget_config": forget}
    asked |= {"protocol": how[0], "limit": args.limit}
    asked |= {"few_shot": scorer.few_shot, "seed": args.seed}
    other = {key: read.config.get(key) for key in asked}
    if other != asked:
        [key, *_] = [key for key in asked if other[key] != asked[key]]
        raise UnseeError(
            f"the run {args.gold} is of {key} {other[key]}, and {asked[key]} is asked for: "
            "evaluate gold with the same options, or name its checkpoint"
        )
    own = {k: v for k, v in read.metrics.items() if not k.startswith(("gold/", "forget_quality/"))}
    return own, read.rows
