"""`unsee finetune`: teaches a model a benchmark or one's own data; with --without, gold."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, NoReturn

from unsee.cli.options import add_loading, loading_of
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
    import yaml

    known = recipes()
    path = known.get(name, Path(name))
    if name not in known and not path.is_file():
        raise UnseeError(f"--recipe {name}: there is {', '.join(known)}, or give a YAML file")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnseeError(f"--recipe {path} can't be read: {error}") from error
    if not isinstance(read, dict):
        raise UnseeError(f"--recipe {path} must hold lines of the form `option: value`")
    return {str(key).replace("-", "_"): value for key, value in read.items()}


def _as_flags(options: dict[str, Any]) -> list[str]:
    """Options of a recipe as words of a command line, so that both are checked in the same way."""
    words: list[str] = []
    for name, value in options.items():
        if name in SWITCHES:
            words += [f"--{name.replace('_', '-')}"] if value else []
        elif isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            words.append(f"--{name}={json.dumps(value) if isinstance(value, dict) else value}")
    return words


def _refuse(message: str) -> NoReturn:
    raise UnseeError(f"{message}; see `unsee finetune --help`")


def parse(argv: list[str], prog: str) -> argparse.Namespace:
    """The recipe first, then everything."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.error = _refuse  # type: ignore[method-assign]
    _own_arguments(first)
    early, _ = first.parse_known_args(argv)
    recipe = read_recipe(early.recipe) if early.recipe else {}

    from transformers import HfArgumentParser, TrainingArguments

    from unsee.finetuning.config import FinetuneConfig

    parser = HfArgumentParser(
        FinetuneConfig,
        prog=prog,
        description=DESCRIPTION,
        epilog=EXAMPLES + f"\nrecipes: {', '.join(recipes())}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = _refuse
    _own_arguments(parser.add_argument_group("the run"))
    parser.add_argument("--help-all", action="help", help="this help with every option")
    hidden = TrainingArguments.__dataclass_fields__.keys() - set(SHOWN)
    for action in parser._actions:
        if action.dest in hidden and "--help-all" not in argv:
            action.help = argparse.SUPPRESS
    known = {action.dest for action in parser._actions} - {"help", "help_all", "output_dir"}
    unknown = sorted(recipe.keys() - (known - {"recipe"}))
    if unknown:
        raise UnseeError(f"--recipe {early.recipe}: there is no option {unknown[0]!r}")
    defaults = vars(parser.parse_args([]))
    args = parser.parse_args([*_as_flags(recipe), *argv])
    if args.output_dir != defaults["output_dir"]:
        raise UnseeError("--output_dir is taken by the run: say --output")
    missing = [f"--{name}" for name in ("model", "output") if not vars(args)[name]]
    missing += ["--data or --benchmark"] if not (args.data or args.benchmark) else []
    if missing:
        raise UnseeError(f"{', '.join(missing)} missing: see `unsee finetune --help`")
    given = {name for name, value in vars(args).items() if value != defaults[name]} | recipe.keys()
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
