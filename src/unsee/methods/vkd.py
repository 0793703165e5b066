"""Visual Knowledge Distillation (VKD, arXiv 2512.11325), a reconstruction: first form.

W is frozen and never run. V and P learn from the frozen original, the teacher T, through
intermediate visual representations z = (vision layer that the projector reads, projector output):

    L = w_f d(z_S(x_f), target(x_f)) + w_r d(z_S(x_r), z_T(x_r))

d is the squared error per token over the teacher's mean squared norm. A text-only prompt touches
neither V nor P, so the answer to it is the same to the bit, before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from unsee.anatomy.anatomy import VisualFeatures
from unsee.errors import UnseeError
from unsee.methods import vkd_targets
from unsee.methods.base import UnlearningConfig, UnlearningTrainer
from unsee.methods.distances import relative_squared_error
from unsee.methods.registry import Method, register

FEATURES = {
    "vision+projector": ("vision", "projector"),
    "vision": ("vision",),
    "projector": ("projector",),
}
TARGETS = ("anonymous", "k-same", "mean-retain", "other-people", "random-direction")


@dataclass
class VKDConfig(UnlearningConfig):
    """Options of VKD. Defaults were chosen on validation people of the embedded benchmark."""

    forget_target: str = field(
        default="anonymous",
        metadata={"help": "where features of the forget set are moved", "choices": list(TARGETS)},
    )
    target_strength: float = field(
        default=1.0, metadata={"help": "how far `anonymous` moves; 1 is the mean of the retained"}
    )
    neighbours: int = field(default=8, metadata={"help": "retain pictures that `k-same` averages"})
    features: str = field(
        default="vision+projector",
        metadata={"help": "features that are distilled", "choices": list(FEATURES)},
    )
    statistics_pictures: int = field(
        default=512, metadata={"help": "retain pictures that the mean feature is taken over"}
    )
    learning_rate: float = field(default=3e-4, metadata={"help": "peak learning rate of AdamW"})
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "pictures to forget, and as many to retain, a step"}
    )
    max_steps: int = field(
        default=300, metadata={"help": "steps; -1: num_train_epochs over the larger set"}
    )
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "as in transformers"})
    warmup_steps: float = field(default=10, metadata={"help": "as in transformers"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, offered in (
            ("forget_target", self.forget_target, TARGETS),
            ("features", self.features, FEATURES),
        ):
            if value not in offered:
                raise UnseeError(f"{name}={value!r} is not offered; choose {', '.join(offered)}")


class VKDTrainer(UnlearningTrainer):
    """Unlearns the look of people by distillation of V and P; see the module's text.

    The arguments are those of `UnlearningTrainer`; an example needs an `image` and may hold the
    `person` it shows, which `anonymous` uses to take means person by person.
    """

    supports = ("vision+projector", "vision", "projector")

    def __init__(self, model: Any, args: VKDConfig, *datasets: Any, **kwargs: Any) -> None:
        super().__init__(model, args, *datasets, **kwargs)
        self.teacher = self.anatomy.seeing.frozen_copy()
        self.target = self._build_target()

    def _batches(self, dataset: Any, count: int) -> Iterator[dict[str, Any]]:
        """Batches of `count` examples spread evenly over a dataset."""
        count = min(count, len(dataset))
        chosen = [i * len(dataset) // count for i in range(count)]
        for start in range(0, count, 32):
            examples = [dataset[i] for i in chosen[start : start + 32]]
            yield self._prepare_inputs(self.data_collator.collate(examples))

    def _build_target(self) -> vkd_targets.Target:
        pairs, args = self.train_dataset, self.args
        self._group_of = torch.arange(len(pairs.forget))
        if args.forget_target == "other-people":
            return vkd_targets.other_people()
        if args.forget_target == "k-same":
            return vkd_targets.k_same(
                self.teacher,
                self._batches(pairs.forget, len(pairs.forget)),
                self._batches(pairs.retain, args.statistics_pictures),
                args.neighbours,
            )
        everyone = vkd_targets.mean_features(
            self.teacher, self._batches(pairs.retain, args.statistics_pictures)
        )
        if args.forget_target == "mean-retain":
            return vkd_targets.mean_retain(everyone)
        if args.forget_target == "random-direction":
            return vkd_targets.random_direction(everyone, args.seed)
        groups: dict[Any, list[int]] = {}
        for index in range(len(pairs.forget)):
            groups.setdefault(pairs.forget[index].get("person"), []).append(index)
        self._group_of = torch.empty(len(pairs.forget), dtype=torch.long)
        means = []
        for number, members in enumerate(groups.values()):
            self._group_of[members] = number
            of_person = [pairs.forget[i] for i in members]
            means.append(
                vkd_targets.mean_features(self.teacher, self._batches(of_person, len(of_person)))
            )
        forgotten = VisualFeatures(
            torch.cat([m.vision for m in means]), torch.cat([m.projector for m in means])
        )
        return vkd_targets.anonymous(forgotten, everyone, args.target_strength)

    def _distance(self, seen: VisualFeatures, target: VisualFeatures) -> torch.Tensor:
        names = FEATURES[self.args.features]
        distances = [relative_squared_error(getattr(seen, n), getattr(target, n)) for n in names]
        return torch.stack(distances).mean()

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Runs the teacher on both sides once, then the two losses."""
        with torch.no_grad():
            self._taught = {side: self.teacher(inputs[side]) for side in ("forget", "retain")}
        self._people = self._group_of[inputs["forget_index"].cpu()]
        return super().compute_loss(model, inputs, *args, **kwargs)

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        target = self.target(self._taught["forget"], self._taught["retain"], self._people)
        return self._distance(self.anatomy.seeing(batch), target)

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        return self._distance(self.anatomy.seeing(batch), self._taught["retain"])


register(
    Method(
        name="vkd",
        source="Visual Knowledge Distillation, arXiv 2512.11325",
        fidelity="reconstruction",
        trains="vision+projector",
        touches_language=False,
        runs_language=False,
        summary="distils V and P from the frozen original; W is neither trained nor run",
        trainer="unsee.methods.vkd.VKDTrainer",
        config="unsee.methods.vkd.VKDConfig",
    )
)
