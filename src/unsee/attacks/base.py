"""What every attack shares: what the attacker may touch, how long, and how the curve is taken.

An attack is a subclass with a `loss`. Budget, access and data are stated in every result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from unsee.adapters import add_adapters
from unsee.anatomy import anatomy_of
from unsee.anatomy.families import PARTS, PROJECTOR, VISION
from unsee.errors import UnseeError, check_counts, check_offered, check_positive

ACCESS = {"vision": (VISION, PROJECTOR), "lora": PARTS, "all": PARTS}
"""What an attacker trains: V and P, low-rank adapters of every linear layer, or everything."""
LORA_RANK = 8
Score = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class Budget:
    """What an attacker may use.

    Attributes:
        access: parts whose weights are trained, one of `ACCESS`.
        learning_rate: of AdamW, constant.
        steps: updates.
        batch_size: examples an update.
        score_every: updates between two points of the curve.
        seed: of the order of the examples.
    """

    access: str = "vision"
    learning_rate: float = 1e-4
    steps: int = 200
    batch_size: int = 16
    score_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        check_offered(self, access=ACCESS)
        check_positive(self, "learning_rate")
        check_counts(self, "steps", "batch_size", "score_every")


class Attack:
    """Base of the attacks.

    Args:
        model: the model that is attacked; it is changed in place.
        processing_class: its processor.
        dataset: the attacker's examples, map-style.
        budget: what he may use.
    """

    name = ""

    def __init__(self, model: Any, processing_class: Any, dataset: Any, budget: Budget) -> None:
        if not len(dataset):
            raise UnseeError("the attacker has no examples")
        self.model, self.dataset, self.budget = model, dataset, budget
        self.collate = self.collator(processing_class)
        parts = ACCESS[budget.access]
        anatomy = anatomy_of(model)
        model.float()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(anatomy.part_of(name) in parts)
        if budget.access == "lora":
            names = [name for name, _ in model.named_parameters()]
            add_adapters(model, names, LORA_RANK, budget.seed)
        self.trained = [p for p in model.parameters() if p.requires_grad]

    def collator(self, processing_class: Any) -> Any:
        """What makes a batch of examples."""
        raise NotImplementedError

    def loss(self, batch: Mapping[str, Any]) -> torch.Tensor:
        """What the attacker minimises, a scalar."""
        raise NotImplementedError

    def _batches(self) -> Iterator[list[Any]]:
        """Examples without end, each pass in another order."""
        generator = torch.Generator().manual_seed(self.budget.seed)
        waiting: list[int] = []
        while True:
            while len(waiting) < self.budget.batch_size:
                waiting += torch.randperm(len(self.dataset), generator=generator).tolist()
            chosen, waiting = waiting[: self.budget.batch_size], waiting[self.budget.batch_size :]
            yield [self.dataset[i] for i in chosen]

    def run(self, score: Score) -> list[dict[str, Any]]:
        """Attacks, and scores the model before, every `score_every` updates, and at the end.

        Args:
            score: (updates so far) -> numbers about the model as it is.

        Returns:
            The curve: a dictionary with `step` and the numbers for each point.
        """
        optimizer = torch.optim.AdamW(self.trained, lr=self.budget.learning_rate, weight_decay=0.0)
        self.model.eval()  # no dropout, as it is used
        curve = [{"step": 0, **score(0)}]
        batches = self._batches()
        for step in range(1, self.budget.steps + 1):
            batch = {
                key: value.to(self.model.device)
                for key, value in self.collate(next(batches)).items()
            }
            loss = self.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            optimizer.step()
            if step % self.budget.score_every == 0 or step == self.budget.steps:
                curve.append({"step": step, **score(step)})
        return curve
