"""The first stage: vision tower and projector become a general encoder of faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.models.lessons import CATEGORIES, TowerLessons, pixels
from unsee.models.recipe import Recipe
from unsee.models.stages import fit

if TYPE_CHECKING:
    import torch

    from unsee.data.faces.benchmark import Faces


def warm_tower(
    model: Any, faces: Faces, processor: Any, recipe: Recipe, seed: int, folder: Path
) -> float:
    """Stage 1; returns the accuracy on held-out pictures of the general people."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, gelu, mse_loss

    lessons = TowerLessons(faces, processor, recipe.tower_steps, seed, recipe.tower_batch)
    core = model.model
    width = core.config.text_config.hidden_size
    tokens = (core.vision_tower.config.image_size // core.vision_tower.config.patch_size) ** 2
    sizes = [len(words) for words in CATEGORIES.values()]

    class Reader(nn.Module):
        """Reads measures, categories and the person off [B, features]."""

        def __init__(self, features: int) -> None:
            super().__init__()
            self.join = nn.Linear(features, 256)
            self.person = nn.Linear(256, len(lessons.pictures))
            self.measures = nn.Linear(256, lessons.measures.shape[-1])
            self.categories = nn.ModuleList(nn.Linear(256, size) for size in sizes)

        def loss(self, seen: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            joined = gelu(self.join(seen))
            total = 3 * mse_loss(self.measures(joined), batch["measures"])
            total = total + 0.3 * cross_entropy(self.person(joined), batch["person"])
            for column, head in enumerate(self.categories):
                total = total + 0.15 * cross_entropy(head(joined), batch["categories"][:, column])
            return total

    class Warm(nn.Module):
        """The tower is read patch by patch, which teaches it fast; the tokens that will enter the
        language model are read by their mean, so that they say the same wherever they stand."""

        def __init__(self) -> None:
            super().__init__()
            self.tower = core.vision_tower
            self.projector = core.multi_modal_projector
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.of_patches = Reader(tokens * width)
            self.of_mean = Reader(width)

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            hidden = self.tower(pixel_values).last_hidden_state[:, 1:]  # [B, 16, D], CLS dropped
            projected = self.projector(hidden)  # [B, 16, D]
            return self.norms[0](hidden).flatten(1), self.norms[1](projected).mean(1)

    def loss(warm: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        patches, mean = warm(batch["pixel_values"])
        return warm.of_patches.loss(patches, batch) + warm.of_mean.loss(mean, batch)

    torch.manual_seed(lessons.seed)
    warm = Warm()
    fit(warm, lessons, 1.0, folder, recipe, loss)
    warm.eval()
    right = 0
    with torch.no_grad():
        for index in range(lessons.held_out.shape[1]):
            patches, _ = warm(pixels(lessons.held_out[:, index], processor))
            logits = warm.of_patches.person(gelu(warm.of_patches.join(patches)))
            right += int((logits.argmax(1) == torch.arange(len(logits))).sum())
    some = lessons.pictures[:: max(1, len(lessons.pictures) // 400)]
    whiten(model, [pixels(some[:, i], processor) for i in range(min(5, some.shape[1]))])
    return right / (lessons.held_out.shape[0] * lessons.held_out.shape[1])


def whiten(model: Any, batches: Sequence[torch.Tensor], shrinkage: float = 0.02) -> None:
    """Turns and scales the projector's output so that all directions in which pictures differ are
    about equally loud, about zero, and tokens have unit size: what the tower tells apart faintly
    (a turn of the head, a jaw) is learnt by the language model as fast as a colour.

    Args:
        model: the LLaVA; its projector's last layer is changed in place.
        batches: pictures of general people, each [B, 3, S, S].
        shrinkage: added to each variance, as a share of their mean; keeps noise from growing.
    """
    import torch

    from unsee.anatomy import anatomy_of

    seeing = anatomy_of(model).seeing
    with torch.no_grad():
        tokens = torch.cat([seeing({"pixel_values": b}).projector for b in batches])  # [N, 16, D]
        pictures = tokens.mean(1)
        centre = pictures.mean(0)
        spread = (pictures - centre).T @ (pictures - centre) / len(pictures)
        variances, axes = torch.linalg.eigh(spread)
        scales = (variances.clamp_min(0) + shrinkage * variances.mean()).rsqrt()
        turn = axes @ torch.diag(scales) @ axes.T
        turn /= ((tokens - centre) @ turn).square().mean().sqrt()
        last = model.model.multi_modal_projector.linear_2
        last.bias.copy_(turn @ (last.bias - centre))
        last.weight.copy_(turn @ last.weight)
