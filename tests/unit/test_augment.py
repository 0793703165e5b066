"""Variants of pictures: small, deterministic, and asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
from unsee.data.augment import varied
from unsee.data.collate import PairedDataset
from unsee.errors import UnseeError
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import VKDConfig


def smooth(size: int = 96) -> np.ndarray:
    """A bright disc right of the middle on a dark ground."""
    y, x = np.mgrid[:size, :size] / size
    disc = ((x - 0.65) ** 2 + (y - 0.5) ** 2 < 0.02).astype(np.uint8)
    return np.repeat((60 + 120 * disc)[:, :, None], 3, axis=2).astype(np.uint8)


def place(picture: np.ndarray) -> float:
    """Where the disc is, from the left, in [0, 1]."""
    bright = picture[:, :, 0] > picture.mean() + 20
    return float(np.nonzero(bright)[1].mean() / picture.shape[1])


def test_variants_are_near_the_picture_and_as_large() -> None:
    picture = smooth()
    variants = [varied(picture, (0, i), mirror=False) for i in range(40)]
    assert all(v.shape == picture.shape and v.dtype == np.uint8 for v in variants)
    places = np.array([place(v) for v in variants])
    assert np.abs(places - 0.65).max() < 0.15 and places.std() > 0.02
    assert len({v.mean().round() for v in variants}) > 5


def test_large_pictures_shrink_and_are_not_changed_themselves() -> None:
    large = Image.fromarray(np.zeros((600, 2048, 3), np.uint8))
    assert varied(large, (0,)).shape == (300, 1024, 3) and large.size == (2048, 600)


def test_mirror_is_every_other_one_and_can_be_left_out() -> None:
    places = np.array([place(varied(smooth(), (1, i))) for i in range(60)])
    assert 0.25 < (places < 0.5).mean() < 0.75


def test_same_seed_same_variant_of_array_and_image() -> None:
    picture = smooth()
    one = varied(picture, (3, 4))
    assert np.array_equal(one, varied(Image.fromarray(picture), (3, 4)))
    assert not np.array_equal(one, varied(picture, (3, 5)))


@pytest.mark.parametrize("picture", [np.zeros((3, 8, 8), np.uint8), np.zeros((8, 8, 3))])
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(UnseeError, match=r"only PIL images and uint8 arrays .* augment=False"):
        varied(picture, (0,))


def test_pairs_are_varied_only_when_asked() -> None:
    forget, retain = tiny.examples(1, 2), tiny.examples(1, 6, first=10)
    plain, other = PairedDataset(forget, retain), PairedDataset(forget, retain, vary=0)
    assert plain[0]["forget"]["image"] is forget[0]["image"]
    first, again = other[0]["forget"]["image"], other[2]["forget"]["image"]
    assert not np.array_equal(first, again) and np.array_equal(first, other[0]["forget"]["image"])
    other.epoch = 1
    assert not np.array_equal(first, other[0]["forget"]["image"])
    assert other[0]["forget"]["person"] == 0 and forget[0]["image"] is plain[2]["forget"]["image"]
    words = PairedDataset([{"image": None, "question": "?"}], retain, vary=0)
    assert words[0]["forget"]["image"] is None


@pytest.mark.parametrize("mirror", [True, False])
def test_pairs_can_go_without_mirror(mirror: bool) -> None:
    pairs = PairedDataset([{"image": smooth()}], tiny.examples(1, 40), 0, mirror)
    places = [place(pairs[i]["forget"]["image"]) for i in range(40)]
    assert (min(places) < 0.45) == mirror


def test_every_epoch_has_variants_of_its_own(processing: Any) -> None:
    forget, retain = tiny.examples(1, 2), tiny.examples(1, 4, first=10)
    args = VKDConfig(
        output_dir="work",
        max_steps=6,
        per_device_train_batch_size=2,
        hard_share=0,
        save_strategy="no",
    )
    trainer = VKDTrainer(tiny.llava(processing), args, forget, retain, processing)
    pairs, seen = trainer.train_dataset, []
    original = pairs._varied

    def watched(example: Any, index: int, side: int) -> Any:
        seen.append((side, pairs.epoch, index))
        return original(example, index, side)

    pairs._varied = watched
    trainer.train()
    assert {epoch for _, epoch, _ in seen} == {0, 1, 2}
    assert len(set(seen)) == len(seen) == 6 * 2 * 2
