"""`unsee evaluate`: scores a model on the embedded benchmark, or on a published one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from unsee.cli import evaluate_benchmark
from unsee.cli.options import add_loading, add_quantize, loading_of

INTERRUPTED = (
    "no result was written; run the same command again (answers to a published --benchmark "
    "are kept)"
)

EXAMPLES = """\
examples:
  unsee evaluate out
  unsee evaluate out --forget 3,17 --original M --output runs/mine
  unsee evaluate out --further                  the field's other metrics too (unsee[metrics])
  unsee evaluate out --forget test --seed 0 --gold cache/seed0/gold-test
  unsee evaluate out --benchmark mllmu --data MLLMU-Bench --forget-config forget_5
  unsee evaluate out --benchmark clear --data CLEAR --gold retrained

`gold_gap` is written only where --gold names a model or a run of a gold for the same people."""

OF_UNLEARNING = (
    "seconds",
    "peak_memory_mb",
    "trained_parameters",
    "steps",
    "text_logits_identical",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee evaluate`."""
    parser.epilog = EXAMPLES
    parser.add_argument("model", help="checkpoint: a folder or a name on the hub")
    parser.add_argument(
        "--forget",
        help="who was forgotten: demo, validation, test, or numbers such as 3,17 (default: demo)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the forget sets (default: 0)")
    parser.add_argument("--percent", type=int, help="size of the set: 5 (default), 10 or 15")
    parser.add_argument(
        "--pictures",
        choices=["test", "validation"],
        help="pictures to ask about (default: those named like the forget set, else test)",
    )
    parser.add_argument("--per-person", type=int, help="pictures of each forgotten person")
    parser.add_argument("--gold", help="gold: a checkpoint, or a run of `unsee evaluate`")
    parser.add_argument(
        "--gold-again", help="a second gold, of another random seed: how far golds are apart"
    )
    parser.add_argument("--original", help="the model before, to compare W and text-only answers")
    parser.add_argument(
        "--further", action="store_true", help="ROUGE, BLEU, truth ratio, letters, … (slower)"
    )
    parser.add_argument("--output", help="run folder (default: runs/evaluate/<name of the model>)")
    evaluate_benchmark.add_arguments(parser)
    add_loading(parser)
    add_quantize(parser)


def run(args: argparse.Namespace) -> None:
    """Scores the model and writes a run folder."""
    if args.benchmark is not None:
        return evaluate_benchmark.run(args)
    from unsee.checkpoints import check_loadable, load
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import make_split
    from unsee.errors import UnseeError, optional
    from unsee.evaluation.evaluate import evaluate_faces
    from unsee.evaluation.frozen import check
    from unsee.evaluation.further import LIBRARIES, further_metrics
    from unsee.evaluation.gold import distance_to_gold
    from unsee.evaluation.runs import run_folder, show, write_run

    evaluate_benchmark.refuse_alone(args)
    percent = 5 if args.percent is None else args.percent
    who = "demo" if args.forget is None else args.forget
    split = make_split(who, args.seed, percent)
    pictures = args.pictures or split.pictures
    if args.per_person is not None and args.per_person < 1:
        raise UnseeError("--per-person must be at least 1")
    output = run_folder(args.output or Path("runs/evaluate") / Path(args.model.rstrip("/")).name)
    how = loading_of(args)
    check_loadable(args.model, **how)
    if args.original:
        check_loadable(args.original, **_of_others(args))
    if args.further:
        for library in LIBRARIES:
            optional(library, "metrics")
    faces = Faces()
    if args.gold_again and not args.gold:
        raise UnseeError("--gold-again is compared with --gold: name both")
    gold = _gold(args, args.gold, split, pictures, faces) if args.gold else None
    model, processor = load(args.model, quantize=args.quantize, **how)
    scores, rows = evaluate_faces(model, processor, faces, split, pictures, args.per_person)
    metrics: dict[str, Any] = {**scores, **_of_unlearning(args.model)}
    if gold is not None:
        metrics.update(distance_to_gold(scores, rows, *gold))
        if args.gold_again:
            again = _gold(args, args.gold_again, split, pictures, faces)
            apart = distance_to_gold(*again, *gold)
            metrics |= {"gold_floor": apart["gold_gap"]} if "gold_gap" in apart else {}
    if args.further:
        golds = gold[1] if gold is not None else None
        metrics |= further_metrics(model, processor, faces, split, pictures, scores, rows, golds)
    if args.original:
        verdict = check(args.model, [args.original], **how)[0]  # either way the same verdict
        metrics["text_logits_identical"] = verdict.identical
        metrics["text_kl"] = (
            0.0 if verdict.identical else _text_kl(args, model, processor, faces, split)
        )
    config = {"model": args.model, "forget": list(split.forget), "split": split.name}
    config |= {"seed": args.seed, "pictures": pictures, "per_person": args.per_person}
    config |= {"gold": args.gold, "gold_again": args.gold_again, "original": args.original}
    write_run(output, metrics, config, rows)
    show(metrics)
    print(f"written to {output}")


def _of_others(args: argparse.Namespace) -> dict[str, Any]:
    """How the original and gold are loaded: `--revision` is that of MODEL."""
    return {**loading_of(args), "revision": None}


def _text_kl(args: argparse.Namespace, model: Any, processor: Any, faces: Any, split: Any) -> float:
    """Drift of the words from those of the original, see `unsee.evaluation.text_drift`."""
    from unsee.checkpoints import load
    from unsee.data.faces.datasets import held_out_words
    from unsee.evaluation.text_drift import text_kl

    before, _ = load(args.original, **_of_others(args))
    words = held_out_words(faces, [*split.forget, *split.retain])
    return round(text_kl(model, before, processor, words), 5)


def _of_unlearning(model: str) -> dict[str, Any]:
    """What the unlearning run left beside its checkpoint: seconds, memory, trained parameters."""
    try:
        read = dict(json.loads((Path(model) / "metrics.json").read_text()))
    except (OSError, ValueError, TypeError):
        return {}
    return {key: read[key] for key in OF_UNLEARNING if key in read}


def _gold(
    args: argparse.Namespace, source: str, split: Any, pictures: str, faces: Any
) -> tuple[Any, Any]:
    """(metrics, rows) of gold: read from a run on the same questions, or asked now."""
    from unsee.checkpoints import load
    from unsee.errors import UnseeError
    from unsee.evaluation.evaluate import evaluate_faces
    from unsee.report.runs import read_run

    folder = Path(source)
    if (folder / "predictions.jsonl").exists():
        read = read_run(folder)
        keys = ("forget", "split", "seed", "pictures", "per_person")
        asked = tuple(read.config.get(key) for key in keys)
        if asked != (list(split.forget), split.name, args.seed, pictures, args.per_person):
            raise UnseeError(
                f"{source} was asked about other people or pictures: evaluate it with "
                "the same --forget, --seed, --pictures and --per-person, or name its checkpoint"
            )
        return read.metrics, read.rows
    model, processor = load(source, **_of_others(args))
    return evaluate_faces(model, processor, faces, split, pictures, args.per_person)
