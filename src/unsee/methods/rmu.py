"""Representation misdirection (RMU; WMDP, arXiv 2403.03218) of W's hidden states.

    L = w_f ||h(x_f) - c u||^2 + w_r ||h(x_r) - h_original(x_r)||^2

h are the hidden states after `layer` blocks of W, u a fixed random direction of length 1; means
over attended tokens and dimensions. As in the paper, of W only the output weights of the MLPs of
the last `edited_blocks` of these blocks are trained; of V and P, if `trainable` names them,
everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.anatomy.families import LANGUAGE
from unsee.errors import UnseeError, check_counts, check_positive
from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.pruning import block_of
from unsee.methods.registry import Method, register


@dataclass
class RMUConfig(AnswersConfig):
    """Options of RMU."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (1e-5, 1e-2),
        "max_steps": [100, 200, 400],
        "steering": [1.0, 3.0, 10.0, 30.0],
        "retain_weight": (0.3, 100.0),
        "trainable": ["language", "vision+projector"],
    }

    trainable: str = field(default="language", metadata={"help": "parts that are trained"})
    layer: int = field(
        default=0, metadata={"help": "blocks of W whose hidden states are moved; 0: half of them"}
    )
    edited_blocks: int = field(default=3, metadata={"help": "blocks of W that are trained"})
    steering: float = field(default=10.0, metadata={"help": "c, length of the direction"})
    learning_rate: float = field(default=1e-4, metadata={"help": "peak learning rate of AdamW"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "steering")
        check_counts(self, "edited_blocks")
        if self.layer < 0:
            raise UnseeError("layer must not be negative")


def attended(values: torch.Tensor, batch: Mapping[str, Any]) -> torch.Tensor:
    """[B, T, D] -> [N, D], fp32: the tokens that are no padding."""
    return values[batch["attention_mask"].bool()].float()


def hidden_states(made: Any) -> Any:
    """W's hidden states, which some models give with what W itself gave."""
    return getattr(made, "language_model_outputs", made).hidden_states


class RMUTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        generator = torch.Generator().manual_seed(self.args.seed)
        width = self.anatomy.model.config.get_text_config().hidden_size
        direction = torch.rand(width, generator=generator)
        self.direction = direction / direction.norm()

    def layer(self, args: RMUConfig) -> int:
        """How many blocks of W have run where the hidden states are read."""
        blocks = self.anatomy.model.config.get_text_config().num_hidden_layers
        if args.layer >= max(2, blocks):  # behind the last one comes the norm
            raise UnseeError(
                f"layer={args.layer} must be below the language model's {blocks} blocks"
            )
        return args.layer or max(1, blocks // 2)

    def select(self, args: RMUConfig, trained: list[str]) -> list[str]:
        last = self.layer(args)
        blocks = range(max(0, last - args.edited_blocks), last)
        ends = tuple(f"{name}.weight" for name in self.anatomy.family.text_mlp_out)

        def edited(name: str) -> bool:
            in_language = self.anatomy.part_of(name) == LANGUAGE
            return not in_language or (block_of(name) in blocks and name.endswith(ends))

        return [name for name in trained if edited(name)]

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        """Tokens that are no padding."""
        return float(batch["attention_mask"].sum())

    def hidden(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """[N, D]: hidden states of the tokens that are no padding."""
        made = model(**outputs.model_inputs(batch), output_hidden_states=True)
        return attended(hidden_states(made)[self.layer(self.args)], batch)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        found = self.hidden(model, batch)
        target = self.args.steering * self.direction.to(found.device)
        return (found - target).square().mean()

    def original_hidden(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """[N, D]: the same of the frozen original."""
        made = self.original_output(batch, output_hidden_states=True)
        return attended(hidden_states(made)[self.layer(self.args)], batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return (self.hidden(model, batch) - self.original_hidden(batch)).square().mean()


register(
    Method(
        name="rmu",
        source="WMDP, arXiv 2403.03218",
        fidelity="paper",
        trains="language",
        touches_language=True,
        runs_language=True,
        summary="hidden states of W for the forget set to a random direction, others held",
        trainer="unsee.methods.rmu.RMUTrainer",
        config="unsee.methods.rmu.RMUConfig",
    )
)
