"""The parts of a loaded model, and how to run only the two that see."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unsee.anatomy.families import LANGUAGE, PARTS, PROJECTOR, VISION, Family, families
from unsee.errors import UnseeError

if TYPE_CHECKING:
    import torch
    from torch import nn


PICTURES = "pictures"
"""Key of a batch that says how many pictures it holds, where tiles could be taken for them."""


@dataclass
class VisualFeatures:
    """What V and P make of a batch of pictures.

    Attributes:
        vision: [B, T, D_v], the vision layer that the projector reads.
        projector: [B, T', D], the tokens that enter the language model.
        blocks: output of every vision block, [B, T'', D_v] each, tokens that are dropped later
            among them.
    """

    vision: torch.Tensor
    projector: torch.Tensor
    blocks: tuple[torch.Tensor, ...] = ()

    def pick(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """Features by name: `vision`, `projector`, or `block-3`, counted from 0."""
        picked = {}
        for name in names:
            number = name.removeprefix("block-")
            picked[name] = getattr(self, name) if number == name else self.blocks[int(number)]
        return picked


class Seeing:
    """V and P without W: runs on a batch and gives `VisualFeatures`.

    Args:
        family: where things are.
        core: module that holds V and P; its language model is never called and may be gone.
    """

    def __init__(self, family: Family, core: nn.Module) -> None:
        self.family = family
        self.core = core

    def __call__(self, batch: Mapping[str, Any]) -> VisualFeatures:
        family, core = self.family, self.core
        inputs = {key: batch[key] for key in family.inputs if key in batch}
        output = family.see(core, inputs)
        projected = by_picture(family.project(core, output), batch.get(PICTURES))
        pictures = len(projected)
        return VisualFeatures(
            by_picture(family.read(core, output), pictures),
            projected,
            tuple(by_picture(hidden, pictures) for hidden in family.blocks(core, output)),
        )

    def frozen_copy(self) -> Seeing:
        """A copy of V and P alone, in eval mode, that no optimiser can reach."""
        shell = copy.copy(self.core)
        shell._modules = dict(self.core._modules)
        names = [n for n, _ in self.core.named_children() if self._is_language(n)]
        for name in names:
            shell._modules[name] = None
        twin = copy.deepcopy(shell).eval().requires_grad_(False)
        return Seeing(self.family, twin)

    def _is_language(self, child: str) -> bool:
        return self.family.full(child) in self.family.language


def by_picture(tokens: Any, pictures: Any = None) -> torch.Tensor:
    """One row of tokens a picture.

    Args:
        tokens: [..., D], the pictures one after the other, each with all of its tiles; or a list of
            [T, D], one a picture.
        pictures: how many there are; None: as many as the first dimension, or the list, says.

    Returns:
        [pictures, T, D].

    Raises:
        UnseeError: the pictures have different numbers of tokens.
    """
    import torch

    if not isinstance(tokens, torch.Tensor):
        counts = sorted({len(of_picture) for of_picture in tokens})
        if len(counts) > 1:
            raise UnseeError(
                f"pictures of one batch become {counts[0]} to {counts[-1]} visual tokens: bring "
                "them to one size before"
            )
        tokens = torch.stack(list(tokens))
    rows = len(tokens) if pictures is None else int(pictures)
    if tokens.shape[:-1].numel() % rows:
        raise UnseeError(
            f"{tokens.shape[:-1].numel()} visual tokens can't be those of {rows} pictures of one "
            "size: bring them to one size before"
        )
    return tokens.reshape(rows, -1, tokens.shape[-1])


class Anatomy:
    """The parts of one model.

    Args:
        model: a loaded `transformers` model.
        family: its entry in the table.

    Raises:
        UnseeError: a parameter belongs to no part, or a part has no parameters.
    """

    def __init__(self, model: Any, family: Family) -> None:
        self.model = model
        self.family = family
        self._parts = {name: self._part_of(name) for name, _ in model.named_parameters()}
        for part in PARTS:
            if part not in self._parts.values():
                raise UnseeError(
                    f"this {family.model_type} model has no {part} parameters under "
                    f"{', '.join(getattr(family, part))}: its entry in unsee.anatomy does not fit"
                )

    def _part_of(self, name: str) -> str:
        part = self.family.part_of(name)
        if part is None:
            raise UnseeError(
                f"parameter {name} of a {self.family.model_type} model belongs to no part: "
                "mend its entry in unsee.anatomy"
            )
        return part

    def part_of(self, name: str) -> str:
        """`vision`, `projector` or `language`, for the full name of a parameter."""
        return self._parts[name]

    def parameters(self, *parts: str) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """(name, parameter) of the named parts; of all, if none is named."""
        for name, parameter in self.model.named_parameters():
            if not parts or self._parts[name] in parts:
                yield name, parameter

    def language_tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor of W by name: parameters and persistent buffers, the head included."""
        prefixes = self.family.language
        return {
            name: tensor
            for name, tensor in self.model.state_dict().items()
            if any(name == p or name.startswith(p + ".") for p in prefixes)
        }

    def check_answers(self) -> None:
        """Refuses a language model that reads with an encoder and answers with a decoder.

        Raises:
            UnseeError: it does.
        """
        if getattr(self.model.config.get_text_config(), "is_encoder_decoder", False):
            raise UnseeError(
                f"this {self.family.model_type} model answers with an encoder-decoder, for which "
                "losses on answers are not made: use a method that never runs it (vkd)"
            )

    @property
    def read_blocks(self) -> tuple[int, ...]:
        """Vision blocks whose output the projector reads, counted from 0."""
        return self.family.layers(self.seeing.core)

    @property
    def seeing(self) -> Seeing:
        """V and P of this model, sharing its weights."""
        return Seeing(self.family, self.model.get_submodule(self.family.core))

    def unread(self, batch: Mapping[str, Any]) -> list[str]:
        """Vision and projector parameters that the features of `batch` do not depend on, such as
        blocks behind the layer that is read. They must not be trained, pruned or counted."""
        import torch

        named = dict(self.parameters(VISION, PROJECTOR))
        wanted = {name: p.requires_grad for name, p in named.items()}
        try:
            for p in named.values():
                p.requires_grad_(True)
            with torch.enable_grad():
                total = self.seeing(batch).projector.float().sum()
                grads = torch.autograd.grad(total, list(named.values()), allow_unused=True)
        finally:
            for name, p in named.items():
                p.requires_grad_(wanted[name])
        return [name for name, grad in zip(named, grads, strict=True) if grad is None]


def anatomy_of(model: Any) -> Anatomy:
    """The anatomy of a loaded model.

    Raises:
        UnseeError: the model's type is not known, or it has no vision encoder.
    """
    known = families()
    model_type = getattr(model.config, "model_type", None)
    if model_type in known:
        return Anatomy(model, known[model_type])
    names = ", ".join(known)
    if not hasattr(model.config, "vision_config"):
        raise UnseeError(
            f"this {model_type} model has no vision encoder: unsee needs a multimodal model "
            f"(known: {names})"
        )
    raise UnseeError(
        f"{model_type} is not among the known model families ({names}): describe it with "
        "unsee.anatomy.register(Family(...)), see CONTRIBUTING.md"
    )


def speaker_of(model: Any, batch: Mapping[str, Any]) -> Any:
    """What answers to a batch: the model, or its language model alone where the whole would insist
    on pictures and there are none."""
    family = families().get(getattr(model.config, "model_type", ""))
    if family is None or "pixel_values" in batch:
        return model
    return model.get_submodule(family.speaker)


__all__ = [
    "LANGUAGE",
    "PROJECTOR",
    "VISION",
    "Anatomy",
    "Seeing",
    "VisualFeatures",
    "anatomy_of",
    "speaker_of",
]
