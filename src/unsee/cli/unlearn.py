"""`unsee unlearn`: pictures to forget and pictures to keep in, a checkpoint out."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from unsee.cli.options import add_loading, add_quantize, loading_of
from unsee.cli.training_options import TrainingCommand, read_options
from unsee.errors import UnseeError

INTERRUPTED = "run the same command again to go on from the last checkpoint"

DESCRIPTION = """\
Make a model forget the people on pictures: folders, JSONL, LLaVA conversations, data sets
(docs/own-pictures.md). vkd needs no questions and no names; methods that run the language model
need a question and an answer with every picture. In a folder a sub-folder is a person; a flat
folder is taken as one person. OUT becomes a complete transformers checkpoint, written only when it
is whole."""

EXAMPLES = """\
examples:
  unsee unlearn --model M --forget ./him --retain ./others --output out
  unsee unlearn --model M --forget him.jsonl --retain saved_dataset --output out
  unsee unlearn --config run.yaml --output out        (the same options as YAML; flags win)
  unsee unlearn --model M --forget F --retain R --output out --push-to-hub me/model --private
  unsee unlearn --model M --forget F --retain R --output out --max_steps 500 --learning_rate 1e-4
  accelerate launch --num_processes 8 -m unsee unlearn …                 (docs/distributed.md)
