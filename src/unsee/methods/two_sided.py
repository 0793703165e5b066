"""Two-sided erasure, ours: W forgets whose face it was told about, then VKD moves the face away.

A frozen W keeps the binding from a face to the facts, and little brings a face back (see
`unsee.attacks.relearn`). So, first, W alone learns other answers to the questions about the
pictures to forget, while retained pictures and questions in words keep theirs:

    L_1 = w_f CE(other answers; D_f) + w_r [CE(answers; D_r) + CE(answers; words) + CE(said; D_s)]

(D_s: pictures of strangers, where there are any, with questions of the retained; W is to say what
the original says of them), and then V and P alone are trained by VKD. W changes, so texts are not
the same to the bit: their drift has to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from transformers.utils import logging

from unsee import distributed
from unsee.anatomy.families import LANGUAGE
from unsee.data.collate import QuestionCollator, evenly
from unsee.data.pixels import shown
from unsee.data.records import PRIVATE, PictureKey, Question
from unsee.errors import UnseeError, check_offered
from unsee.evaluation.answering import answer
from unsee.methods import outputs
from unsee.methods.answers import REFUSAL
from unsee.methods.base import UnlearningTrainer
from unsee.methods.registry import Method, register
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import VKDConfig

logger = logging.get_logger(__name__)
ANSWERS = ("abstain", "others")
HELD_STRANGERS = 256
"""Pictures of strangers, evenly spread, of which W goes on to say what it said."""


@dataclass
class TwoSidedConfig(VKDConfig):
    """Options of two-sided erasure: those of VKD, and of what W learns before."""

    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": (3e-5, 3e-3),
        "max_steps": [200, 400, 600],
        "language_share": [0.1, 0.25, 0.5],
        "retain_weight": (0.5, 10.0),
    }

    trainable: str = field(default="all", metadata={"help": "parts that are trained: all"})
    language_share: float = field(
        default=0.25, metadata={"help": "share of the steps, the first ones, in which W learns"}
    )
    forget_answer: str = field(
        default="abstain",
        metadata={"help": "what W learns to say instead", "choices": list(ANSWERS)},
    )
    abstain_text: str = field(default=REFUSAL, metadata={"help": "the words of `abstain`"})
    target_strength: float = field(default=1.0, metadata={"help": "as in VKD"})
    near_pictures: int = field(default=0, metadata={"help": "as in VKD"})
    identity_weight: float = field(default=0.0, metadata={"help": "as in VKD"})
    learning_rate: float = field(default=3e-4, metadata={"help": "of AdamW, for both stages"})
    max_steps: int = field(default=400, metadata={"help": "steps of both stages together"})
    lr_scheduler_type: str = field(
        default="constant_with_warmup", metadata={"help": "as in transformers"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offered(self, forget_answer=ANSWERS)
        if not 0 < self.language_share < 1:
            raise UnseeError("language_share must be between 0 and 1")
        if self.mask != "none" or self.output_loss != "none":
            raise UnseeError("two_sided has no mask and no output_loss")

    @property
    def runs_language(self) -> bool:
        """W is run in the first stage."""
        return True


class OtherAnswers:
    """The pictures to forget with other answers: that nobody is known, or a retained person's.

    Args:
        forget: examples with `image`, `question`, `answer`.
        retain: the same of people to keep.
        args: which answers.
    """

    def __init__(self, forget: Any, retain: Any, args: TwoSidedConfig) -> None:
        self.forget, self.args = forget, args
        self.answers: dict[str, list[str]] = {}
        if args.forget_answer == "others":
            for index in range(len(retain)):
                example = retain[index]
                self.answers.setdefault(example["question"], []).append(example["answer"])

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = dict(self.forget[index])
        if self.args.forget_answer == "abstain":
            return {**example, "answer": self.args.abstain_text}
        found = self.answers.get(example["question"])
        if not found:
            raise UnseeError(
                f"no retained person is asked {example['question']!r}: forget_answer=others needs "
                "the same questions on both sides"
            )
        return {**example, "answer": found[(7919 * index + self.args.seed) % len(found)]}


class TwoSidedTrainer(VKDTrainer):
    """Examples need `image`, `question` and `answer`; `text_dataset` holds questions in words
    (`image` None) that must keep their answers."""

    supports = ("all",)

    def __init__(
        self,
        model: Any,
        args: TwoSidedConfig,
        forget_dataset: Any,
        retain_dataset: Any,
        processing_class: Any,
        **kwargs: Any,
    ) -> None:
        others = OtherAnswers(forget_dataset, retain_dataset, args)
        super().__init__(model, args, others, retain_dataset, processing_class, **kwargs)
        self._asking = QuestionCollator(processing_class)
        self.said_of_strangers = self._as_before(model, processing_class)
        if not self.texts:
            logger.warning(
                "no text_dataset (--texts): nothing holds what W says to questions in words"
            )

    @property
    def speaks(self) -> bool:
        """Whether this step is one of W's."""
        steps = self.state.max_steps or self.args.max_steps
        return self.state.global_step < max(1, round(self.args.language_share * steps))

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Gradients of the part whose turn it is; the other part has none and stays."""
        trained = {name: self.anatomy.model.get_parameter(name) for name in self.trained}
        if self.is_fsdp_enabled:  # whose shards stay trainable: gradients are dropped instead
            loss = super().training_step(*args, **kwargs)
            for name, parameter in trained.items():
                if (self.anatomy.part_of(name) == LANGUAGE) != self.speaks:
                    parameter.grad = None
            return loss
        try:
            for name, parameter in trained.items():
                of_language = self.anatomy.part_of(name) == LANGUAGE
                parameter.requires_grad_(of_language == self.speaks)
            return super().training_step(*args, **kwargs)
        finally:
            for parameter in trained.values():
                parameter.requires_grad_(True)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """While W learns, no teacher is needed."""
        owner = UnlearningTrainer if self.speaks else VKDTrainer
        return owner.compute_loss(self, *args, **kwargs)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return self._answers(model, batch) if self.speaks else super().forget_loss(model, batch)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        if not self.speaks:
            return super().retain_loss(model, batch)
        loss = self._answers(model, batch)
        generator = self.generator_of_step()
        count = self.args.per_device_train_batch_size * distributed.processes()
        for held in filter(None, (self.texts, self.said_of_strangers)):
            drawn = torch.randint(len(held), (count,), generator=generator).tolist()
            chosen = self.part_of(drawn)
            examples = self._prepare_inputs(self._asking([held[i] for i in chosen]))
            loss = loss + self._answers(model, examples, drawn=True)
        return loss

    def _as_before(self, model: Any, processor: Any) -> list[dict[str, Any]]:
        """Pictures of strangers, each with a question of the retained and what the original says;
        none where it says nothing."""
        pairs, strangers = self.train_dataset, self.strangers
        if not strangers:
            return []
        pictures, asked = {}, []
        for number, index in enumerate(evenly(len(strangers), HELD_STRANGERS)):
            key = PictureKey(number, "given", index)
            pictures[key] = shown(strangers[index])
            question = pairs.retain[(7919 * number) % len(pairs.retain)]["question"]
            asked.append(Question("", number, "", key, PRIVATE, "", question, ""))
        said = distributed.agreed(
            answer(model, processor, asked, pictures.__getitem__, progress=False)
        )
        return [
            {"image": pictures[q.picture], "question": q.question, "answer": text}
            for q, text in zip(asked, said, strict=True)
            if q.picture is not None and text
        ]

    def _answers(self, model: Any, batch: Mapping[str, Any], drawn: bool = False) -> torch.Tensor:
        tokens = float(outputs.answer_lengths(batch["labels"]).sum())
        return self.share(tokens, drawn) * outputs.cross_entropy_of(model, batch)


register(
    Method(
        name="two_sided",
        source="this project",
        fidelity="ours",
        trains="all",
        touches_language=True,
        runs_language=True,
        summary="W learns other answers about the forget pictures, then VKD on V and P",
        trainer="unsee.methods.two_sided.TwoSidedTrainer",
        config="unsee.methods.two_sided.TwoSidedConfig",
    )
)
