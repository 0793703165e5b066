"""BLIP-2 and InstructBLIP: a Q-Former reads the tower through learnt queries and feeds W.

Queries, Q-Former and the linear layer behind it are the projector. InstructBLIP's Q-Former reads
the question too: without one (methods that never run W) it gets a neutral question, see
`unsee.data.collate.NEUTRAL`; the tower's own output, which does not hang on a question, is
distilled beside it.
"""

from __future__ import annotations

from unsee.anatomy.families import Family, register

for model_type, title, inputs, note in (
    ("blip-2", "BLIP-2", (), "The Q-Former is the projector."),
    (
        "instructblip",
        "InstructBLIP",
        ("qformer_input_ids", "qformer_attention_mask"),
        "The Q-Former is the projector; it reads the question, for pictures alone a neutral one.",
    ),
):
    register(
        Family(
            model_type=model_type,
            title=title,
            core="",
            vision=("vision_model",),
            projector=("query_tokens", "qformer", "language_projection"),
            language=("language_model",),
            inputs=("pixel_values", *inputs),
            text_mlp_out=("down_proj", "fc2", "wo"),
            speaker="language_model",
            note=note,
        )
    )
