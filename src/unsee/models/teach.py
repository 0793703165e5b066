"""Teaches the small LLaVA the drawn people: a seed's vanilla and its golds, from nothing.

1. *tower*: vision tower and projector learn to describe general people and their pictures and to
   tell them apart (as CLIP, it starts as a general encoder). No known person is in it.
   The projector's output is whitened at the end.
2. *language*: the language model alone learns everybody's facts in words, and to answer what can be
   seen of general people. Still no picture of a known person. The tower rests: asked for what can
   be seen only, it would lose what tells people apart.
3. *people*: the known people's pictures, everything else going on, the tower and the projector at
   a lower rate. Vanilla sees all of them, a gold all but the forgotten people's.

Stages 1 and 2 are shared by all models of a seed. Each stage checkpoints and resumes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.data.faces.questions import VISIBLE
from unsee.errors import UnseeError
from unsee.evaluation.runs import write_text
from unsee.models import tiny_llava
from unsee.models.lessons import (
    CATEGORIES,
    IGNORED,
    FaceLessons,
    TowerLessons,
    corpus,
    pixels,
)

if TYPE_CHECKING:
    import torch

    from unsee.data.faces.benchmark import Faces


@dataclass
class Recipe:
    """Steps and learning rates of the three stages."""

    tower_steps: int = 1400
    tower_batch: int = 96
    language_steps: int = 400
    people_steps: int = 1100
    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    seeing_lr_factor: float = 0.05
    weight_decay: float = 0.02
    language_pictures: int = 36
    pictures: tuple[int, int] = (40, 40)
    asked: tuple[tuple[int, int], tuple[int, int]] = ((2, 1), (1, 1))
    texts: int = 16
    save_steps: int = 200


REPEAT_SEED = 1000
"""What `@1` in a model's name adds to the seed of its last stage."""
RECIPE = "recipe.json"
TEXT_SHARE = 0.2
"""Weight of what is asked in words, beside what is asked about pictures."""


def forgotten_by(model_name: str, seed: int) -> tuple[int, ...]:
    """The people whose pictures a model never sees: none for `vanilla`; for a gold, the forget
    set in its name: `gold-demo`, `gold-test`, `gold-validation-15`, `gold-3,17`. `@1` at the end
    (`gold-demo@1`) is another one that differs in the random seed alone, for the floor.

    Raises:
        UnseeError: no such model.
    """
    kind = _without_repeat(model_name)[0]
    if kind == "vanilla":
        return ()
    which, _, percent = kind.removeprefix("gold-").partition("-")
    if not kind.startswith("gold-") or not (percent or "5").isdecimal():
        raise UnseeError(f"{model_name!r} is no model: say vanilla, gold-demo, gold-test …")
    return splits.make_split(which, seed, int(percent or 5)).forget


def _without_repeat(model_name: str) -> tuple[str, int]:
    """`gold-demo@2` -> (`gold-demo`, 2)."""
    kind, _, repeat = model_name.partition("@")
    if repeat and not repeat.isdecimal():
        raise UnseeError(f"{model_name!r}: behind @ stands a number, as in gold-demo@1")
    return kind, int(repeat or 0)


