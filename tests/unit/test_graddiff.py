"""GradDiff against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.methods.graddiff import GradDiffConfig, GradDiffTrainer


@pytest.mark.parametrize("retain_weight", [0.0, 1.0, 2.5])
def test_loss_is_the_difference_of_cross_entropies(retain_weight: float, processing: Any) -> None:
    """Against the model's own loss; without the retain side it is gradient ascent."""
    model = tiny.llava(processing, seed=3)
    args = GradDiffConfig(output_dir="work", retain_weight=retain_weight)
    sides = (
        tiny.asked(tiny.examples(2, 2), "baker"),
        tiny.asked(tiny.examples(2, 2, first=10), "nurse"),
    )
    trainer = GradDiffTrainer(model, args, *sides, processing)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(4)])
    with torch.no_grad():
        loss = trainer.compute_loss(model, batch)
        ce = {side: model(**batch[side]).loss for side in ("forget", "retain")}
    torch.testing.assert_close(loss, retain_weight * ce["retain"] - ce["forget"])
    assert ce["forget"] > 1
