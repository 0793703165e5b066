"""Hugging Face's families: a vision tower, a connector (resampler or pixel shuffle), a decoder.

Their pixels are [B, pictures, 3, H, W], tiles of one picture in the place of pictures.
"""

from __future__ import annotations

from unsee.anatomy.families import Family, register

TILED = ("pixel_values", "pixel_attention_mask")

for model_type, title, note in (
    ("idefics2", "Idefics2", "The connector is an MLP and a perceiver resampler."),
    ("idefics3", "Idefics3", "Large pictures are cut into tiles; the connector shuffles pixels."),
    ("smolvlm", "SmolVLM", "As Idefics3; pictures alone, no videos."),
):
    register(
        Family(
            model_type=model_type,
            title=title,
            core="model",
            vision=("model.vision_model",),
            projector=("model.connector",),
            language=("model.text_model", "lm_head"),
            inputs=TILED,
            by_size=True,
            note=note,
        )
    )
