"""Use of hidden units, their scores and their removal, against loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import tiny
from unsee.anatomy import anatomy_of
from unsee.data.collate import PictureCollator
from unsee.methods import pruning
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import VKDConfig

FORGET, RETAIN = tiny.examples(2, 3), tiny.examples(3, 2, first=10)


def by_loop(model: Any, examples: Any, processing: Any) -> dict[str, list[Any]]:
    """Activations of every hidden unit, by running the blocks' own layers one after the other."""
    tower = model.model.vision_tower
    collate, found = PictureCollator(processing), {}
    with torch.no_grad():
        for example in examples:
            out = tower(collate([example])["pixel_values"], output_hidden_states=True)
            for number, block in enumerate(tower.encoder.layers):
                x = out.hidden_states[number]
                x = x + block.self_attn(block.layer_norm1(x), attention_mask=None)[0]
                hidden = block.mlp.activation_fn(block.mlp.fc1(block.layer_norm2(x)))
                found.setdefault(number, []).append(hidden[0])
    return {number: torch.cat(rows).double() for number, rows in found.items()}


@pytest.mark.parametrize("score", pruning.SCORES)
def test_use_and_score_against_a_loop(score: str, processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    seeing = anatomy_of(model).seeing
    layers = pruning.mlp_outputs(seeing, [1])
    collate = PictureCollator(processing)
    use = {
        side: pruning.unit_use(seeing, layers, [collate(e[:2]), collate(e[2:])])
        for side, e in (("forget", FORGET), ("retain", RETAIN))
    }
    loops = {s: by_loop(model, e, processing) for s, e in (("forget", FORGET), ("retain", RETAIN))}
    assert len(layers) == 2
    ratios = []
    for number, name in enumerate(layers):
        by_hand = {}
        for side, activations in loops.items():
            a = activations[number]
            by_hand[side] = {
                "abs-mean": a.abs().mean(0),
                "std": a.std(0, unbiased=False),
                "rms": a.square().mean(0).sqrt(),
            }[score]
            torch.testing.assert_close(use[side][name][score], by_hand[side], rtol=1e-4, atol=1e-6)
        ratios += (by_hand["forget"] / by_hand["retain"]).tolist()
    chosen = pruning.forget_specific_units(use["forget"], use["retain"], score, 0.1)
    flat = torch.cat(list(chosen.values())).tolist()
    best = sorted(range(len(ratios)), key=lambda i: -ratios[i])[: round(0.1 * len(ratios))]
    assert [i for i, gone in enumerate(flat) if gone] == sorted(best)


def test_pruned_unit_no_longer_counts(processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    seeing = anatomy_of(model).seeing
    layers = pruning.mlp_outputs(seeing, [1])
    units = {name: torch.zeros(layer.in_features).bool() for name, layer in layers.items()}
    name = next(iter(layers))
    units[name][[3, 5]] = True
    pruning.prune(layers, units)
    batch = PictureCollator(processing)(FORGET)
    before = seeing(batch).projector
    fc1 = seeing.core.get_submodule(name.replace("fc2", "fc1"))
    with torch.no_grad():
        fc1.weight[[3, 5]] = 100.0
        assert torch.equal(seeing(batch).projector, before)
        fc1.weight[4] = 100.0
        assert not torch.equal(seeing(batch).projector, before)


def test_block_that_is_not_read_is_not_looked_at(processing: Any) -> None:
    anatomy = anatomy_of(tiny.llava_layer_2(processing))
    layers = pruning.mlp_outputs(anatomy.seeing, anatomy.read_blocks)
    assert [name for name in layers if ".layers.1." in name] == [] and len(layers) == 1


@pytest.mark.parametrize("side", ["student", "both"])
def test_model_itself_can_be_pruned(side: str, processing: Any) -> None:
    model = tiny.llava(processing, seed=3)
    original = anatomy_of(tiny.llava(processing, seed=3)).seeing
    target = "pruned" if side == "both" else "mean-retain"
    args = VKDConfig(output_dir="work", prune_side=side, prune_ratio=0.1, forget_target=target)
    trainer = VKDTrainer(model, args, FORGET, RETAIN, processing)
    layers = pruning.mlp_outputs(trainer.anatomy.seeing, [1])
    gone = sum(int((layer.weight == 0).all(0).sum()) for layer in layers.values())
    assert gone == round(0.1 * 128)
    batch = PictureCollator(processing)(FORGET)
    assert torch.equal(trainer.teacher(batch).vision, original(batch).vision)
    if side == "both":
        ours, theirs = trainer.anatomy.seeing(batch), trainer.forget_teacher(batch)
        torch.testing.assert_close(ours.projector, theirs.projector)
