"""Which parameters of a multimodal LLM are vision encoder, projector and language model."""

from importlib import import_module

from unsee.anatomy.anatomy import Anatomy, VisualFeatures, anatomy_of, speaker_of
from unsee.anatomy.families import Family, families, register

# Entries register themselves, in this order.
for entries in ("llava", "gemma", "qwen", "idefics", "mllama", "blip"):
    import_module(f"unsee.anatomy.{entries}")

__all__ = [
    "Anatomy",
    "Family",
    "VisualFeatures",
    "anatomy_of",
    "families",
    "register",
    "speaker_of",
]
