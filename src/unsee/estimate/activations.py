"""What the backward pass of a step keeps, counted in a run on the meta device.

Every tensor that autograd saves is counted once, at the part of the model that saved it; weights
are not. With checkpointing a block keeps its input alone, and the largest block is recomputed.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from unsee.anatomy import Anatomy
from unsee.anatomy.families import LANGUAGE, PARTS, PROJECTOR
from unsee.estimate.pretend import Pretend
from unsee.methods.outputs import answer_cross_entropy


class _Ledger:
    """Bytes that were saved, by part and by block."""

    def __init__(self, anatomy: Anatomy) -> None:
        model = anatomy.model
        self.part = LANGUAGE
        self.block = ""
        self.bytes: Counter[tuple[str, str]] = Counter()
        self.inputs: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()
        self.known = {_storage(t) for t in (*model.parameters(), *model.buffers())}
        self.kept: list[torch.Tensor] = []  # so that no storage's address is used twice

    def save(self, tensor: torch.Tensor) -> torch.Tensor:
        key = _storage(tensor)
        if key not in self.known:
            self.known.add(key)
            self.kept.append(tensor)
            size = tensor.untyped_storage().nbytes()
            self.bytes[self.part, self.block] += size
            self.largest[self.part] = max(self.largest[self.part], size)
        return tensor


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


@contextmanager
def _watched(anatomy: Anatomy, ledger: _Ledger) -> Iterator[None]:
    """Tells the ledger in which part and block of the model the run is."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    family, model = anatomy.family, anatomy.model
    prefixes = {prefix: part for part in PARTS for prefix in getattr(family, part)}
    hooks, outside = [], []

    def enter(name: str, part: str | None) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            outside.append((ledger.part, ledger.block))
            if part is not None:
                ledger.part = part
            else:
                ledger.block = ledger.block or name
                hidden = args[0] if args else kwargs["hidden_states"]
                if ledger.block == name:
                    ledger.inputs[ledger.part] += hidden.numel() * hidden.element_size()

        return hook

    def leave(module: Any, args: Any, output: Any) -> None:
        ledger.part, ledger.block = outside.pop()

    for name, module in model.named_modules():
        wanted = name in prefixes or isinstance(module, GradientCheckpointingLayer)
        if wanted:
            before = enter(name, prefixes.get(name))
            hooks.append(module.register_forward_pre_hook(before, with_kwargs=True))
            hooks.append(module.register_forward_hook(leave))
    try:
        with torch.autograd.graph.saved_tensors_hooks(ledger.save, lambda tensor: tensor):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def activations(
    anatomy: Anatomy,
    batch: Mapping[str, Any],
    loss: Callable[[Any], Any] | None,
    text_tokens: int,
    sides: int,
    bf16: bool = False,
    checkpointing: bool = False,
) -> dict[str, int]:
    """Bytes that the backward pass keeps, by part.

    Args:
        anatomy: of a model on the meta device, with `requires_grad` as it is trained.
        batch: pictures of one side, see `picture_batch`.
        loss: on `VisualFeatures`; None: the cross-entropy of answers, through W.
        text_tokens: beside each picture's tokens, where W is run.
        sides: how often such a batch is in one backward pass.
        bf16: under autocast.
        checkpointing: blocks are recomputed.
    """
    ledger, mode = _Ledger(anatomy), Pretend(bf16)
    with mode, _watched(anatomy, ledger):
        seen = anatomy.seeing(batch)
        if loss is None:
            _answers(anatomy, seen.projector, text_tokens)
        else:
            ledger.part = PROJECTOR
            loss(seen)
    casts: Counter[str] = Counter()
    for name, parameter in anatomy.parameters():
        if id(parameter) in mode.casts:
            casts[anatomy.part_of(name)] += 2 * parameter.numel()
    found = {}
    for part in PARTS:
        blocks = {b: n for (p, b), n in ledger.bytes.items() if p == part and b}
        saved = sum(n for (p, _), n in ledger.bytes.items() if p == part) - casts[part]
        if checkpointing and blocks:
            inside = sum(blocks.values()) - casts[part]
            saved = saved - max(0, inside) + ledger.inputs[part]
        found[part] = sides * saved + casts[part] + 2 * ledger.largest[part]
        if checkpointing and blocks:
            found[part] += max(blocks.values())
    return found


def _answers(anatomy: Anatomy, visual: torch.Tensor, text_tokens: int) -> None:
    """W reads as many tokens as a prompt with its picture has, and their loss is taken."""
    model = anatomy.model
    embed, head = model.get_input_embeddings(), model.get_output_embeddings()
    language = model.get_submodule(anatomy.family.language[0])
    looks_aside = "cross_attention_states" in inspect.signature(language.forward).parameters
    rows, tokens = len(visual), text_tokens + (0 if looks_aside else visual.shape[1])
    weight = embed.weight
    flows = weight.requires_grad or (visual.requires_grad and not looks_aside)
    read = torch.empty(
        (rows, tokens, weight.shape[1]), dtype=weight.dtype, device="meta", requires_grad=flows
    )
    beside = {"cross_attention_states": visual} if looks_aside else {}
    output = language(inputs_embeds=read, use_cache=False, **beside)
    logits = output.logits if hasattr(output, "logits") else head(output.last_hidden_state)
    labels = torch.empty((rows, tokens), dtype=torch.long, device="meta")
    answer_cross_entropy(logits, labels)