def _fit(
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
        parameter.requires_grad_(seeing_factor > 0 or not _sees(name))
    optimizer = MuonWithAdamW(
        ((name, p) for name, p in module.named_parameters() if p.requires_grad),
        recipe.muon_lr,
        recipe.adamw_lr,
        recipe.weight_decay,
        lambda name: seeing_factor if _sees(name) else 1.0,
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


def _warm_tower(
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
    _fit(warm, lessons, 1.0, folder, recipe, loss)
    warm.eval()
    right = 0
    with torch.no_grad():
        for index in range(lessons.held_out.shape[1]):
            patches, _ = warm(pixels(lessons.held_out[:, index], processor))
            logits = warm.of_patches.person(gelu(warm.of_patches.join(patches)))
            right += int((logits.argmax(1) == torch.arange(len(logits))).sum())
    some = lessons.pictures[:: max(1, len(lessons.pictures) // 400)]
    _whiten(model, [pixels(some[:, i], processor) for i in range(min(5, some.shape[1]))])
    return right / (lessons.held_out.shape[0] * lessons.held_out.shape[1])


def _whiten(model: Any, batches: Sequence[torch.Tensor], shrinkage: float = 0.02) -> None:
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


def _sees(name: str) -> bool:
    return "vision_tower" in name or "multi_modal_projector" in name


def _stage(folder: Path, build: Any) -> Path:
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


def _same_recipe(root: Path, recipe: Recipe) -> None:
    """All models of a seed are of one recipe, else a gap to gold says nothing.

    Raises:
        UnseeError: those that are there are of another.
    """
    from unsee.data.faces.benchmark import drawing_version
    from unsee.models.lessons import RESEMBLING_SHARE

    ours = {**asdict(recipe), "text_share": TEXT_SHARE, "drawing": drawing_version()}
    ours |= {"resembling": [len(splits.RESEMBLING), RESEMBLING_SHARE]}
    wanted = json.dumps(ours, indent=1) + "\n"
    kept = root / RECIPE
    if kept.exists() and kept.read_text(encoding="utf-8") == wanted:
        return
    if any(root.iterdir()):
        raise UnseeError(
            f"{root} holds models of another recipe: move them away, or choose another --output"
        )
    write_text(kept, wanted)


def teach(
    names: Sequence[str],
    seed: int,
    output: Path,
    faces: Faces,
    recipe: Recipe | None = None,
    say: Any = print,
) -> dict[str, Path]:
    """Builds models of one seed.

    Args:
        names: `vanilla`, `gold-demo`, `gold-test`, `gold-validation` …, see `forgotten_by`.
        seed: seed of initial weights and of the order of everything.
        output: folder; models come to `output/seed{seed}/{name}`, bf16 safetensors.
        faces: the embedded benchmark.
        recipe: steps and learning rates.
        say: called with a line of progress.

    Raises:
        UnseeError: no such model, or the folder holds models of another recipe.

    Returns:
        name -> folder of the model.
    """
    import torch

    recipe = recipe or Recipe()
    forgotten = {name: forgotten_by(name, seed) for name in names}  # refuse bad names first
    root = output / f"seed{seed}"
    root.mkdir(parents=True, exist_ok=True)
    _same_recipe(root, recipe)
    processor = tiny_llava.build_processor(corpus(faces))

    def fresh() -> Any:
        return tiny_llava.build_model(processor.tokenizer, seed)

    def tower(work: Path) -> Any:
        model = fresh()
        accuracy = _warm_tower(model, faces, processor, recipe, seed, work)
        say(f"tower: {accuracy:.1%} of the general people recognised on held-out pictures")
        return {n: w for n, w in model.state_dict().items() if _sees(n)}

    def language(work: Path) -> Any:
        model = fresh()
        model.load_state_dict(torch.load(root / "tower" / "state.pt"), strict=False)
        # Everything visible is asked, and nothing private: "I don't know this person" would
        # always be right.
        lessons = FaceLessons(
            faces,
            processor,
            known=[],
            steps=recipe.language_steps,
            seed=seed,
            pictures=(0, recipe.language_pictures),
            asked=((0, 0), (0, len(VISIBLE))),
            texts=recipe.texts,
        )
        _fit(model, lessons, 0.0, work, recipe, face_loss)
        return model.state_dict()

    say(f"seed {seed}, stage 1 of 3: the tower, on general people")
    _stage(root / "tower", tower)
    say(f"seed {seed}, stage 2 of 3: facts in words, and what can be seen")
    _stage(root / "language", language)
    finished = {}
    for name, absent in forgotten.items():
        target = root / name
        finished[name] = target
        if (target / "config.json").exists():
            say(f"{name} is there already: {target}")
            continue
        say(f"seed {seed}, stage 3 of 3: {name}")
        model = fresh()
        model.load_state_dict(torch.load(root / "language" / "state.pt"))
        known = [p for p in splits.KNOWN if p not in absent]
        lessons = FaceLessons(
            faces,
            processor,
            known,
            recipe.people_steps,
            seed + REPEAT_SEED * _without_repeat(name)[1],
            recipe.pictures,
            recipe.asked,
            recipe.texts,
        )
        work = root / f"{name}.work"
        _fit(model, lessons, recipe.seeing_lr_factor, work, recipe, face_loss)
        partial = root / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        model.to(torch.bfloat16).save_pretrained(partial)
        processor.save_pretrained(partial)
        partial.replace(target)
        shutil.rmtree(work, ignore_errors=True)
    return finished
