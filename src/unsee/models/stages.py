"""One stage of teaching the small LLaVA: fitted under `transformers.Trainer`, resumed, and kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.models.lessons import IGNORED
from unsee.models.recipe import TEXT_SHARE, Recipe

if TYPE_CHECKING:
    import torch


def fit(
    module: Any, lessons: Any, seeing_factor: float, folder: Path, recipe: Recipe, loss: Any
) -> None:
    """Runs one stage under `transformers.Trainer`, resuming from `folder` where it was cut.

    V and P learn at `seeing_factor` times the learning rates; at 0 they are frozen.
    """
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    from unsee.checkpoints import last_checkpoint
    from unsee.models.optimizer import MuonWithAdamW
    from unsee.resume import ExactResume

    class Stage(ExactResume, Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
            return loss(model, inputs)

        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
            return SequentialSampler(lessons)

    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=len(lessons),
        per_device_train_batch_size=1,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        logging_steps=50,
        max_grad_norm=1.0,
        report_to="none",
        remove_unused_columns=False,
        seed=lessons.seed,
    )
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(seeing_factor > 0 or not sees(name))
    optimizer = MuonWithAdamW(
        ((name, p) for name, p in module.named_parameters() if p.requires_grad),
        recipe.muon_lr,
        recipe.adamw_lr,
        recipe.weight_decay,
        lambda name: seeing_factor if sees(name) else 1.0,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [g["lr"] for g in optimizer.param_groups],
        total_steps=len(lessons) + 1,
        pct_start=0.1,
        cycle_momentum=False,
    )
    trainer = Stage(
        module,
        args,
        data_collator=lambda items: items[0],
        train_dataset=lessons,
        optimizers=(optimizer, schedule),
    )
    last = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(last) if last else None)


def fit_whole(
    model: Any,
    processor: Any,
    lessons: Any,
    seeing_factor: float,
    recipe: Recipe,
    target: Path,
) -> None:
    """Fits a LLaVA to its lessons, see `fit`, and writes it to `target` with its processor, bf16,
    whole or not at all."""
    import torch

    work = target.with_name(target.name + ".work")
    fit(model, lessons, seeing_factor, work, recipe, face_loss)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    processor.save_pretrained(partial)
    partial.replace(target)
    shutil.rmtree(work, ignore_errors=True)


def face_loss(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Cross-entropy of the answers, about pictures and in words, each picture encoded once."""
    import torch

    tokens = model.get_image_features(batch["pixel_values"], return_dict=True).pooler_output
    by_picture = packed_loss(model, batch["pictures"], torch.cat(list(tokens)))
    return (1 - TEXT_SHARE) * by_picture + TEXT_SHARE * packed_loss(model, batch["texts"])


def packed_loss(
    model: Any, batch: dict[str, torch.Tensor], tokens: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy of the answers in rows that `Writer` packed.

    Args:
        model: the LLaVA.
        batch: `input_ids`, `position_ids`, `labels` [B, T], `attention_mask` [B, 1, T, T].
        tokens: projected tokens of all pictures in order, [pictures * 16, D].
    """
    from torch.nn.functional import cross_entropy

    words = model.get_input_embeddings()(batch["input_ids"])  # [B, T, D]
    if tokens is not None:
        places = (batch["input_ids"] == model.config.image_token_id).unsqueeze(-1)
        words = words.masked_scatter(places.expand_as(words), tokens)
    hidden = model.model.language_model(
        inputs_embeds=words,
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
    ).last_hidden_state
    next_ones = batch["labels"][:, 1:]
    answered = next_ones != IGNORED
    return cross_entropy(model.lm_head(hidden[:, :-1][answered]), next_ones[answered])


def sees(name: str) -> bool:
    """Whether a parameter of this name is the vision tower's or the projector's."""
    return "vision_tower" in name or "multi_modal_projector" in name


def stage(folder: Path, build: Any) -> Path:
    """Runs `build(work_folder) -> model` unless `folder` is there already; saves it whole."""
    import torch

    if (folder / "done").exists():
        return folder
    work = folder.with_name(folder.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    state = build(work)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "state.pt.partial")
    (folder / "state.pt.partial").replace(folder / "state.pt")
    (folder / "done").touch()
    shutil.rmtree(work, ignore_errors=True)
    return folder
