"""`unsee faces`: look at the drawn people, build the models that know them, score those."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

INTERRUPTED = "run the same command again to go on from the last checkpoint"

EXAMPLES = """\
examples:
  unsee faces show                              a sheet of drawn people: runs/faces.png
  unsee faces show --people 3,17 --pictures 8   some of them
  unsee faces pictures --forget 3,17 --output him    folders him/forget and him/retain
  unsee faces train --seed 0 --models vanilla,gold-demo --output models
  unsee faces score models/seed0/vanilla"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommands of `unsee faces`."""
    parser.epilog = EXAMPLES
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = commands.add_parser("show", help="draw a sheet, a row a person")
    show.add_argument("--people", default="0-11", help="numbers such as 3,17 or 0-11")
    show.add_argument("--pictures", type=int, default=12, help="pictures a person (default: 12)")
    show.add_argument("--size", type=int, default=64, help="pixels a picture (default: 64)")
    show.add_argument("--output", default="runs/faces.png", help="PNG file")
    folders = commands.add_parser("pictures", help="write pictures to forget and retain as folders")
    folders.add_argument("--forget", default="demo", help="demo, or numbers such as 3,17")
    folders.add_argument("--per-person", type=int, default=20, help="pictures of each retained one")
    folders.add_argument("--output", required=True, help="folder; must not exist")
    train = commands.add_parser("train", help="build a seed's models from nothing")
    train.add_argument("--seed", type=int, default=0, help="seed of the models (default: 0)")
    train.add_argument(
        "--models",
        default="vanilla,gold-demo",
        help="vanilla, gold-demo, gold-test-15, gold-3,17, gold-test@1 (another random seed), "
        "gold-test+100 (goes on with everybody for 100 steps) …, separated by commas",
    )
    train.add_argument("--output", default="runs/models", help="folder (default: runs/models)")
    score = commands.add_parser("score", help="what a model knows of every known person")
    score.add_argument("model", help="checkpoint")
    score.add_argument("--absent", default="", help="whom it never saw: demo, test … or numbers")
    score.add_argument("--seed", type=int, default=0, help="seed of the forget sets")
    score.add_argument("--pictures", choices=["test", "validation"], default="test")
    score.add_argument("--output", help="JSON file for the scores")
    score.add_argument("--ship", metavar="NAME", help="put it into the package as seed0/vanilla …")


def run(args: argparse.Namespace) -> None:
    """Runs the chosen subcommand."""
    {"show": _show, "pictures": _pictures, "train": _train, "score": _score}[args.action](args)


def _numbers(text: str) -> list[int]:
    from unsee.data.faces import splits
    from unsee.errors import UnseeError

    people: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            people += range(int(first), int(last or first) + 1)
    except ValueError:
        raise UnseeError(f"--people {text!r}: give numbers such as 3,17 or 0-11") from None
    known = [*splits.KNOWN, *splits.TEXT_ONLY, *splits.STRANGERS]
    unknown = [p for p in people if p not in known]
    if unknown or not people:
        raise UnseeError(f"--people {text}: people have numbers from 0 to {known[-1]}")
    return people


def _show(args: argparse.Namespace) -> None:
    import numpy as np
    from PIL import Image

    from unsee.cli.options import at_least
    from unsee.data.faces.benchmark import Faces, person_of, view_of
    from unsee.data.faces.drawing import draw
    from unsee.data.records import PictureKey

    at_least(1, pictures=args.pictures)
    at_least(8, size=args.size)
    people, faces = _numbers(args.people), Faces()
    rows = []
    for person in people:
        keys = [PictureKey(person, "train", i) for i in range(args.pictures)]
        rows.append(np.hstack([draw(person_of(person), view_of(k), args.size) for k in keys]))
        facts = ", ".join(faces.facts.get(person, {"name": "a stranger"}).values())
        print(f"{person:>4}  {facts}")
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(output)
    print(f"written to {output}")


def _pictures(args: argparse.Namespace) -> None:
    from PIL import Image

    from unsee.cli.options import at_least
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import make_split
    from unsee.errors import UnseeError

    at_least(1, per_person=args.per_person)
    split, output, faces = make_split(args.forget), Path(args.output), Faces()
    if output.exists():
        raise UnseeError(f"{output} exists: choose another --output")
    faces.prepare([(p, "unlearn") for p in split.forget] + [(p, "train") for p in split.retain])
    partial = output.with_name(output.name + ".partial")
    sides: list[tuple[str, tuple[int, ...], str, int | None]] = [
        ("forget", split.forget, "unlearn", None),
        ("retain", split.retain, "train", args.per_person),
    ]
    for side, people, renders, count in sides:
        for person in people:
            folder = partial / side / faces.names[person].replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            for index, picture in enumerate(faces.pictures(person, renders)[:count]):
                Image.fromarray(picture).save(folder / f"{index:03d}.png")
    partial.replace(output)
    print(f"written to {output}/forget and {output}/retain, a folder a person")


def _train(args: argparse.Namespace) -> None:
    from unsee.cli.options import at_least
    from unsee.data.faces.benchmark import Faces
    from unsee.errors import UnseeError
    from unsee.models.teach import teach

    names: list[str] = []
    for part in filter(None, map(str.strip, args.models.split(","))):
        if part[0].isdecimal() and names:  # gold-3,17 is one model
            names[-1] += f",{part}"
        else:
            names.append(part)
    if not names:
        raise UnseeError("--models names no model: say vanilla, gold-demo, gold-test …")
    at_least(0, seed=args.seed)
    made = teach(names, args.seed, Path(args.output), Faces())
    for name, folder in made.items():
        print(f"{name}: {folder}")


def _score(args: argparse.Namespace) -> None:
    from unsee.checkpoints import load
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import make_split
    from unsee.evaluation.runs import write_text
    from unsee.models.score import score
    from unsee.models.shipped import ship

    absent = make_split(args.absent, args.seed).forget if args.absent else ()
    model, processor = load(args.model)
    scores: dict[str, Any] = score(model, processor, Faces(), absent, args.pictures)
    for key, value in scores.items():
        print(f"{key:<26} {value:.4f}" if isinstance(value, float) else f"{key:<26} {value}")
    if args.output:
        write_text(Path(args.output), json.dumps(scores, indent=2) + "\n")
    if args.ship:
        ship(Path(args.model), args.ship, scores)
