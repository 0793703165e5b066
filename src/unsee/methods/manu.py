"""MANU (arXiv 2502.15910): the hidden units that speak of the forget set are pruned; no training.

For each hidden unit of the MLPs of V and W, with Z the mean |z|, N the share of tokens where |z| >
tau, V the variance and E the mean square of its activation z, under picture and question (m) and
under the question alone (t):

    I_abs  = |Z_m - Z_t| / (Z_m + Z_t + eps)      I_freq = |N_m - N_t| / (N_m + N_t + eps)
    I_var  = sqrt(V_m + V_t)                      I_rms  = sqrt(|E_m - E_t| / (E_m + E_t + eps))
    S = sum I(D_f) / (sum I(D_r) + eps)

The units with the largest S are taken out: what the next layer reads from them becomes 0. A
question alone does not touch V, whose units have no activation then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.anatomy.families import LANGUAGE, VISION
from unsee.data.collate import VariantCollator
from unsee.errors import UnseeError, check_counts
from unsee.methods import pruning
from unsee.methods.answers import AnswersConfig
from unsee.methods.config import TRAINABLE
from unsee.methods.editor import EditorTrainer
from unsee.methods.registry import Method, register

EPSILON = 1e-8
Use = Mapping[str, torch.Tensor]


@dataclass
class ManuConfig(AnswersConfig):
    """Options of MANU; those of the optimisation have no effect."""

    space: ClassVar[Mapping[str, Any]] = {
        "prune_ratio": (0.002, 0.3),
        "trainable": ["all", "vision", "language"],
    }

    prune_ratio: float = field(
        default=0.05, metadata={"help": "share of the hidden units that are taken out, in (0, 1)"}
    )
    activity_threshold: float = field(
        default=0.1, metadata={"help": "tau, the |z| from which a unit is active"}
    )
    statistics_pictures: int = field(
        default=256, metadata={"help": "examples of each side that units are scored on"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "statistics_pictures")
        if not 0 < self.prune_ratio < 1:
            raise UnseeError("prune_ratio must be between 0 and 1")


def importance(seen: Use, read: Use) -> torch.Tensor:
    """I_abs + I_freq + I_var + I_rms of the units of a layer, [units], fp64.

    Args:
        seen: `abs-mean`, `frequency`, `std`, `rms` under picture and question, see
            `pruning.unit_use`.
        read: the same under the question alone; empty where that does not run the layer.
    """
    read = read or {name: torch.zeros_like(values) for name, values in seen.items()}

    def apart(name: str, power: int = 1) -> torch.Tensor:
        ours, theirs = seen[name] ** power, read[name] ** power
        return (ours - theirs).abs() / (ours + theirs + EPSILON)

    variance = seen["std"] ** 2 + read["std"] ** 2
    return apart("abs-mean") + apart("frequency") + variance.sqrt() + apart("rms", 2).sqrt()


class ManuTrainer(EditorTrainer):
    """Examples need `image`, `question` and `answer`."""

    def select(self, args: ManuConfig, trained: list[str]) -> list[str]:
        parts = [part for part in (VISION, LANGUAGE) if part in TRAINABLE[args.trainable]]
        layers = pruning.hidden_layers(self.anatomy, *parts)
        return [name for name in trained if name.rpartition(".")[0] in layers]

    def collator(self, args: ManuConfig, processing_class: Any) -> Any:
        def read(example: Mapping[str, Any]) -> dict[str, Any]:
            return {**example, "image": None}

        return VariantCollator(processing_class, read)

    def _importance(self, side: Any) -> dict[str, torch.Tensor]:
        model, args = self.anatomy.model, self.args
        layers = {n: model.get_submodule(n.rpartition(".")[0]) for n in self._weights}

        def use(of: Any) -> dict[str, dict[str, torch.Tensor]]:
            batches = (of(b) for b in self.batches(side, args.statistics_pictures, size=1))
            return pruning.unit_use(
                lambda batch: self.logits_of(model, batch), layers, batches, args.activity_threshold
            )

        seen, read = use(lambda batch: batch), use(lambda batch: batch["variant"])
        return {name: importance(seen[name], read.get(name, {})) for name in layers}

    def edit(self) -> None:
        self._weights = [name for name in self.trained if name.endswith(".weight")]
        forget, retain = map(
            self._importance, (self.train_dataset.forget, self.train_dataset.retain)
        )
        scores = {name: forget[name] / (retain[name] + EPSILON) for name in forget}
        units = pruning.most(scores, self.args.prune_ratio)
        model = self.anatomy.model
        pruning.prune({n: model.get_submodule(n.rpartition(".")[0]) for n in units}, units)


register(
    Method(
        name="manu",
        source="MANU, arXiv 2502.15910",
        fidelity="paper",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="prunes the hidden units of V and W that speak of the forget set; no training",
        trainer="unsee.methods.manu.ManuTrainer",
        config="unsee.methods.manu.ManuConfig",
        edits=True,
    )
)
