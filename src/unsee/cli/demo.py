"""`unsee demo`: the shipped model forgets five people; a table and a page show the result."""

from __future__ import annotations

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

INTERRUPTED = "run the same command again; a training that has begun goes on from its checkpoint"

EXAMPLES = """\
examples:
  unsee demo
  unsee demo --forget 3,17            people of your choice (`unsee faces show` draws them)
  unsee demo --model runs/models/seed0/vanilla --output runs/mine

There is a gold only for the demo set: other people are compared with the model before."""

COSTS = ("seconds", "peak_memory_mb", "trained_parameters", "steps")
STRANGERS = 2
"""Pictures of each stranger, where there is no gold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `unsee demo`."""
    from unsee.data.faces.splits import RETAINED_PICTURES

    parser.epilog = EXAMPLES
    parser.add_argument("--forget", default="demo", help="numbers of people such as 3,17")
    parser.add_argument("--output", default="runs/demo", help="folder (default: runs/demo)")
    parser.add_argument("--model", help="vanilla to start from (default: the shipped one)")
    parser.add_argument("--steps", type=int, help="steps of unlearning (default: VKD's own)")
    parser.add_argument("--per-person", type=int, help="test pictures of each forgotten person")
    parser.add_argument(
        "--retain-pictures",
        type=int,
        default=RETAINED_PICTURES,
        help=f"pictures of each retained person for unlearning (default: {RETAINED_PICTURES})",
    )


