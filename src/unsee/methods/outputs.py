"""Losses on answers, through the language model: cross-entropy, NPO, KL to the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy, kl_div, logsigmoid

if TYPE_CHECKING:
    from unsee.anatomy.anatomy import Seeing

IGNORED = -100


def answer_log_likelihood(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Log-likelihood of each answer, summed over its tokens.

    Args:
        logits: [B, T, V]; position t predicts token t + 1.
        labels: [B, T], `IGNORED` where there is no answer.

    Returns:
        [B], fp32.
    """
    logits, targets = logits[:, :-1].float(), labels[:, 1:]
    losses = cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    return -losses.sum(1)


def answer_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a token of the answers, a scalar; shapes as above."""
    logits, targets = logits[:, :-1].float(), labels[:, 1:]
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def npo_loss(ours: torch.Tensor, originals: torch.Tensor, beta: float) -> torch.Tensor:
    """Negative preference optimisation, eq. 3 of arXiv 2404.05868.

    -(2 / beta) mean log sigmoid(-beta (log p - log p_original)); its gradient tends to that of
    gradient ascent on the log-likelihood as beta tends to 0.

    Args:
        ours: log-likelihood of each answer under the model that is trained, [B].
        originals: the same under the original, [B], not differentiated.
        beta: above 0.
    """
    return -(2 / beta) * logsigmoid(-beta * (ours - originals.detach())).mean()


def answer_kl(logits: torch.Tensor, originals: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the answers' tokens of KL(original || model), a scalar; 0 where both agree.

    Args:
        logits: [B, T, V] of the model that is trained.
        originals: [B, T, V] of the original, not differentiated.
        labels: [B, T], `IGNORED` where there is no answer.
    """
    answered = labels[:, 1:] != IGNORED
    ours = logits[:, :-1][answered].float().log_softmax(-1)
    theirs = originals[:, :-1][answered].detach().float().log_softmax(-1)
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)


@contextmanager
def seen_by(model: Any, seeing: Seeing) -> Iterator[None]:
    """Within it the model sees with the V and P of `seeing`, and speaks with its own W."""
    core = model.get_submodule(seeing.family.core)
    own = dict(core._modules)
    lent = {name: module for name, module in seeing.core._modules.items() if module is not None}
    core._modules.update(lent)
    try:
        yield
    finally:
        core._modules.update(own)


def model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch without its labels: what the model takes when only logits are wanted."""
    return {key: value for key, value in batch.items() if key != "labels"}


def cross_entropy_of(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """`answer_cross_entropy` of a model on a batch of `QuestionCollator`."""
    return answer_cross_entropy(model(**model_inputs(batch)).logits, batch["labels"])
