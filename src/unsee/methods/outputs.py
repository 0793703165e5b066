"""Losses on answers, through the language model: pure functions of logits and likelihoods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy, kl_div, logsigmoid

from unsee.anatomy.anatomy import PICTURES, speaker_of

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
    return kl(answered(logits, labels), answered(originals, labels))


def kl(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Mean of KL(theirs || ours), a scalar; logits [N, V], those of `theirs` not differentiated."""
    ours, theirs = ours.float().log_softmax(-1), theirs.detach().float().log_softmax(-1)
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)


def answered(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[B, T, V] -> [N, V]: what predicts the answers' tokens, row by row."""
    return logits[:, :-1][labels[:, 1:] != IGNORED]


def simnpo_loss(
    ours: torch.Tensor, lengths: torch.Tensor, beta: float, margin: float
) -> torch.Tensor:
    """NPO without a reference, by length: eq. 4 of SimNPO, arXiv 2410.07163.

    -(2 / beta) mean log sigmoid(-(beta / length) log p - margin)

    Args:
        ours: log-likelihood of each answer, summed over its tokens, [B].
        lengths: tokens of each answer, [B].
        beta: above 0.
        margin: gamma, at least 0.
    """
    return -(2 / beta) * logsigmoid(-beta * ours / lengths - margin).mean()


def dpo_loss(wanted: torch.Tensor, unwanted: torch.Tensor, beta: float) -> torch.Tensor:
    """Direct preference optimisation as the NPO paper states it (eq. 2 of arXiv 2404.05868).

    -(1 / beta) mean log sigmoid(beta (wanted - unwanted))

    Args:
        wanted: log p - log p_original of each answer that is preferred, [B].
        unwanted: the same of the answer that is not, [B].
        beta: above 0.
    """
    return -(1 / beta) * logsigmoid(beta * (wanted - unwanted)).mean()


def undial_loss(
    logits: torch.Tensor, originals: torch.Tensor, labels: torch.Tensor, strength: float
) -> torch.Tensor:
    """Self-distillation to the original's logits with the answer's token lowered (UNDIAL, arXiv
    2402.10052): the mean cross-entropy to softmax(z_original - strength * onehot(answer)).

    Args:
        logits: [B, T, V] of the model that is trained.
        originals: [B, T, V] of the original, not differentiated.
        labels: [B, T], `IGNORED` where there is no answer.
        strength: gamma, at least 0.
    """
    lowered = answered(originals, labels).detach().float().clone()
    tokens = labels[:, 1:][labels[:, 1:] != IGNORED]
    lowered[torch.arange(len(lowered), device=lowered.device), tokens] -= strength
    return cross_entropy(answered(logits, labels).float(), lowered.softmax(-1))


def answer_lengths(labels: torch.Tensor) -> torch.Tensor:
    """Tokens of each answer, [B]; `labels` as above."""
    return (labels[:, 1:] != IGNORED).sum(1)


@contextmanager
def seen_by(model: Any, seeing: Seeing) -> Iterator[None]:
    """Within it the model sees with the V and P of `seeing`, and speaks with its own W."""
    core = model.get_submodule(seeing.family.core)
    own = dict(core._modules), dict(core._parameters)
    lent = {name: module for name, module in seeing.core._modules.items() if module is not None}
    core._modules.update(lent)
    core._parameters.update(seeing.core._parameters)
    try:
        yield
    finally:
        core._modules.update(own[0])
        core._parameters.update(own[1])


def model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch without its labels, a variant of it (`VariantCollator`) and what is for us alone:
    what the model takes when only logits are wanted."""
    ours = ("labels", "variant", PICTURES)
    return {key: value for key, value in batch.items() if key not in ours}


def cross_entropy_of(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """`answer_cross_entropy` of a model on a batch of `QuestionCollator`."""
    return answer_cross_entropy(logits_of(model, batch), batch["labels"])


def logits_of(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """[B, T, V] of a model for a batch of `QuestionCollator`."""
    return speaker_of(model, batch)(**model_inputs(batch)).logits
