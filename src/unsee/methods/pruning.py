"""Which hidden units of the vision encoder speak of the people to forget, and taking them out.

A *unit* is a hidden neuron of an MLP of V. How much it is used for a set of pictures is measured
over all pictures and tokens (MANU, arXiv 2502.15910, scores neurons so): the mean of |a|, the
standard deviation of a, or the root mean square of a. Its score is the use for the forget set over
the use for the retain set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from unsee.anatomy.families import LANGUAGE, VISION, block_number
from unsee.errors import UnseeError

if TYPE_CHECKING:
    from unsee.anatomy.anatomy import Anatomy, Seeing

SCORES = ("abs-mean", "std", "rms")
EPSILON = 1e-8


def mlp_outputs(seeing: Seeing, blocks: Iterable[int]) -> dict[str, torch.nn.Linear]:
    """The linear layers that read the hidden units of V, by name, of blocks that are read.

    Args:
        seeing: V and P.
        blocks: number of each vision block whose output the projector reads.

    Raises:
        UnseeError: the family names no such layer.
    """
    last = max(blocks)
    family = seeing.family
    found = {}
    for name, module in seeing.core.named_modules():
        inside = family.part_of(family.full(name)) == VISION
        reads = name.rpartition(".")[2] in family.mlp_out
        if inside and reads and (family.block(seeing.core, name) or 0) <= last:
            found[name] = module
    if not found:
        raise UnseeError(
            f"no hidden units were found in the vision encoder of this {family.model_type} model: "
            "mend `mlp_out` of its entry in unsee.anatomy"
        )
    return found


def hidden_layers(anatomy: Anatomy, *parts: str) -> dict[str, torch.nn.Linear]:
    """The linear layers that read the hidden units of the MLPs of V, W or both, by full name; of V
    those of blocks that are read.

    Raises:
        UnseeError: the family names no such layer in one of the parts.
    """
    family = anatomy.family
    ends = {VISION: family.mlp_out, LANGUAGE: family.text_mlp_out}
    last, core = max(anatomy.read_blocks), anatomy.seeing.core
    found: dict[str, torch.nn.Linear] = {}
    for part in parts:
        of_part = {
            name: module
            for name, module in anatomy.model.named_modules()
            if name.rpartition(".")[2] in ends[part]
            and isinstance(module, torch.nn.Linear)
            and anatomy.part_of(f"{name}.weight") == part
            and not (part == VISION and (family.block(core, name) or 0) > last)
        }
        if not of_part:
            raise UnseeError(
                f"no hidden units were found in the {part} part of this {family.model_type} model: "
                "mend its entry in unsee.anatomy"
            )
        found |= of_part
    return found


def block_of(name: str) -> int | None:
    """Number of the block that a parameter or module is in; None outside blocks."""
    return block_number(None, name)


def unit_use(
    run: Callable[[Mapping[str, Any]], Any],
    layers: Mapping[str, torch.nn.Linear],
    batches: Iterable[Mapping[str, Any]],
    threshold: float = 0.0,
) -> dict[str, dict[str, torch.Tensor]]:
    """How much each hidden unit is used for a set of examples.

    Args:
        run: runs the layers on a batch, without padding.
        layers: layers that read the units.
        batches: what is run.
        threshold: |a| from which a unit counts as active, for `frequency`.

    Returns:
        layer -> {`abs-mean`, `std`, `rms`, `frequency`} -> [units], fp64; a layer that was not run
        is missing.
    """
    sums: dict[str, torch.Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def listen(name: str) -> Any:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            a = inputs[0].detach().double().flatten(0, -2)  # [tokens, units]
            active = (a.abs() > threshold).double()
            new = torch.stack([a.abs().sum(0), a.sum(0), a.square().sum(0), active.sum(0)])
            sums[name] = sums[name] + new if name in sums else new
            counts[name] += len(a)

        return hook

    handles = [m.register_forward_pre_hook(listen(name)) for name, m in layers.items()]
    try:
        with torch.no_grad():
            for batch in batches:
                run(batch)
    finally:
        for handle in handles:
            handle.remove()
    use = {}
    for name, total in sums.items():
        absolute, mean, square, active = total / counts[name]
        deviation = (square - mean.square()).clamp_min(0).sqrt()
        use[name] = {"abs-mean": absolute, "std": deviation, "rms": square.sqrt()}
        use[name]["frequency"] = active
    return use


def most(scores: Mapping[str, torch.Tensor], ratio: float) -> dict[str, torch.Tensor]:
    """The units with the largest scores.

    Args:
        scores: layer -> [units].
        ratio: share of the units of all layers together, in (0, 1); at least one is taken.

    Returns:
        layer -> bool [units].
    """
    together = torch.cat(list(scores.values()))
    count = max(1, round(ratio * len(together)))
    chosen = torch.zeros(len(together), dtype=torch.bool, device=together.device)
    chosen[together.topk(count).indices] = True
    pieces = chosen.split([len(s) for s in scores.values()])
    return dict(zip(scores, pieces, strict=True))


def forget_specific_units(
    forget: Mapping[str, Mapping[str, torch.Tensor]],
    retain: Mapping[str, Mapping[str, torch.Tensor]],
    score: str,
    ratio: float,
) -> dict[str, torch.Tensor]:
    """The `ratio` of all units whose use for the forget set is largest beside the retain set.

    Args:
        forget: use by the forget set, see `unit_use`.
        retain: use by the retain set.
        score: one of `SCORES`.
        ratio: share of the units of all layers together, in (0, 1); at least one is taken.

    Returns:
        layer -> bool [units], True where the unit is to be pruned.
    """
    scores = {name: forget[name][score] / (retain[name][score] + EPSILON) for name in forget}
    return most(scores, ratio)


def prune(layers: Mapping[str, torch.nn.Linear], units: Mapping[str, torch.Tensor]) -> None:
    """Takes hidden units out, in place: what the next layer reads from them becomes 0."""
    with torch.no_grad():
        for name, gone in units.items():
            layers[name].weight[:, gone.to(layers[name].weight.device)] = 0
