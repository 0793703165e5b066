"""The map of the features: its axes, its points, its figure."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tiny
from unsee.data.faces import splits
from unsee.data.faces.benchmark import Faces
from unsee.evaluation.feature_map import axes_of, feature_map
from unsee.report.plots import map_figure


def test_axes_are_where_the_people_stand_out() -> None:
    rng = np.random.default_rng(0)
    others = rng.normal(0, 0.1, (200, 6))
    people = np.zeros((4, 6))
    people[:2, 3], people[2:, 5] = (9, -9), (4, -4)
    centre, axes = axes_of(people, others)
    assert np.allclose(centre, others.mean(0))
    assert abs(axes[3, 0]) > 0.99 and abs(axes[5, 1]) > 0.99
    assert np.allclose(axes.T @ axes, np.eye(2))


def test_one_person_has_a_second_axis_too() -> None:
    others = np.random.default_rng(0).normal(0, 1, (50, 4)) * (0.1, 0.1, 5, 0.1)
    _, axes = axes_of(np.array([[8.0, 0, 0, 0]]), others)
    assert abs(axes[0, 0]) > 0.95 and abs(axes[2, 1]) > 0.9
    assert np.allclose(axes.T @ axes, np.eye(2))


@pytest.mark.usefixtures("few_pictures")
def test_points_and_figure(processing: Any) -> None:
    models = {
        n: (tiny.llava(processing, seed=s), processing) for n, s in (("before", 3), ("after", 4))
    }
    split = splits.make_split("3,17")
    points = feature_map(models, Faces(progress=False), split)
    groups = {
        group: {p["person"] for p in points if p["group"] == group}
        for group in ("forget", "lookalike", "retain", "stranger")
    }
    assert groups["forget"] == {3, 17} and groups["lookalike"] == {43, 57}
    assert groups["retain"] == set(split.retain_sample)
    assert groups["stranger"] == set(splits.STRANGERS)
    before = np.array([p["before"] for p in points])
    assert np.abs(before).max() == pytest.approx(1) and before.shape == (len(points), 2)
    assert any(p["before"] != p["after"] for p in points)
    drawn = map_figure(points)
    root = ElementTree.fromstring(drawn)
    texts = [e.text for e in root.iter("text")]
    assert texts.count("A") == texts.count("B") == texts.count("a") == texts.count("b") == 4
