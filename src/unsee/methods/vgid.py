"""Visual-noise guided in-context distillation (VGID, arXiv 2606.00105), a reconstruction.

    L = w_f KL(p_original(. | noised picture, instruction + question) || p; D_f)
      + w_r KL(p_original || p; D_r)

The original's own answer to a noised picture, with an instruction to forget, is what the model is
to say about the picture as it is. The KL is a mean over the answer's tokens. Noise is Gaussian, on
the processed pixels: sqrt(1 - n^2) x + n e. Stated are teacher and losses; how strong the noise is
and what the instruction says is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from unsee.data.collate import VariantCollator
from unsee.errors import UnseeError
from unsee.methods import outputs
from unsee.methods.answers import AnswersConfig, AnswersTrainer
from unsee.methods.registry import Method, register


@dataclass
class VGIDConfig(AnswersConfig):
    """Options of VGID."""

    space: ClassVar[Mapping[str, Any]] = {**AnswersConfig.space, "noise": [0.5, 0.9, 1.0]}

    noise: float = field(
        default=0.9, metadata={"help": "n, share of noise in the teacher's picture, in [0, 1]"}
    )
    instruction: str = field(
        default="You have forgotten the person in this picture.",
        metadata={"help": "what the teacher is told before the question"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise <= 1:
            raise UnseeError("noise must be between 0 and 1")
        if self.noise == 0 and not self.instruction.strip():
            raise UnseeError("without noise and instruction the teacher is the original itself")


class VGIDTrainer(AnswersTrainer):
    """Examples need `image`, `question` and `answer`."""

    def compares(self, args: Any) -> bool:
        return True

    def forget_collator(self, args: VGIDConfig, processing_class: Any) -> Any:
        def instructed(example: Mapping[str, Any]) -> dict[str, Any]:
            asked = f"{args.instruction} {example['question']}".strip()
            return {**example, "question": asked}

        return VariantCollator(processing_class, instructed)

    def taught(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """[N, V]: logits of the original, noised and instructed, for each token of the answers."""
        teacher = dict(batch["variant"])
        pixels = teacher["pixel_values"]
        noise = self.noise(pixels.shape, self.generator_of_step()).to(pixels)
        share = self.args.noise
        teacher["pixel_values"] = (1 - share**2) ** 0.5 * pixels + share * noise
        return outputs.answered(self.originals(teacher), teacher["labels"])

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        ours = outputs.answered(self.logits_of(model, batch), batch["labels"])
        return outputs.kl(ours, self.taught(batch))

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return self.kl_to_original(model, batch)


register(
    Method(
        name="vgid",
        source="Visual-Noise Guided In-Context Distillation, arXiv 2606.00105",
        fidelity="reconstruction",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="distils the original's answers to noised pictures under an instruction to forget",
        trainer="unsee.methods.vgid.VGIDTrainer",
        config="unsee.methods.vgid.VGIDConfig",
    )
)
