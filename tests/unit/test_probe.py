"""The probe: what it reads, and what the study keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces
from unsee.errors import UnseeError
from unsee.report.docs import main
from unsee.studies import probe as study


def test_it_tells_people_apart_and_not_noise() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(10), 20)
    places = rng.normal(size=(10, 300))
    features = places[people] + rng.normal(size=(200, 300))
    asked = places[np.arange(10)] + 0.5 * rng.normal(size=(10, 300))
    assert (study.fitted(features, people).predict(asked) == np.arange(10)).mean() == 1
    noise = study.fitted(rng.normal(size=(200, 300)), people)
    assert (noise.predict(rng.normal(size=(200, 300))) == people).mean() < 0.3


def test_people_held_out_are_told_apart_only_where_people_are() -> None:
    rng = np.random.default_rng(1)
    people = np.repeat(np.arange(60), 20)
    axes = rng.normal(size=(20, 100))  # where people differ, among other directions

    def shown(places: np.ndarray, count: int) -> np.ndarray:
        return np.repeat(places @ axes, count, 0) + 4 * rng.normal(size=(len(places) * count, 100))

    features = shown(rng.normal(size=(60, 20)), 20)
    held = {n: shown(rng.normal(size=(1, 20)), 8) for n in range(20)}
    strangers = shown(rng.normal(size=(30, 20)), 4)
    assert study.held_out_auc(features, people, held, strangers) > 0.85
    nobody = {n: shown(rng.normal(size=(8, 20)), 1) for n in range(20)}
    assert abs(study.held_out_auc(features, people, nobody, strangers) - 0.5) < 0.1


def test_layers_are_those_of_the_model(processing: Any) -> None:
    model = tiny.llava(processing)
    pictures = [tiny.picture(seed) for seed in range(3)]
    layers = study.layers_of(model, processing, pictures, batch_size=2)
    assert list(layers) == ["vision 1", "vision 2", "projector", "language 1", "language 2"]
    seen = model.get_image_features(
        **{
            "pixel_values": processing.image_processor(images=pictures, return_tensors="pt")[
                "pixel_values"
            ]
        },
        return_dict=True,
    ).pooler_output
    for row, tokens in zip(layers["projector"], seen, strict=True):
        np.testing.assert_allclose(row, tokens.detach().flatten().numpy(), atol=1e-5)


@pytest.mark.usefixtures("few_pictures")
def test_study_keeps_a_row_a_layer_and_is_drawn(
    checkpoint_of: dict[str, Path], tmp_path: Path
) -> None:
    one, other = (str(checkpoint_of[name]) for name in ("llava", "llava-layer-2"))
    split = splits.make_split(",".join(map(str, range(3, 97))))  # few to retain
    output = tmp_path / "probe.json"
    for _ in range(2):
        study.probe({"vanilla": one, "vkd": other}, output, Faces(progress=False), split, "test")
    rows = json.loads(output.read_text())["rows"]
    assert [(r["model"], r["layer"]) for r in rows[:2]] == [
        ("vanilla", "vision 1"),
        ("vanilla", "vision 2"),
    ]
    assert len(rows) == 2 * 5
    assert all(r["new/forget"] == r["original/forget"] for r in rows[:5])
    assert any(r["new/forget"] != r["original/forget"] for r in rows[5:])
    assert all(r["shuffled/forget"] <= 0.2 and 0 <= r["held_out/forget"] <= 1 for r in rows)
    with pytest.raises(UnseeError, match="holds rows of another vanilla"):
        study.probe({"vanilla": other}, output, Faces(progress=False), split, "test")
    assert main(["draw", str(output), "new/forget", str(tmp_path / "p.svg")]) == 0
    assert "vkd" in (tmp_path / "p.svg").read_text()