options of the optimisation are those of transformers.TrainingArguments (--help-all lists them)"""

SWITCHES = ("overwrite", "allow_pickle", "trust_remote_code", "private", "name_forgotten")
OURS = ("push_to_hub",)
"""Options that transformers has too, with another meaning."""
SHOWN = "learning_rate max_steps per_device_train_batch_size seed save_steps bf16".split()


def _own_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="YAML", help="options from a file; flags win over it")
    parser.add_argument("--method", help="see `unsee methods` (default: vkd)")
    parser.add_argument("--model", help="checkpoint to start from: a folder or a name on the hub")
    parser.add_argument("--forget", metavar="DATA", help="pictures of the people to forget")
    parser.add_argument("--retain", metavar="DATA", help="pictures of other people, to be kept")
    parser.add_argument(
        "--strangers", metavar="DATA", help="pictures of people whom the model never learnt"
    )
    parser.add_argument(
        "--texts",
        metavar="DATA",
        help="questions in words that keep their answers (rows without `image`), for methods that "
        "train the language model",
    )
    parser.add_argument("--output", metavar="OUT", help="folder of the new checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="replace a run in OUT")
    add_loading(parser)
    add_quantize(parser)
    pushing = parser.add_argument
    pushing("--push-to-hub", "--push_to_hub", metavar="REPO", help="push OUT there when it is done")
    pushing("--private", action="store_true", help="make REPO a private repository")
    pushing(
        "--name-forgotten",
        action="store_true",
        help="name the forgotten (their folders) in the model card, and push config.yaml too",
    )


COMMAND = TrainingCommand("unsee unlearn", "--config", _own_arguments, SWITCHES, SHOWN, OURS)


def parse(argv: list[str], prog: str) -> argparse.Namespace:
    """Two passes: the method first, then everything, with the options of its configuration."""
    early = COMMAND.glance(argv)
    from_file = read_options(early.config, "--config") if early.config else {}

    from unsee.methods.registry import get_method

    method = early.method or from_file.get("method") or "vkd"
    _, config_class = get_method(method).classes()
    about = {"prog": prog, "description": DESCRIPTION, "epilog": EXAMPLES}
    args, given = COMMAND.parse(argv, config_class, from_file, **about)
    missing = [
        f"--{name}" for name in ("model", "forget", "retain", "output") if not vars(args)[name]
    ]
    if missing:
        raise UnseeError(f"{', '.join(missing)} missing: see `unsee unlearn --help`")
    if args.private and not args.push_to_hub:
        raise UnseeError("--private says how to push: name a repository with --push-to-hub")
    of_config = {field.name for field in dataclasses.fields(config_class)} - set(OURS)
    args.options = {name: vars(args)[name] for name in sorted(of_config & given)}
    args.method = method
    return args


def _people(forget: Any) -> list[str]:
    """Names of the people to forget: those of their records or folders."""
    folder = forget.folder.resolve()
    folder = folder.stem if folder.is_file() else folder.name
    return list(dict.fromkeys(person or folder for person in forget.people))


def _texts(source: str) -> list[dict[str, Any]]:
    """Questions in words, with their answers."""
    from unsee.data.own import read_own

    found = read_own(source, may_be_empty=True, words_too=True)
    if found.broken:
        where, reason = found.broken[0]
        raise UnseeError(f"--texts: {where}: {reason}")
    if found.shots or not found.in_words:
        raise UnseeError(
            f"--texts {source}: give questions with answers and no pictures, such as lines of "
            '{"question": "Where does Bo live?", "answer": "In Oslo."}'
        )
    return [{"image": None, "question": q, "answer": a} for _, q, a in found.in_words]


def _hash(*sides: Any, texts: Any = None) -> str:
    """Tells whether a run goes on with the pictures, and words, that it began with."""
    seen = "|".join("".join(side.digests) for side in sides) + (repr(texts) if texts else "")
    return hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()


def _with_questions(method: str, pictures: Any) -> Any:
    from unsee.methods.registry import list_methods

    try:
        return pictures.with_questions()
    except UnseeError as error:
        silent = ", ".join(m.name for m in list_methods() if not m.runs_language)
        raise UnseeError(
            f"{method} needs a `question` and an `answer` with every picture; {error}: add them "
            f"(docs/own-pictures.md; `unsee data probe` asks the model), or choose {silent}"
        ) from error


def run(args: argparse.Namespace) -> None:
    """Reads both sides, checks them, unlearns."""
    import sys

    from unsee.checkpoints import check_loadable
    from unsee.data.own import read_own
    from unsee.data.pictures import check_disjoint
    from unsee.distributed import is_first, prepare
    from unsee.hub import check_push
    from unsee.methods.registry import get_method
    from unsee.methods.run import configure, unlearn

    prepare()
    config = configure(get_method(args.method).classes()[1], Path(args.output), args.options)
    how = loading_of(args)
    check_loadable(args.model, **how)
    if args.push_to_hub:
        check_push(args.push_to_hub, args.private)
    forget, retain = read_own(args.forget), read_own(args.retain)
    strangers = read_own(args.strangers) if args.strangers else None
    texts = _texts(args.texts) if args.texts else None
    for side in (forget, retain, strangers):
        for line in side.warnings() if side else ():
            if is_first():
                print(f"unsee: warning: {line}", file=sys.stderr)
    check_disjoint(forget, retain)
    asked = getattr(config, "runs_language", True)
    sides: tuple[Any, Any] = (forget, retain)
    if asked:
        sides = _with_questions(args.method, forget), _with_questions(args.method, retain)
    counts = [f"{len(forget)} pictures to forget", f"{len(retain)} to keep"]
    if asked:
        counts = [f"{c}, {len(s)} questions" for c, s in zip(counts, sides, strict=True)]
    if is_first():
        print("; ".join(counts) if asked else ", ".join(counts))

    describe = {"forget": args.forget, "retain": args.retain}
    describe |= {"strangers": args.strangers} if args.strangers else {}
    describe |= {"texts": args.texts} if args.texts else {}
    read = (*sides, strangers) if strangers is not None else sides
    describe["pictures"] = _hash(*read, texts=texts)
    metrics = unlearn(
        args.model,
        *sides,
        Path(args.output),
        method=args.method,
        options=args.options,
        describe=describe,
        overwrite=args.overwrite,
        strangers=strangers,
        texts=texts,
        forgotten=_people(forget) if args.name_forgotten else (),
        quantize=args.quantize,
        **how,
    )
    if is_first():
        _tell(metrics, args)


def _tell(metrics: dict[str, Any], args: argparse.Namespace) -> None:
    """Says what came out, and pushes it to the hub if that is wished."""
    from unsee.hub import push

    if metrics.get("known_before") is False:
        print(
            "the model does not know these people: it tells them from strangers with AUC "
            f"{metrics['stranger_auc_before']:.2f}; nothing was trained, see metrics.json there"
        )
        return
    if "stranger_auc" in metrics:
        print(
            f"told from strangers with AUC {metrics['stranger_auc_before']:.2f} before, "
            f"{metrics['stranger_auc']:.2f} after (0.5: like a stranger)"
        )
    same = "the same to the bit" if metrics["text_logits_identical"] else "CHANGED"
    print(
        f"done in {metrics['seconds']:.0f} s, {metrics['peak_memory_mb']:.0f} MB: {args.output}\n"
        f"answers to text-only prompts: {same} (reloaded from disk in a fresh process)"
    )
    if args.push_to_hub:
        address = push(Path(args.output), args.push_to_hub, args.private, args.name_forgotten)
        print(f"pushed to {address}")
