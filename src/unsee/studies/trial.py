"""One trial of a study: a method with some options, on one model, asked at once, nothing saved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unsee.data.collate import evenly
from unsee.data.faces import splits
from unsee.data.faces.datasets import (
    STRANGERS_FOR_UNLEARNING,
    PicturesOf,
    WordsOf,
    held_out_words,
)
from unsee.errors import Diverged, UnseeError
from unsee.evaluation.evaluate import evaluate_faces
from unsee.evaluation.frozen import same_language
from unsee.evaluation.intervals import by_person
from unsee.evaluation.text_drift import text_kl
from unsee.measure import Cost
from unsee.studies.ledger import fingerprint

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces
    from unsee.data.faces.splits import Split

STRANGERS = 5
"""Pictures of each stranger that the unlearner is given."""


def models_of(models: Path, seed: int, *names: str) -> list[str]:
    """The folders of models of a seed, as `unsee faces train` left them.

    Raises:
        UnseeError: one is missing.
    """
    for name in names:
        if not (models / f"seed{seed}" / name / "config.json").exists():
            raise UnseeError(
                f"{models}/seed{seed}/{name} is missing: make it with `unsee faces train --seed "
                f"{seed} --models {','.join(names)} --output {models}`"
            )
    return [str(models / f"seed{seed}" / name) for name in names]


def ask(
    source: str, faces: Faces, split: Split, pictures: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores a checkpoint: (metrics with `by_person`, judged rows)."""
    from unsee.checkpoints import load

    model, processor = load(source)
    scores, rows = evaluate_faces(model, processor, faces, split, pictures, progress=False)
    return {**scores, "by_person": by_person(rows)}, rows


def spread(dataset: Any, count: int | None) -> Any:
    """`count` items of a dataset at even distances; all, if there are no more."""
    from torch.utils.data import Subset

    if count is None or count >= len(dataset):
        return dataset
    return Subset(dataset, evenly(len(dataset), count))


def train(
    source: str,
    method: str,
    options: Mapping[str, Any],
    faces: Faces,
    split: Split,
    retained: int = splits.RETAINED_PICTURES,
    at_most: int | None = None,
    forget: Any = None,
) -> tuple[Any, Cost, Any, Any]:
    """Unlearns in memory: (model, cost, trainer, processor); arguments as those of `attempt`, and
    `forget`, a dataset of pictures to forget in place of the split's."""
    from transformers import PrinterCallback, ProgressCallback

    from unsee.checkpoints import load
    from unsee.measure import resident
    from unsee.methods.registry import get_method

    trainer_class, config_class = get_method(method).classes()
    with tempfile.TemporaryDirectory() as work:
        args = config_class(output_dir=work, save_strategy="no", disable_tqdm=True, **options)
        asked = getattr(args, "runs_language", True)
        sides = [
            forget or PicturesOf(faces, split.forget, "unlearn", splits.PICTURES["unlearn"], asked),
            spread(PicturesOf(faces, split.retain, "train", retained, asked), at_most),
        ]
        strangers = PicturesOf(faces, STRANGERS_FOR_UNLEARNING, "train", STRANGERS)
        words = WordsOf(faces, [*split.forget, *split.retain])
        baseline = resident()
        model, processor = load(source)
        with Cost(baseline) as cost:
            trainer = trainer_class(
                model,
                args,
                *sides,
                processor,
                stranger_dataset=strangers,
                text_dataset=words,
            )
            for callback in (PrinterCallback, ProgressCallback):
                trainer.remove_callback(callback)
            trainer.train()
    return model, cost, trainer, processor


def attempt(
    source: str,
    method: str,
    options: Mapping[str, Any],
    faces: Faces,
    split: Split,
    pictures: str,
    retained: int = splits.RETAINED_PICTURES,
    at_most: int | None = None,
    keep: Path | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Unlearns with a method and scores the model, in memory.

    Args:
        source: checkpoint to start from.
        method: name of the method.
        options: fields of its configuration that differ from the defaults.
        faces: the embedded benchmark.
        split: who is forgotten.
        pictures: `validation` wherever something is chosen by the outcome.
        retained: pictures of each retained person.
        at_most: pictures of all retained people together, spread evenly; None: no limit.
        keep: folder for the checkpoint, stored as the original is; what is scored is the checkpoint
            then, reloaded.

    Returns:
        (metrics with `seconds`, `peak_memory_mb`, `trained_parameters`, `steps`, `by_person`,
        `text_logits_identical` and `text_kl`, as in `metrics.json`; judged rows).
    """
    from unsee.checkpoints import load, save, stored_dtypes

    model, cost, trainer, processor = train(
        source, method, options, faces, split, retained, at_most
    )
    broken = [n for n, p in model.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        raise Diverged(f"{broken[0]} is not finite after training: lower the learning rate")
    if keep is not None:
        if keep.exists() and any(keep.iterdir()) and not (keep / "config.json").exists():
            raise UnseeError(f"{keep} holds something else: choose another folder")
        shutil.rmtree(keep, ignore_errors=True)
        save(model, processor, keep, stored_dtypes(source))
        model, processor = load(str(keep))
    scores, rows = evaluate_faces(model, processor, faces, split, pictures, progress=False)
    weighed = [row["option_log_likelihoods"] for row in rows if "option_log_likelihoods" in row]
    if not all(np.isfinite(likelihoods).all() for likelihoods in weighed):
        raise Diverged("its answers have no finite likelihood: lower the learning rate")
    found = {
        **scores,
        "seconds": round(cost.seconds, 2),
        "peak_memory_mb": round(cost.peak_memory_mb, 1),
        "trained_parameters": trainer.trained_parameters,
        "steps": trainer.state.global_step,
        "by_person": by_person(rows),
    }
    if keep is not None:
        found[KEPT] = fingerprint(str(keep))
    original = load(source)[0]
    identical = found["text_logits_identical"] = same_language(model, original, processor)
    if not identical and not trainer.args.trains_language:
        raise UnseeError(f"{method} was to leave the language model alone and changed it: a bug")
    words = held_out_words(faces, [*split.forget, *split.retain])
    found["text_kl"] = 0.0 if identical else round(text_kl(model, original, processor, words), 5)
    return found, rows


OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
"""What ends a trial and not the study; for `except`."""
NO_MEMORY = "out of memory"
KEPT, DIVERGED = "checkpoint", "diverged"


def why(error: BaseException) -> str:
    """The reason of a failed trial in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{NO_MEMORY}: {lines[0]}" if isinstance(error, OUT_OF_MEMORY) else lines[0]


def attempted(
    source: str,
    method: str,
    options: Mapping[str, Any],
    split: Split,
    **more: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `attempt` finds on the split's pictures, with the `threads` that it had; or `failed`,
    why it could not be done, and no rows. With `diverged` the method itself is why, and another
    attempt would end alike. For processes of `unsee.studies.parallel`."""
    from unsee.data.faces.benchmark import Faces

    faces = Faces(progress=False)
    try:
        found, rows = attempt(source, method, options, faces, split, split.pictures, **more)
    except Diverged as error:
        return {"failed": why(error), DIVERGED: True}, []
    except (UnseeError, OSError, *OUT_OF_MEMORY) as error:
        return {"failed": why(error)}, []
    return {**found, "threads": torch.get_num_threads()}, rows
