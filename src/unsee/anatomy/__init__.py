"""Which parameters of a multimodal LLM are vision encoder, projector and language model."""

from unsee.anatomy.anatomy import Anatomy, VisualFeatures, anatomy_of
from unsee.anatomy.families import Family, families, register

__all__ = ["Anatomy", "Family", "VisualFeatures", "anatomy_of", "families", "register"]