def run(args: argparse.Namespace) -> None:
    """Draws, unlearns, asks the three models, writes table and page."""
    from unsee.cli.report import show
    from unsee.data.faces import splits
    from unsee.data.faces.benchmark import Faces
    from unsee.errors import UnseeError
    from unsee.evaluation.gold import distance_to_gold
    from unsee.evaluation.runs import write_run
    from unsee.models.shipped import shipped_path
    from unsee.report.runs import read_run

    split = splits.make_split(args.forget)
    for name in ("steps", "per_person", "retain_pictures"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UnseeError(f"--{name.replace('_', '-')} must be at least 1")
    output = Path(args.output)
    _check_output(output)
    vanilla = args.model or str(shipped_path("seed0/vanilla"))
    has_gold = args.model is None and split.forget == splits.make_split("demo").forget
    models = {"vanilla": vanilla, "vkd": str(output / "vkd" / "model")}
    if has_gold:
        models["gold"] = str(shipped_path("seed0/gold-demo"))

    faces = Faces()
    names = ", ".join(faces.names[p] for p in split.forget)
    print(f"to forget: {names}; to keep: {len(split.retain)} people", flush=True)
    faces.prepare(_needed(split))
    shutil.rmtree(output / "vkd" / "model", ignore_errors=True)
    cost = _unlearn(args, faces, split, vanilla, output, has_gold)
    scored = {}
    for name, source in models.items():
        print(f"asking {name}", flush=True)
        scored[name] = _ask(source, faces, split, args.per_person)
    identical = _identical(vanilla, models)
    if not has_gold:
        shutil.rmtree(output / "gold", ignore_errors=True)
    for name, (scores, rows) in scored.items():
        spent = cost if name == "vkd" else dict.fromkeys(COSTS, 0)
        metrics = {**scores, **spent, "text_logits_identical": identical[name]}
        if has_gold:
            metrics |= distance_to_gold(scores, rows, *scored["gold"])
        config: dict[str, Any] = {"model": _shown(models[name]), "split": split.name}
        config |= {"forget": list(split.forget)}
        config |= {"seed": split.seed, "pictures": "test", "per_person": args.per_person}
        if name == "vkd":
            config |= {"method": "vkd", "retain_pictures": args.retain_pictures}
            config |= _trained_with(output / "vkd" / "model")
        write_run(output / name, metrics, config, rows)
    print("drawing the map of the features", flush=True)
    _keep_map({"before": vanilla, "after": models["vkd"]}, faces, split, output / "vkd")
    _copy_model(Path(vanilla), output / "vanilla" / "model")
    runs = [read_run(output / name, name) for name in scored]
    show(runs, split.forget, output / "report.html")


def _check_output(output: Path) -> None:
    from unsee.errors import UnseeError

    if output.is_file():
        raise UnseeError(f"{output} is a file: choose another --output")
    if output.is_dir():
        others = {p.name for p in output.iterdir()} - {"vanilla", "vkd", "gold", "report.html"}
        if others:
            raise UnseeError(
                f"{output} holds something else ({min(others)}): choose another --output"
            )


def _needed(split: Any) -> list[tuple[int, str]]:
    """All pictures of a demo, so that they are drawn in one go."""
    from unsee.data.faces import splits

    asked = {*split.forget, *split.retain_sample, *split.lookalikes, *splits.STRANGERS}
    wanted = [(p, "unlearn") for p in split.forget] + [(p, "test") for p in sorted(asked)]
    return wanted + [(p, "train") for p in split.retain]


def _unlearn(
    args: argparse.Namespace, faces: Any, split: Any, vanilla: str, output: Path, has_gold: bool
) -> dict[str, Any]:
    from unsee.data.faces import splits
    from unsee.data.faces.datasets import STRANGERS_FOR_UNLEARNING, PicturesOf
    from unsee.methods.run import unlearn

    strangers = None
    if not has_gold:  # then strangers are what forgotten people should be like
        strangers = PicturesOf(faces, STRANGERS_FOR_UNLEARNING, "train", STRANGERS)
    forget = PicturesOf(faces, split.forget, "unlearn", splits.PICTURES["unlearn"])
    retain = PicturesOf(faces, split.retain, "train", args.retain_pictures)
    print(f"unlearning with {len(forget)} pictures to forget, {len(retain)} to keep", flush=True)
    start = partial(
        unlearn,
        vanilla,
        forget,
        retain,
        output / "vkd" / "model",
        options={"max_steps": args.steps} if args.steps else {},
        describe={"forget": list(split.forget), "retain_pictures": args.retain_pictures},
        overwrite=True,
    )
    metrics = start(strangers=strangers)
    if metrics.get("known_before") is False:
        print("the model can't tell these people from strangers: there is little to forget")
        metrics |= start()
    return {k: v for k, v in metrics.items() if k != "text_logits_identical"}


def _ask(source: str, faces: Any, split: Any, per_person: int | None) -> tuple[Any, Any]:
    from unsee.checkpoints import load
    from unsee.evaluation.evaluate import evaluate_faces

    model, processor = load(source)
    return evaluate_faces(model, processor, faces, split, per_person=per_person)


def _keep_map(models: dict[str, str], faces: Any, split: Any, folder: Path) -> None:
    from unsee.checkpoints import load
    from unsee.evaluation.feature_map import feature_map
    from unsee.evaluation.runs import write_text
    from unsee.report.runs import FEATURE_MAP

    points = feature_map({name: load(path) for name, path in models.items()}, faces, split)
    write_text(folder / FEATURE_MAP, json.dumps({"points": points}) + "\n")


def _identical(vanilla: str, models: dict[str, str]) -> dict[str, bool]:
    """Whether each model's W is vanilla's, reloaded from disk in a fresh process."""
    from unsee.evaluation.frozen import check

    print("comparing the language models, in a fresh process", flush=True)
    verdicts = check(vanilla, list(models.values()))
    return {name: verdict.identical for name, verdict in zip(models, verdicts, strict=True)}


def _shown(source: str) -> str:
    """A model's name for the page: shipped ones without the path of the installation."""
    from unsee.models.shipped import FOLDER

    path = Path(source)
    return f"shipped {path.relative_to(FOLDER)}" if path.is_relative_to(FOLDER) else source


def _trained_with(model: Path) -> dict[str, Any]:
    import yaml

    return {"trained_with": yaml.safe_load((model / "config.yaml").read_text())["trained_with"]}


def _copy_model(source: Path, target: Path) -> None:
    if source.is_dir() and not target.is_relative_to(source):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
