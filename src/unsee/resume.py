"""Checkpoints within a run: exact, small, and the same whatever number of processes wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from unsee import sharding
from unsee.adapter_folder import save_adapter
from unsee.checkpoints import last_checkpoint
from unsee.errors import Diverged, UnseeError

TRAINED, OPTIMIZER, SCHEDULER = "trained.safetensors", "optimizer.pt", "scheduler.pt"


class ExactResume:
    """For a `transformers.Trainer`: checkpoints within a run hold the trained weights as they are.

    The Trainer's own resume matches names in the file with names in memory. For multimodal models
    these differ (`save_pretrained` writes the hub's), so it goes on from the untrained weights with
    no more than a warning. This is also smaller: what is frozen is not written again and again.

    Weights that are not finite are never written: the checkpoint before them stays the last.

    Sharded weights and their optimiser's state are gathered and written as one process would; so a
    run goes on with another number of processes, sharded or not.

    `save_model` by the user writes a complete checkpoint as ever; with `save_adapter=adapter`, the
    adapter.
    """

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        trainer: Any = self
        if trainer.is_deepspeed_enabled:
            return super().save_model(output_dir, _internal_call)  # type: ignore[misc]
        folder = Path(output_dir or trainer.args.output_dir)
        if not _internal_call:
            adapter = getattr(trainer, "adapter", None)
            if adapter is not None:
                if trainer.args.should_save:
                    base = trainer.anatomy.model.name_or_path
                    save_adapter(adapter, base, trainer.processing_class, folder)
            elif not trainer.is_fsdp_enabled:
                super().save_model(output_dir, _internal_call)  # type: ignore[misc]
            elif trainer.args.should_save:
                trainer.anatomy.model.save_pretrained(folder)
                trainer.processing_class.save_pretrained(folder)
            return None
        weights = {n: sharding.whole(p) for n, p in _trained(trainer.model).items()}
        for name, weight in weights.items():
            if not torch.isfinite(weight).all():
                last = last_checkpoint(Path(trainer.args.output_dir))
                raise Diverged(
                    f"{name} is not finite at step {trainer.state.global_step}: lower the learning "
                    f"rate; the last good checkpoint is {last or 'the model that was begun with'}"
                )
        if trainer.args.should_save:
            from safetensors.torch import save_file

            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights, folder / TRAINED)
        return None

    def _load_from_checkpoint(self, folder: str, model: Any = None) -> None:
        from safetensors.torch import load_file

        saved = load_file(Path(folder) / TRAINED)
        trained = _trained(model or self.model)  # type: ignore[attr-defined]
        if saved.keys() != trained.keys():
            name = min(saved.keys() ^ trained.keys())
            raise UnseeError(f"{folder} was written with other parameters trained ({name})")
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(sharding.like(parameter, saved[name]))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        trainer: Any = self
        if not trainer.is_fsdp_enabled:
            return super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
        state = sharding.gathered_state(trainer.optimizer)
        if trainer.args.should_save:
            torch.save(state, Path(output_dir) / OPTIMIZER)
            torch.save(trainer.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER)
        return None

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        trainer: Any = self
        if not trainer.is_fsdp_enabled:
            return super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            read = [
                torch.load(Path(checkpoint) / name, map_location="cpu", weights_only=True)
                for name in (OPTIMIZER, SCHEDULER)
            ]
            sharding.load_state(trainer.optimizer, read[0])
            trainer.lr_scheduler.load_state_dict(read[1])
        return None


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.data for name, p in model.named_parameters() if p.requires_grad}
