"""Fisher information and masks, against computations of their own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

import tiny
from unsee.data.collate import QuestionCollator
from unsee.errors import UnseeError
from unsee.methods import saliency
from unsee.methods.vkd import VKDTrainer
from unsee.methods.vkd_config import VKDConfig


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(5, 7), torch.nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(9, 5, generator=generator), torch.randint(3, (9,), generator=generator)


def test_fisher_is_the_mean_of_squared_per_example_gradients() -> None:
    model, (x, y) = Classifier(), data()
    parameters = dict(model.named_parameters())
    losses = (cross_entropy(model(x[i : i + 1]), y[i : i + 1]) for i in range(9))
    fisher, mean = saliency.fisher_and_gradient(losses, parameters)

    def loss(weights: Any, one: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return cross_entropy(functional_call(model, weights, (one[None],)), label[None])

    detached = {name: p.detach() for name, p in parameters.items()}
    each = vmap(grad(loss), in_dims=(None, 0, 0))(detached, x, y)
    for name, gradients in each.items():
        torch.testing.assert_close(fisher[name], gradients.square().mean(0))
        torch.testing.assert_close(mean[name], gradients.mean(0))
        assert fisher[name].dtype == torch.float32 and fisher[name].max() > 0


def test_projected_features_give_the_fisher_of_gaussian_features() -> None:
    """On average over the signs, the squared gradient is the sum over outputs of J squared."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 3))
    x = torch.randn(1, 2, 3)
    generator = torch.Generator().manual_seed(0)
    losses = (saliency.projected({"z": x @ weight.T}, generator) for _ in range(4000))
    fisher, _ = saliency.fisher_and_gradient(losses, {"w": weight})
    scale = (x @ weight.T).detach().square().mean()
    expected = x.square().sum((0, 1)).expand(4, 3) / scale
    torch.testing.assert_close(fisher["w"], expected, rtol=0.1, atol=0)


def test_masks() -> None:
    forget = {"a": torch.tensor([4.0, 1.0, 0.0]), "b": torch.tensor([[1.0], [9.0]])}
    retain = {"a": torch.tensor([2.0, 1.0, 3.0]), "b": torch.tensor([[4.0], [3.0]])}
    found = saliency.fisher_mask(forget, retain, 1.0)
    assert found["a"].tolist() == [True, True, False] and found["b"].tolist() == [[False], [True]]
    stricter = saliency.fisher_mask(forget, retain, 2.5)
    assert saliency.share(stricter) == pytest.approx(1 / 5)
    half = saliency.top_half_mask({"a": torch.tensor([-5.0, 1.0]), "b": torch.tensor([2.0, -3.0])})
    assert half["a"].tolist() == [True, False] and half["b"].tolist() == [False, True]
    chance = saliency.random_mask(found, 0)
    assert {n: int(m.sum()) for n, m in chance.items()} == {"a": 2, "b": 1}
    assert chance["b"].shape == found["b"].shape
    assert any(
        not torch.equal(saliency.random_mask(found, seed)["a"], found["a"]) for seed in range(5)
    )


def test_a_weight_that_neither_side_uses_is_not_the_forget_sets() -> None:
    zero = {"a": torch.zeros(2)}
    assert not saliency.fisher_mask(zero, zero, 1.0)["a"].any()


@pytest.mark.parametrize(("value", "what"), [(True, "every weight"), (False, "nothing")])
def test_mask_without_a_choice_is_refused(value: bool, what: str) -> None:
    with pytest.raises(UnseeError, match=f"the fisher mask selects {what}: choose another"):
        saliency.checked({"a": torch.tensor([value, value])}, "fisher")


def test_mask_of_no_examples_is_refused() -> None:
    with pytest.raises(UnseeError, match="at least one example"):
        saliency.fisher_and_gradient([], {})


def trainer_of(processing: Any, **options: Any) -> VKDTrainer:
    chosen = {"output_dir": "work", "save_strategy": "no", "max_steps": 6, "warmup_steps": 0}
    chosen |= {"per_device_train_batch_size": 3, "learning_rate": 1e-3, "weight_decay": 0.1}
    forget = tiny.asked(tiny.examples(2, 3), "baker")
    retain = tiny.asked(tiny.examples(4, 2, first=10), "baker")
    args = VKDConfig(**{**chosen, **options})
    return VKDTrainer(tiny.llava(processing, seed=3), args, forget, retain, processing)


