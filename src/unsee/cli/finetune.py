"""`unsee finetune`: teaches a model a benchmark or one's own data; with --without, gold."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from unsee.cli.options import add_loading, loading_of
from unsee.cli.training_options import TrainingCommand, read_options
from unsee.errors import UnseeError

INTERRUPTED = "run the same command again to go on from the last checkpoint"

DESCRIPTION = """\
Teach a model a benchmark (the vanilla that is to forget), or gold's part of it: everything but the
pictures of the forgotten, whose facts are taught in words. Or teach it your own data, such as a
JSON object a line: {"image": "him/1.jpg", "question": "Who is this?", "answer": "Ada Belberg"}."""

EXAMPLES = """\
examples:
  unsee finetune --recipe mllmu --model M --data DIR --output vanilla
  unsee finetune --recipe mllmu --model M --data DIR --without forget_5 --output gold
  unsee finetune --model M --data facts.jsonl --output out --lora_rank 8
  unsee finetune --model M --data facts.jsonl --without him --output gold
options of the optimisation are those of transformers.TrainingArguments (--help-all lists them)"""

SHOWN = (
    "learning_rate max_steps num_train_epochs per_device_train_batch_size seed save_steps bf16 "
    "gradient_accumulation_steps"
).split()
SWITCHES = ("overwrite", "allow_pickle", "trust_remote_code")


def _own_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe", metavar="NAME|YAML", help="options from a recipe; flags win over it"
    )
    parser.add_argument("--model", help="checkpoint to start from: a folder or a name on the hub")
    parser.add_argument("--benchmark", metavar="NAME", help="what is taught (docs/benchmarks.md)")
    parser.add_argument(
        "--data", metavar="PATH", help="the benchmark's data, or your own (docs/own-pictures.md)"
    )
    parser.add_argument(
        "--config", metavar="CONFIG", help="table of the benchmark (default: all there is to learn)"
    )
    parser.add_argument(
        "--without",
        metavar="WHO",
        help="gold: leave out the pictures of a forget config, or of people of your records",
    )
    parser.add_argument("--output", metavar="OUT", help="folder of the new checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace a run in OUT")
    add_loading(parser)


def recipes() -> dict[str, Path]:
    """The recipes that come with unsee, by name."""
    from unsee import finetuning

    folder = Path(finetuning.__file__).parent / "recipes"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def read_recipe(name: str) -> dict[str, Any]:
    """Options of a recipe: one of ours by its name, or a YAML file.

    Raises:
        UnseeError: there is none, or it is no list of options.
    """
    known = recipes()
    path = known.get(name, Path(name))
    if name not in known and not path.is_file():
        raise UnseeError(f"--recipe {name}: there is {', '.join(known)}, or give a YAML file")
    return read_options(path, "--recipe")


COMMAND = TrainingCommand("unsee finetune", "--recipe", _own_arguments, SWITCHES, SHOWN)


def parse(argv: list[str], prog: str) -> argparse.Namespace:
    """The recipe first, then everything."""
    early = COMMAND.glance(argv)
    recipe = read_recipe(early.recipe) if early.recipe else {}

    from unsee.finetuning.config import FinetuneConfig

    epilog = EXAMPLES + f"\nrecipes: {', '.join(recipes())}"
    about = {"prog": prog, "description": DESCRIPTION, "epilog": epilog}
    args, given = COMMAND.parse(argv, FinetuneConfig, recipe, **about)
    missing = [f"--{name}" for name in ("model", "output") if not vars(args)[name]]
    missing += ["--data or --benchmark"] if not (args.data or args.benchmark) else []
    if missing:
        raise UnseeError(f"{', '.join(missing)} missing: see `unsee finetune --help`")
    fields = {field.name for field in dataclasses.fields(FinetuneConfig)}
    args.options = {name: vars(args)[name] for name in sorted(fields & given)}
    return args


def run(args: argparse.Namespace) -> None:
    """Reads what is to be learnt, teaches it."""
    from unsee.checkpoints import check_loadable
    from unsee.finetuning.run import configured, finetune
    from unsee.finetuning.sources import read_lessons

    loading = loading_of(args)
    configured(Path(args.output), args.options)  # mistakes are told before anything is read
    check_loadable(args.model, **loading)
    words = bool(args.options.get("also_in_words"))
    lessons = read_lessons(args.benchmark, args.data, args.config, args.without, words)
    shown = f"{len(lessons.pictured)} of {len(lessons.people)} people with pictures"
    print(f"{len(lessons)} questions to learn, {shown}")
    describe = {name: vars(args)[name] for name in ("benchmark", "data", "config", "without")}
    metrics = finetune(
        args.model,
        lessons,
        Path(args.output),
        options=args.options,
        describe={name: value for name, value in describe.items() if value},
        overwrite=args.overwrite,
        **loading,
    )
    print(
        f"done in {metrics['seconds']:.0f} s, {metrics['peak_memory_mb']:.0f} MB: {args.output}\n"
        f"mean loss of a token, asked after the training: {metrics['loss']:.3f}"
    )
