"""Visual Knowledge Distillation (VKD, arXiv 2512.11325), a reconstruction.

W is frozen. V and P learn from the frozen original, the teacher T, through intermediate visual
representations z (the vision layer that the projector reads, the projector's output, further
blocks):

    L = w_f [d(z_S(x_f), t(x_f)) + w_i I(z_S(x_f)) + w_o F(x_f)]
      + w_r [d(z_S(x_r), z_T(x_r)) + w_o R(x_r)]

t is the target and I what it leaves of a person (`vkd_targets`). F and R are losses on answers
through W: none, so that W is never run (`output_loss=none`), or
-CE and CE, NPO and CE, -CE and KL to the original. A text-only prompt touches neither V nor P, so
the answer to it is the same to the bit, before and after. A mask confines what the forget side may
move; pruning takes the forget set's units out of a teacher or of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch

from unsee import distributed
from unsee.anatomy.anatomy import Seeing
from unsee.data.collate import QuestionCollator, evenly
from unsee.errors import UnseeError
from unsee.methods import outputs, pruning, saliency, vkd_targets
from unsee.methods.base import UnlearningTrainer
from unsee.methods.distances import DISTANCES
from unsee.methods.registry import Method, register
from unsee.methods.vkd_config import VKDConfig
from unsee.methods.vkd_targets import Features

NEAR_AMONG = 4096
"""Retain pictures, evenly spread, among which those most like the ones to forget are looked for."""


class VKDTrainer(UnlearningTrainer):
    """Unlearns the look of people by distillation of V and P; see the module's text.

    The arguments are those of `UnlearningTrainer`. An example needs an `image` and may hold the
    `person` it shows, which `anonymous` uses to take means person by person; with an output loss
    also `question` and `answer`. The target `strangers` needs a `stranger_dataset`.
    """

    supports: tuple[str, ...] = ("vision+projector", "vision", "projector")

    def __init__(self, model: Any, args: VKDConfig, *datasets: Any, **kwargs: Any) -> None:
        super().__init__(model, args, *datasets, **kwargs)
        if args.forget_target == "strangers" and not self.strangers:
            raise UnseeError("forget_target=strangers needs pictures of strangers")
        self.names = args.feature_names
        self.distance = DISTANCES[args.distance]
        self.teacher = self.forget_teacher = self.anatomy.seeing.frozen_copy()
        self._check_blocks()
        self.target = self._build_target()
        if args.hard_share:
            self.train_dataset.order = distributed.agreed(self._harder())
        if args.prune_side != "teacher":
            self._prune(self.anatomy.seeing)
        if args.mask != "none":
            self.confine(self._build_mask())

    def collator(self, args: VKDConfig, processing_class: Any) -> Any:
        if args.runs_language:
            return QuestionCollator(processing_class)
        return super().collator(args, processing_class)

    def select(self, args: VKDConfig, trained: list[str]) -> list[str]:
        """The last `vision_blocks` read blocks, if not all are wanted; the projector beside."""
        if not args.vision_blocks:
            return trained
        first = max(self.anatomy.read_blocks) + 1 - args.vision_blocks
        family, core = self.anatomy.family, self.anatomy.seeing.core

        def kept(name: str) -> bool:
            block = family.block(core, name)
            in_vision = self.anatomy.part_of(name) == "vision"
            return not in_vision or (block is not None and block >= first)

        return [name for name in trained if kept(name)]

    # ---- what is built once, before training ------------------------------------------------

    def _seen(self, seeing: Seeing, batch: Mapping[str, Any]) -> Features:
        return seeing(batch).pick(self.names)

    def _teach(self, batch: Mapping[str, Any], teacher: Seeing | None = None) -> Features:
        with torch.no_grad():
            return self._seen(teacher or self.teacher, batch)

    def _check_blocks(self) -> None:
        read = max(self.anatomy.read_blocks)
        behind = [n for n in self.names if n.startswith("block-") and int(n[6:]) > read]
        if behind:
            raise UnseeError(f"blocks: {behind[0]} lies behind the last block read, block-{read}")

    def _prune(self, seeing: Seeing) -> None:
        """Takes the forget set's units out of V, in place; use is measured on the original."""
        layers = pruning.mlp_outputs(self.teacher, self.anatomy.read_blocks)
        use = [
            pruning.unit_use(self.teacher, layers, self.batches(side, count))
            for side, count in (
                (self.train_dataset.forget, len(self.train_dataset.forget)),
                (self.train_dataset.retain, self.args.statistics_pictures),
            )
        ]
        score, ratio = self.args.prune_score, self.args.prune_ratio
        found = pruning.forget_specific_units(use[0], use[1], score, ratio)
        units = distributed.agreed_tensors(found)
        pruning.prune(pruning.mlp_outputs(seeing, self.anatomy.read_blocks), units)

    def _build_target(self) -> vkd_targets.Target:
        pairs, args = self.train_dataset, self.args
        everybody = self.batches(pairs.retain, args.statistics_pictures)
        self._group_of = torch.arange(len(pairs.forget))
        if args.forget_target == "other-people":
            return vkd_targets.other_people()
        if args.forget_target == "repel":
            return vkd_targets.nudged(args.seed, noise=self.noise, overall=self._overall)
        if args.forget_target == "pruned":
            self.forget_teacher = self.teacher.frozen_copy()
            self._prune(self.forget_teacher)
            return vkd_targets.as_taught()
        if args.forget_target in ("k-same", "strangers"):
            others = everybody
            if args.forget_target == "strangers":
                others = self.batches(self.strangers, len(self.strangers))
            return vkd_targets.k_same(self._teach, others, args.neighbours)
        everyone = vkd_targets.mean_features(self._teach, everybody)
        if args.forget_target == "mean-retain":
            return vkd_targets.mean_retain(everyone)
        if args.forget_target == "random-direction":
            return vkd_targets.random_direction(everyone, args.seed)
        means = []
        for number, members in enumerate(self._groups()):
            self._group_of[members] = number
            of_person = [pairs.forget[i] for i in members]
            batches = self.batches(of_person, len(of_person))
            means.append(vkd_targets.mean_features(self._teach, batches))
        forgotten = _side_by_side(means)
        if args.near_pictures:
            found = [[pairs.retain[i] for i in near] for near in self._near(args.near_pictures)]
            batches_of = [self.batches(pictures, len(pictures)) for pictures in found]
            everyone = _side_by_side(
                [vkd_targets.mean_features(self._teach, batches) for batches in batches_of]
            )
        return vkd_targets.Anonymous(forgotten, everyone, args.target_strength)

    def _groups(self) -> list[list[int]]:
        """Indices of the pictures of each person to forget; one group where nobody is named."""
        groups: dict[Any, list[int]] = {}
        forget = self.train_dataset.forget
        for index in range(len(forget)):
            groups.setdefault(forget[index].get("person"), []).append(index)
        return list(groups.values())

    def _near(self, count: int) -> list[list[int]]:
        """Indices of the `count` retain pictures most like each person to forget."""
        return [person[:count] for person in self._most_alike]

    @cached_property
    def _most_alike(self) -> list[list[int]]:
        """As many as any option wants of them, the most like first; the teacher looks once."""
        pairs = self.train_dataset

        def means(side: Any, count: int) -> torch.Tensor:
            seen = [self._teach(batch)[self.names[-1]] for batch in self.batches(side, count)]
            return torch.cat([tokens.float().mean(1) for tokens in seen])

        forget, retain = means(pairs.forget, len(pairs.forget)), means(pairs.retain, NEAR_AMONG)
        people = torch.stack([forget[members].mean(0) for members in self._groups()])
        among = evenly(len(pairs.retain), NEAR_AMONG)
        wanted = max(self.args.near_pictures, self.args.hard_pictures)
        near = vkd_targets.nearest(people, retain, wanted).tolist()
        return [[among[i] for i in person] for person in near]

    def _harder(self) -> list[int]:
        """Indices of the retain set with the pictures most like those to forget so often that they
        make up `hard_share`."""
        count, share = len(self.train_dataset.retain), self.args.hard_share
        hard = sorted({i for near in self._near(self.args.hard_pictures) for i in near})
        more = round(share / (1 - share) * count)
        return [*range(count), *(hard[i % len(hard)] for i in range(more))]

    def _build_mask(self) -> dict[str, torch.Tensor]:
        args, pairs = self.args, self.train_dataset
        generator = torch.Generator().manual_seed(args.seed)

        def losses(side: Any) -> Iterator[torch.Tensor]:
            for batch in self.batches(side, args.fisher_pictures, size=1):
                if args.fisher_of == "ce":
                    yield outputs.cross_entropy_of(self.model, batch)
                else:
                    yield saliency.projected(self._seen(self.anatomy.seeing, batch), generator)

        return saliency.build_mask(
            args.mask,
            lambda: losses(pairs.forget),
            lambda: losses(pairs.retain),
            {name: self.model.get_parameter(name) for name in self.trained},
            args.mask_threshold,
            args.seed,
        )

    # ---- the losses -------------------------------------------------------------------------

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Runs the teachers once on the sides that this step needs, then the losses."""
        teachers = {"forget": self.forget_teacher, "retain": self.teacher}
        needed = {*self._sides, *(["retain"] if self.args.forget_target == "other-people" else [])}
        self._taught = {s: self._teach(inputs[s], t) for s, t in teachers.items() if s in needed}
        self._people = self._group_of[inputs["forget_index"].cpu()]
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _apart(self, seen: Features, target: Features) -> torch.Tensor:
        each = [self.distance(seen[n], target[n], self._overall) for n in self.names]
        return torch.stack(each).mean()

    def _overall(self, values: torch.Tensor) -> torch.Tensor:
        return self.overall(values, self.pictures)

    def counted(self, side: str, batch: Mapping[str, Any]) -> float | None:
        """Features are means over pictures, losses on answers over tokens."""
        return None

    def forget_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        beside = self._taught.get("retain", {})
        target = self.target(self._taught["forget"], beside, self._people)
        seen = self._seen(self.anatomy.seeing, batch)
        apart = self._apart(seen, target)
        if self.args.forget_target == "repel":
            near = self._overall(apart) < self.args.repel_margin  # of the whole batch
            apart = (self.args.repel_margin - apart) * near
        if isinstance(self.target, vkd_targets.Anonymous) and self.args.identity_weight:
            apart = apart + self.args.identity_weight * self.target.excess(seen, self._people)
        answers = self._on_answers(model, batch, forget=True)
        return self.share(self.pictures) * apart + self.args.output_weight * answers

    def retain_loss(self, model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        apart = self._apart(self._seen(self.anatomy.seeing, batch), self._taught["retain"])
        answers = self._on_answers(model, batch, forget=False)
        return self.share(self.pictures) * apart + self.args.output_weight * answers

    def _on_answers(
        self, model: Any, batch: Mapping[str, Any], forget: bool
    ) -> torch.Tensor | float:
        kind, labels = self.args.output_loss, batch.get("labels")
        if kind == "none" or labels is None:
            return 0.0
        tokens = self.share(float(outputs.answer_lengths(labels).sum()))
        logits = outputs.logits_of(model, batch)
        if (kind, forget) in (("npo", True), ("kl", False)):
            with torch.no_grad(), outputs.seen_by(self.anatomy.model, self.teacher):
                originals = outputs.logits_of(self.anatomy.model, batch)
            if kind == "kl":
                return tokens * outputs.answer_kl(logits, originals, labels)
            ours, theirs = (outputs.answer_log_likelihood(x, labels) for x in (logits, originals))
            return self.share(self.pictures) * outputs.npo_loss(ours, theirs, self.args.npo_beta)
        loss = tokens * outputs.answer_cross_entropy(logits, labels)
        return -loss if forget else loss


def _side_by_side(means: list[Features]) -> Features:
    return {name: torch.cat([mean[name] for mean in means]) for name in means[0]}


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
        config="unsee.methods.vkd_config.VKDConfig",
    )
)
