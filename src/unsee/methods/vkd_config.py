"""The switches of Visual Knowledge Distillation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from unsee.errors import UnseeError, check_counts, check_offered, check_positive
from unsee.methods.config import UnlearningConfig
from unsee.methods.distances import DISTANCES
from unsee.methods.pruning import SCORES
from unsee.methods.saliency import MASKS

TARGETS = (
    "anonymous",
    "k-same",
    "mean-retain",
    "other-people",
    "pruned",
    "random-direction",
    "repel",
    "strangers",
)
FEATURES = {
    "vision+projector": ("vision", "projector"),
    "vision": ("vision",),
    "projector": ("projector",),
}
OUTPUT_LOSSES = ("none", "ce", "npo", "kl")
FISHER_OF = ("features", "ce")
PRUNE_SIDES = ("teacher", "student", "both")


@dataclass
class VKDConfig(UnlearningConfig):
    """Options of VKD. The defaults are what the ablation on the embedded benchmark found among the
    best of what needs neither W nor questions (`docs/ablation.md`)."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (1e-4, 3e-3),
        "max_steps": [200, 400, 600],
        "retain_weight": (0.5, 10.0),
        "target_strength": [1.0, 1.3, 1.5],
        "identity_weight": (1.0, 30.0),
    }

    forget_target: str = field(
        default="anonymous",
        metadata={"help": "where features of the forget set are moved", "choices": list(TARGETS)},
    )
    target_strength: float = field(
        default=1.3, metadata={"help": "how far `anonymous` moves; 1 is the mean of the retained"}
    )
    near_pictures: int = field(
        default=100,
        metadata={
            "help": "retain pictures most like a person whose mean `anonymous` moves to; 0: of all"
        },
    )
    identity_weight: float = field(
        default=10.0,
        metadata={"help": "weight of what `anonymous` leaves of a person in single pictures"},
    )
    neighbours: int = field(
        default=8, metadata={"help": "pictures that `k-same` and `strangers` average"}
    )
    repel_margin: float = field(
        default=1.0, metadata={"help": "distance from the original at which `repel` stops pushing"}
    )
    features: str = field(
        default="projector",
        metadata={"help": "features that are distilled", "choices": list(FEATURES)},
    )
    blocks: str = field(
        default="", metadata={"help": "vision blocks distilled besides, such as 0,2"}
    )
    distance: str = field(
        default="relative",
        metadata={"help": "distance between features", "choices": list(DISTANCES)},
    )
    output_loss: str = field(
        default="none",
        metadata={
            "help": "loss on answers besides, through the frozen W; none: W is never run",
            "choices": list(OUTPUT_LOSSES),
        },
    )
    output_weight: float = field(default=1.0, metadata={"help": "weight of the loss on answers"})
    npo_beta: float = field(default=0.1, metadata={"help": "inverse temperature of NPO"})
    mask: str = field(
        default="none",
        metadata={"help": "weights that the forget side may move", "choices": list(MASKS)},
    )
    mask_threshold: float = field(
        default=1.0, metadata={"help": "Fisher ratio, forget over retain, from which a weight may"}
    )
    fisher_of: str = field(
        default="features",
        metadata={"help": "what the mask's Fisher is of; ce needs W", "choices": list(FISHER_OF)},
    )
    prune_score: str = field(
        default="rms",
        metadata={"help": "use of a unit, forget over retain", "choices": list(SCORES)},
    )
    prune_ratio: float = field(default=0.05, metadata={"help": "share of V's units pruned"})
    prune_side: str = field(
        default="teacher",
        metadata={
            "help": "who is pruned: the teacher of target `pruned`, the model itself, or both",
            "choices": list(PRUNE_SIDES),
        },
    )
    vision_blocks: int = field(
        default=0,
        metadata={"help": "train only the last so many blocks of V that are read; 0: all"},
    )
    hard_share: float = field(
        default=0.5,
        metadata={"help": "share of the retain pictures that are most like those to forget"},
    )
    hard_pictures: int = field(
        default=50, metadata={"help": "retain pictures beside each person that count as most like"}
    )
    statistics_pictures: int = field(
        default=512, metadata={"help": "retain pictures that means and use of units are taken over"}
    )
    fisher_pictures: int = field(
        default=64, metadata={"help": "pictures a side that the mask is computed on"}
    )
    augment: bool = field(
        default=True, metadata={"help": "vary pictures a little: place, size, angle, light"}
    )
    retain_weight: float = field(
        default=3.0, metadata={"help": "weight of the retain side's loss (>= 0)"}
    )
    learning_rate: float = field(
        default=1e-3, metadata={"help": "peak learning rate of AdamW; large models want far less"}
    )
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "pictures to forget, and as many to retain, a step"}
    )
    max_steps: int = field(
        default=600, metadata={"help": "steps; -1: num_train_epochs over the larger set"}
    )
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "as in transformers"})
    warmup_steps: float = field(default=10, metadata={"help": "as in transformers"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offered(
            self,
            forget_target=TARGETS,
            features=FEATURES,
            distance=DISTANCES,
            output_loss=OUTPUT_LOSSES,
            mask=MASKS,
            fisher_of=FISHER_OF,
            prune_score=SCORES,
            prune_side=PRUNE_SIDES,
        )
        if not 0 <= self.hard_share < 1:
            raise UnseeError("hard_share must be at least 0 and below 1")
        check_counts(self, "neighbours", "hard_pictures", "statistics_pictures", "fisher_pictures")
        if self.near_pictures < 0 or self.identity_weight < 0:
            raise UnseeError("near_pictures and identity_weight must be at least 0")
        check_positive(self, "repel_margin", "npo_beta", "mask_threshold")
        if not 0 < self.prune_ratio < 1:
            raise UnseeError("prune_ratio must be between 0 and 1")
        if self.mask in ("fisher", "random") and self.fisher_of == "ce" and not self.runs_language:
            raise UnseeError(
                "fisher_of=ce needs the language model, which output_loss=none never runs: "
                "choose fisher_of=features, or an output_loss"
            )
        if self.forget_target == "pruned" and self.prune_side == "student":
            raise UnseeError("forget_target=pruned needs prune_side=teacher or both")
        if self.lora_rank and self.mask != "none":
            raise UnseeError("a mask is of the weights, which lora_rank leaves alone: choose one")
        if self.save_adapter == "adapter" and self.prune_side != "teacher":
            raise UnseeError(
                "an adapter does not carry what prune_side takes out of the model: choose "
                "save_adapter=merged or prune_side=teacher"
            )
        self.feature_names  # noqa: B018  refuses bad blocks early

    @property
    def runs_language(self) -> bool:
        """Whether W is run in training."""
        return self.output_loss != "none"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features that are distilled, see `VisualFeatures.pick`.

        Raises:
            UnseeError: `blocks` is not a list of numbers.
        """
        try:
            blocks = sorted({int(part) for part in self.blocks.split(",") if part.strip()})
        except ValueError:
            blocks = [-1]
        if blocks and blocks[0] < 0:
            raise UnseeError(f"blocks={self.blocks!r}: give numbers from 0, such as 0,2")
        return (*(f"block-{number}" for number in blocks), *FEATURES[self.features])
