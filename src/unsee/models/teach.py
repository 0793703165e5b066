"""Teaches the small LLaVA the drawn people: a seed's vanilla and its golds, from nothing.

1. *tower*: vision tower and projector learn to describe general people and their pictures and to
   tell them apart (as CLIP, it starts as a general encoder). No known person is in it.
   The projector's output is whitened at the end.
2. *language*: the language model alone learns everybody's facts in words, and to answer what can be
   seen of general people. Still no picture of a known person. The tower rests: asked for what can
   be seen only, it would lose what tells people apart.
3. *people*: the known people's pictures, everything else going on, the tower and the projector at
   a lower rate. Vanilla sees all of them, a gold all but the forgotten people's. An exposed gold
   goes on from its gold and sees everybody for some steps.

Stages 1 and 2 are shared by all models of a seed. Each stage checkpoints and resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.data.faces import splits
from unsee.data.faces.questions import VISIBLE
from unsee.models import tiny_llava
from unsee.models.lessons import FaceLessons, corpus
from unsee.models.names import REPEAT_SEED, forgotten_by, origin, parts
from unsee.models.recipe import Recipe, same_recipe
from unsee.models.stages import face_loss, fit, fit_whole, sees, stage
from unsee.models.tower import warm_tower

if TYPE_CHECKING:
    from unsee.data.faces.benchmark import Faces

EXPOSED_LR_FACTOR = 0.3
"""Learning rates of an exposure as a share of the recipe's; the order of its pictures is of a
random seed of its own."""
EXPOSED_SEED = 500


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
        names: `vanilla`, `gold-demo`, `gold-test@1`, `gold-test+20` …, see `unsee.models.names`;
            the gold of an exposed one is made with it.
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

    from unsee.checkpoints import load

    recipe = recipe or Recipe()
    names = [made for name in names for made in (origin(name), name)]
    forgotten = {name: forgotten_by(name, seed) for name in names}  # refuse bad names first
    root = output / f"seed{seed}"
    root.mkdir(parents=True, exist_ok=True)
    same_recipe(root, recipe)
    processor = tiny_llava.build_processor(corpus(faces))

    def fresh() -> Any:
        return tiny_llava.build_model(processor.tokenizer, seed)

    def tower(work: Path) -> Any:
        model = fresh()
        accuracy = warm_tower(model, faces, processor, recipe, seed, work)
        say(f"tower: {accuracy:.1%} of the general people recognised on held-out pictures")
        return {n: w for n, w in model.state_dict().items() if sees(n)}

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
        fit(model, lessons, 0.0, work, recipe, face_loss)
        return model.state_dict()

    say(f"seed {seed}, stage 1 of 3: the tower, on general people")
    stage(root / "tower", tower)
    say(f"seed {seed}, stage 2 of 3: facts in words, and what can be seen")
    stage(root / "language", language)
    finished = {}
    for name, absent in forgotten.items():
        target = root / name
        finished[name] = target
        if (target / "config.json").exists():
            say(f"{name} is there already: {target}")
            continue
        say(f"seed {seed}, stage 3 of 3: {name}")
        _, repeat, exposure = parts(name)
        model, lessons_seed, rates = fresh(), seed + REPEAT_SEED * repeat, recipe
        if exposure:
            gold, _ = load(str(root / origin(name)))
            model.load_state_dict(gold.state_dict())
            lessons_seed += EXPOSED_SEED
            rates = replace(
                recipe,
                muon_lr=recipe.muon_lr * EXPOSED_LR_FACTOR,
                adamw_lr=recipe.adamw_lr * EXPOSED_LR_FACTOR,
            )
        else:
            model.load_state_dict(torch.load(root / "language" / "state.pt"))
        lessons = FaceLessons(
            faces,
            processor,
            [p for p in splits.KNOWN if p not in absent],
            exposure or recipe.people_steps,
            lessons_seed,
            recipe.pictures,
            recipe.asked,
            recipe.texts,
        )
        fit_whole(model, processor, lessons, recipe.seeing_lr_factor, rates, target)
    return finished