def trained(trainer: VKDTrainer) -> dict[str, torch.Tensor]:
    return {n: trainer.model.get_parameter(n).detach().clone() for n in trainer.trained}


@pytest.mark.parametrize("mask", ["fisher", "top-half", "random"])
def test_masked_weight_is_not_moved_by_a_forget_update(mask: str, processing: Any) -> None:
    """Under AdamW with weight decay, after retain updates have filled the momentum."""
    trainer = trainer_of(processing, mask=mask, schedule="alternating", forget_every=2)
    masks = trainer.forget_mask
    assert masks is not None and 0 < saliency.share(masks) < 1
    seen: list[tuple[tuple[str, ...], dict[str, torch.Tensor]]] = []
    step = trainer.training_step

    def watched(*args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append((trainer.sides_of(trainer.state.global_step), trained(trainer)))
        return step(*args, **kwargs)

    trainer.training_step = watched  # type: ignore[method-assign]
    trainer.train()
    seen.append(((), trained(trainer)))
    assert [sides for sides, _ in seen[:-1]] == 2 * [("forget",), ("retain",), ("retain",)]
    for (sides, before), (_, after) in pairwise(seen):
        outside = {n: (before[n] != after[n]) & ~masks[n] for n in masks}
        moved_outside = any(m.any() for m in outside.values())
        moved_inside = any(((before[n] != after[n]) & masks[n]).any() for n in masks)
        assert moved_inside and moved_outside == (sides == ("retain",))


def test_paired_update_outside_the_mask_is_that_of_the_retain_side_alone(processing: Any) -> None:
    masked = trainer_of(processing, mask="fisher", max_steps=1, max_grad_norm=0.0)
    gradients: dict[str, torch.Tensor] = {}
    batch = masked.data_collator([masked.train_dataset[i] for i in range(3)])
    masked.create_optimizer()
    masked.current_gradient_accumulation_steps = 1  # set by the loop that is not run here
    with torch.no_grad():
        for name in masked.trained:  # away from the teacher, so that the retain side pulls
            masked.model.get_parameter(name).add_(0.01)
    masked.training_step(masked.model, batch)
    gradients = {n: masked.model.get_parameter(n).grad.clone() for n in masked.trained}
    masked.model.zero_grad()
    wanted = {}
    for side in ("forget", "retain"):
        masked._sides = (side,)
        masked.compute_loss(masked.model, batch).backward()
        wanted[side] = {n: masked.model.get_parameter(n).grad.clone() for n in masked.trained}
        masked.model.zero_grad()
    for name, gradient in gradients.items():
        mask = masked.forget_mask[name]
        expected = wanted["forget"][name] * mask + wanted["retain"][name]
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_fisher_mask_of_answers_is_the_ratio_of_per_example_gradients(processing: Any) -> None:
    """The whole multimodal model, its language model included, against `torch.func`."""
    trainer = trainer_of(
        processing, mask="fisher", fisher_of="ce", output_loss="ce", mask_threshold=0.5
    )
    model = trainer.model
    fixed = {n: p.detach() for n, p in model.named_parameters() if n not in trainer.trained}
    collate, fishers = QuestionCollator(processing), []

    def loss(weights: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        logits = functional_call(model, {**fixed, **weights}, kwargs=inputs).logits
        return cross_entropy(logits[0, :-1], batch["labels"][0, 1:])  # -100 is left out

    for side in (trainer.train_dataset.forget, trainer.train_dataset.retain):
        each = [grad(loss)(trained(trainer), collate([side[i]])) for i in range(len(side))]
        fishers.append({n: sum(g[n].square() for g in each) / len(each) for n in trainer.trained})
    for name, mask in trainer.forget_mask.items():
        ratio = fishers[0][name] / (fishers[1][name] + saliency.EPSILON)
        # on the threshold itself, and on gradients that are 0 but for rounding, chance decides
        clear = ((ratio / 0.5).log().abs() > 1e-2) & (fishers[1][name] > 1e-13)
        assert torch.equal(mask[clear], ratio[clear] >= 0.5), name
        assert clear.float().mean() > 0.9 or "k_proj.bias" in name


def test_fisher_of_answers_without_the_language_model_is_refused() -> None:
    with pytest.raises(UnseeError, match="fisher_of=ce needs the language model"):
        VKDConfig(output_dir="work", mask="fisher", fisher_of="ce")
