"""The language model in 8 or 4 bits, by bitsandbytes; what sees stays as it is.

For methods that leave W alone: what they write has W as it was stored, not as it was quantised.
"""

from __future__ import annotations

from typing import Any

from unsee.errors import UnseeError, optional

BITS = ("8bit", "4bit")


def settings(bits: str, config: Any, dtype: Any) -> Any:
    """What `from_pretrained` takes as `quantization_config`.

    Args:
        bits: one of `BITS`.
        config: the model's.
        dtype: that 4-bit layers compute in, `torch.dtype`.

    Raises:
        UnseeError: bitsandbytes is not installed, an unknown family, or no such number of bits.
    """
    from transformers import BitsAndBytesConfig

    from unsee.anatomy import families

    if bits not in BITS:
        raise UnseeError(f"quantize={bits!r} is not offered; choose {', '.join(BITS)}")
    optional("bitsandbytes", "quantize")
    family = families().get(config.model_type)
    if family is None:
        raise UnseeError(f"quantize: {config.model_type} is not among the known model families")
    kept = [*family.vision, *family.projector, "lm_head"]
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=kept,
    )


def trainable(model: Any) -> Any:
    """Takes the marks of a quantised model away, with which a `Trainer` would refuse it: what is
    quantised here is frozen."""
    model.is_quantized = model.is_loaded_in_8bit = model.is_loaded_in_4bit = False
    model.quantization_method = None
    return model


def with_language_of(original: Any, model: Any) -> Any:
    """The original with V and P of the model, in place.

    Args:
        original: as it is stored, nothing quantised.
        model: trained, W quantised.
    """
    import torch

    from unsee.anatomy import anatomy_of
    from unsee.anatomy.families import PROJECTOR, VISION

    trained = dict(anatomy_of(model).parameters(VISION, PROJECTOR))
    with torch.no_grad():
        for name, parameter in anatomy_of(original).parameters(VISION, PROJECTOR):
            parameter.copy_(trained[name])
    return original
