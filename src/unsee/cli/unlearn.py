"""`unsee unlearn`: pictures to forget and pictures to keep in, a checkpoint out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError

INTERRUPTED = "run the same command again to go on from the last checkpoint"

DESCRIPTION = """\
Make a model forget the people on a folder of pictures. No questions and no names are needed.
A sub-folder is a person; a flat folder is taken as one person. OUT becomes a complete
transformers checkpoint, written only when it is whole."""

EXAMPLES = """\
examples:
  unsee unlearn --model M --forget ./him --retain ./others --output out
  unsee unlearn --config run.yaml --output out        (the same options as YAML; flags win)
  unsee unlearn --model M --forget F --retain R --output out --max_steps 500 --learning_rate 1e-4
options of the optimisation are those of transformers.TrainingArguments (--help-all lists them)"""

OURS = ("config", "method", "model", "forget", "retain", "output", "overwrite", "allow_pickle")
SHOWN = "learning_rate max_steps per_device_train_batch_size seed save_steps bf16".split()


def _own_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="YAML", help="options from a file; flags win over it")
    parser.add_argument("--method", default="vkd", help="see `unsee methods` (default: vkd)")
    parser.add_argument("--model", help="checkpoint to start from: a folder or a name on the hub")
    parser.add_argument("--forget", metavar="DIR", help="pictures of the people to forget")
    parser.add_argument("--retain", metavar="DIR", help="pictures of other people, to be kept")
    parser.add_argument("--output", metavar="OUT", help="folder of the new checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace a run in OUT")
    parser.add_argument(
        "--allow-pickle", action="store_true", help="load pytorch_model.bin, which can run code"
    )


def _read_yaml(path: str) -> dict[str, Any]:
    import yaml

    try:
        read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnseeError(f"--config {path} can't be read: {error}") from error
    if not isinstance(read, dict):
        raise UnseeError(f"--config {path} must hold lines of the form `option: value`")
    return {str(key).replace("-", "_"): value for key, value in read.items()}


def parse(argv: list[str], prog: str) -> argparse.Namespace:
    """Two passes: the method first, then everything, with the options of its configuration."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _own_arguments(first)
    early, _ = first.parse_known_args(argv)
    from_file = _read_yaml(early.config) if early.config else {}

    from transformers import HfArgumentParser, TrainingArguments

    from unsee.methods.registry import get_method

    method = early.method if "--method" in " ".join(argv) else from_file.get("method", early.method)
    _, config_class = get_method(method).classes()
    parser = HfArgumentParser(
        config_class,
        prog=prog,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _own_arguments(parser.add_argument_group("the run"))  # type: ignore[arg-type]
    parser.add_argument("--help-all", action="help", help="this help with every option")
    of_transformers = TrainingArguments.__dataclass_fields__.keys() - set(SHOWN)
    for action in parser._actions:
        if action.dest in of_transformers and "--help-all" not in argv:
            action.help = argparse.SUPPRESS
    fields = {action.dest for action in parser._actions} - {"help", "help_all", "output_dir"}
    unknown = sorted(from_file.keys() - fields)
    if unknown:
        raise UnseeError(f"--config {early.config}: there is no option {unknown[0]!r}")
    parser.set_defaults(**from_file)
    args = parser.parse_args(argv)
    missing = [
        f"--{name}" for name in ("model", "forget", "retain", "output") if not vars(args)[name]
    ]
    if missing:
        raise UnseeError(f"{', '.join(missing)} missing: see `unsee unlearn --help`")
    given = {
        a.dest for a in parser._actions if vars(args).get(a.dest) != parser.get_default(a.dest)
    }
    chosen = (given | from_file.keys()) - set(OURS)
    args.options = {name: vars(args)[name] for name in sorted(chosen)}
    args.method = method
    return args


def run(args: argparse.Namespace) -> None:
    """Reads both folders, checks them, unlearns."""
    import sys

    from unsee.checkpoints import check_loadable
    from unsee.data.pictures import check_disjoint, read_pictures

    check_loadable(args.model, args.allow_pickle)
    forget, retain = read_pictures(args.forget), read_pictures(args.retain)
    for line in [*forget.warnings(), *retain.warnings()]:
        print(f"unsee: warning: {line}", file=sys.stderr)
    check_disjoint(forget, retain)
    print(f"{len(forget)} pictures to forget, {len(retain)} to keep")
    from unsee.methods.run import unlearn

    metrics = unlearn(
        args.model,
        forget,
        retain,
        Path(args.output),
        method=args.method,
        options=args.options,
        describe={"forget": args.forget, "retain": args.retain},
        overwrite=args.overwrite,
        allow_pickle=args.allow_pickle,
    )
    same = "the same to the bit" if metrics["text_logits_identical"] else "CHANGED"
    print(
        f"done in {metrics['seconds']:.0f} s, {metrics['peak_memory_mb']:.0f} MB: {args.output}\n"
        f"answers to text-only prompts: {same} (reloaded from disk in a fresh process)"
    )
