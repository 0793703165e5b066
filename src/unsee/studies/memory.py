"""Peak memory that was measured, beside what `unsee estimate` says.

    python -m unsee.studies.memory docs/results/memory.json

Random models in the shape of LLaVA, large enough for their memory to stand out from that of the
libraries and small enough for a CPU. Every run is a process of its own: two steps of a method
on noise, peak of resident memory above its level before the model was made. The same was done with
a tiny model before that, so that what libraries load when they are first used does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from unsee.studies.command import command
from unsee.studies.ledger import Ledger

MODELS: dict[str, dict[str, int]] = {
    "width 384": {"width": 384, "heads": 6, "vision_mlp": 1536, "text_mlp": 1024},
    "width 768": {"width": 768, "heads": 12, "vision_mlp": 3072, "text_mlp": 2048},
    "width 1024": {"width": 1024, "heads": 16, "vision_mlp": 4096, "text_mlp": 2816},
}
LAYERS = {"vision_layers": 6, "text_layers": 6, "image_size": 128, "patch_size": 16}
TINY = {"width": 32, "heads": 4, "vision_mlp": 64, "text_mlp": 64}
VOCABULARY = 8192
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "vkd": ("vkd", {}),
    "vkd, checkpointing": ("vkd", {"gradient_checkpointing": True}),
    "vkd, 4 times the batch": ("vkd", {"batch_size": 16}),
    "graddiff": ("graddiff", {}),
    "graddiff, vision and projector": ("graddiff", {"trainable": "vision+projector"}),
    "graddiff, adapters": ("graddiff", {"trainable": "lora", "lora_rank": 8}),
    "npo": ("npo", {}),
}
STEPS, BATCH = 2, 4
QUESTION, ANSWER = "Which city does this person live in?", "In Oslo"


def examples(count: int, side: int, seed: int) -> list[dict[str, Any]]:
    """Noise with a question and an answer."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return [
        {
            "image": rng.integers(256, size=(side, side, 3), dtype=np.uint8),
            "person": number % 2,
            "question": QUESTION,
            "answer": ANSWER,
        }
        for number in range(count)
    ]


def processor_for(side: int, patch: int) -> Any:
    """A LLaVA processor for pictures of that size."""
    from unsee.models.tiny_llava import build_processor

    processor = build_processor([QUESTION, ANSWER])
    processor.image_processor.size = {"shortest_edge": side}
    processor.image_processor.crop_size = {"height": side, "width": side}
    processor.patch_size = patch
    return processor


def measure(sizes: Mapping[str, int], method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a random model for `STEPS` steps, and estimates the same."""
    import torch

    from unsee.data.collate import QuestionCollator
    from unsee.estimate.memory import Plan, estimate
    from unsee.measure import Cost, resident

    side, patch = sizes["image_size"], sizes["patch_size"]
    processor = processor_for(side, patch)
    given = dict(options)
    batch = given.pop("batch_size", BATCH)
    sides = [examples(2 * batch, side, seed) for seed in (0, 1)]
    _train({**sizes, **TINY}, method, {**given, "batch_size": 2}, sides, processor)
    asked = QuestionCollator(processor)(sides[0][:1])
    tokens = asked["input_ids"].shape[1] - (side // patch) ** 2
    with Cost(resident()) as cost:
        config = _train(sizes, method, {**given, "batch_size": batch}, sides, processor)
    plan = Plan(method=method, batch_size=batch, text_tokens=tokens, dtype="float32", **given)
    made = estimate(config, plan)
    return {
        "weights": made.sum_of("weights"),
        "measured_mb": round(cost.peak_memory_mb, 1),
        "estimated_mb": round(made.total / 2**20, 1),
        "parts_mb": {
            column: round(made.sum_of(column) / 2**20, 1)
            for column in ("parameters", "gradients", "optimiser", "activations", "teacher")
        },
        "threads": torch.get_num_threads(),
    }


def _train(
    sizes: Mapping[str, int], method: str, options: Mapping[str, Any], sides: Any, processor: Any
) -> Any:
    """Makes a random model, trains it, and returns its configuration."""
    import tempfile

    from unsee.methods.registry import get_method
    from unsee.models.tiny_llava import build_model

    trainer_class, config_class = get_method(method).classes()
    given = dict(options)
    with tempfile.TemporaryDirectory() as folder:
        args = config_class(
            output_dir=folder,
            per_device_train_batch_size=given.pop("batch_size"),
            max_steps=STEPS,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            **given,
        )
        model = build_model(processor.tokenizer, 0, **sizes)
        model.resize_token_embeddings(VOCABULARY, mean_resizing=False)
        trainer_class(model, args, *sides, processor).train()
    return model.config


def memory(output: Path) -> Ledger:
    """Measures what is missing from the result file."""
    about = {"study": "memory", "steps": STEPS, "batch": BATCH, "device": "cpu", "dtype": "float32"}
    ledger = Ledger(output, about, ("model", "run"))
    for model, sizes in MODELS.items():
        for run, (method, options) in RUNS.items():
            if ledger.find(model=model, run=run):
                continue
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found = pool.submit(measure, {**sizes, **LAYERS}, method, options).result()
            ledger.add({"model": model, "run": run, **found})
            ratio = found["estimated_mb"] / found["measured_mb"]
            print(
                f"{model}, {run}: {found['measured_mb']:.0f} MB measured, "
                f"{found['estimated_mb']:.0f} MB estimated ({ratio:.2f})",
                flush=True,
            )
    return ledger


def _main(output: str) -> None:
    memory(Path(output))


if __name__ == "__main__":
    command(__doc__, 1, _main)
