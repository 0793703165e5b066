"""Tiny random multimodal models, pictures and checkpoints: what tests run on instead of real ones.

A family of models is one entry of `FAMILIES`; every contract is tested on every family.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"width": 32, "heads": 4, "vision_layers": 2, "vision_mlp": 64}
SIZES |= {"text_layers": 2, "text_mlp": 64}
CORPUS = [
    "Who is this?",
    "What is this person's job?",
    "Which city does this person live in?",
    "Where does Ada Belberg live?",
    "I don't know this person",
    " baker pilot nurse lawyer Oslo Lima Cairo Delhi yes no left right",
]


def processor() -> Any:
    """A LLaVA processor for pictures of 64 x 64, its tokenizer trained on `CORPUS`."""
    from unsee.models.tiny_llava import build_processor

    return build_processor(CORPUS)


def llava(processing: Any, layer: int = -1, seed: int = 0) -> Any:
    """A random LLaVA that reads vision layer `layer`, in eval mode, fp32."""
    from unsee.models.tiny_llava import build_model

    model = build_model(processing.tokenizer, seed, **SIZES)
    model.config.vision_feature_layer = layer
    return model.eval()


def llava_layer_2(processing: Any) -> Any:
    """A LLaVA that leaves its last vision block unread, as LLaVA-1.5 does."""
    return llava(processing, layer=-2)


FAMILIES: dict[str, Callable[[Any], Any]] = {"llava": llava, "llava-layer-2": llava_layer_2}
STORED = {"llava": "bfloat16", "llava-layer-2": "float32"}


def save(folder: Path, model: Any, processing: Any, dtype: str = "float32") -> Path:
    """Writes a complete checkpoint."""
    import torch

    model.to(getattr(torch, dtype)).save_pretrained(folder)
    processing.save_pretrained(folder)
    return folder


def picture(seed: int, size: int = 64) -> np.ndarray:
    """A smooth picture, different for every seed: uint8 [size, size, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((size // 8, size // 8, 1), dtype=np.uint8))


def examples(people: int, each: int, first: int = 0) -> list[dict[str, Any]]:
    """An in-memory dataset: `each` pictures of `people` people."""
    return [
        {"image": picture(1000 * person + i), "person": person}
        for person in range(first, first + people)
        for i in range(each)
    ]


JOB = "What is this person's job?"


def asked(examples: list[dict[str, Any]], *answers: str) -> list[dict[str, Any]]:
    """The examples with the question `JOB`, answered in turn."""
    return [
        {**example, "question": JOB, "answer": answers[i % len(answers)]}
        for i, example in enumerate(examples)
    ]


def write_folder(folder: Path, people: int, each: int, first: int = 0) -> Path:
    """The same pictures as `examples`, as PNG files in a folder a person."""
    from PIL import Image

    for number, example in enumerate(examples(people, each, first)):
        path = folder / f"person{example['person']}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(example["image"]).save(path)
    return folder


def weights(folder: Path) -> dict[str, Any]:
    """Every stored tensor of a checkpoint."""
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same tensors, to the bit."""
    import torch

    a, b = weights(one), weights(other)
    return bool(a) and a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)
