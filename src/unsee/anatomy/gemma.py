"""Google's families: a SigLIP tower whose output a linear projector reads, a Gemma decoder."""

from __future__ import annotations

from unsee.anatomy.families import Family, register

register(
    Family(
        model_type="paligemma",
        title="PaliGemma, PaliGemma 2",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector",),
        language=("model.language_model", "lm_head"),
        note="Tied embeddings. No chat template: a prompt is the question, an answer its suffix.",
    )
)

register(
    Family(
        model_type="gemma3",
        title="Gemma 3",
        core="model",
        vision=("model.vision_tower",),
        projector=("model.multi_modal_projector",),
        language=("model.language_model", "lm_head"),
        note="Tied embeddings. The projector pools the tower's tokens.",
    )
)
