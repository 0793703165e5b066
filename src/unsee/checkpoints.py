"""Loading and saving of whole `transformers` checkpoints, safetensors unless asked otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_loadable(source: str, allow_pickle: bool = False) -> Any:
    """Looks at a checkpoint before anything large is read.

    Args:
        source: local folder or name on the hub.
        allow_pickle: accept `pytorch_model.bin`, which can run code when it is loaded.

    Returns:
        Its configuration.

    Raises:
        UnseeError: no checkpoint, a pickle, or a model without a vision encoder.
    """
    from transformers import AutoConfig

    folder = Path(source)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UnseeError(f"{source} is not a transformers checkpoint: it has no config.json")
        if not any(folder.glob("*.safetensors")):
            pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")])
            if not pickles:
                raise UnseeError(f"{source} holds no weights (model.safetensors)")
            if not allow_pickle:
                raise UnseeError(
                    f"{pickles[0]} is a pickle, which can run code when it is loaded: convert it to "
                    "safetensors, or pass --allow-pickle if you trust where it is from"
                )
    elif source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise UnseeError(f"there is no model folder {source}")
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UnseeError(f"no model could be found at {source}: {first}") from error
    if not hasattr(config, "vision_config"):
        raise UnseeError(
            f"{source} ({config.model_type}) has no vision encoder: unsee needs a multimodal model"
        )
    return config


def load(
    source: str, dtype: str | None = None, allow_pickle: bool = False
) -> tuple[PreTrainedModel, Any]:
    """A multimodal model and its processor.

    Args:
        source: local folder or name on the hub.
        dtype: `float32`, `bfloat16`, …, `auto` as stored; None: float32 on the CPU, else as stored.
        allow_pickle: see `check_loadable`.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    check_loadable(source, allow_pickle)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = dtype or ("float32" if device == "cpu" else "auto")
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=dtype, use_safetensors=None if allow_pickle else True
        )
        processor = AutoProcessor.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnseeError(f"{source} can't be loaded: {first}") from error
    return model.to(device), processor


def stored_dtypes(source: str, allow_pickle: bool = False) -> Any:
    """The dtype that a checkpoint is stored in, as `torch.dtype`."""
    import torch

    config = check_loadable(source, allow_pickle)
    return getattr(config, "dtype", None) or torch.float32


def save(model: PreTrainedModel, processor: Any, folder: Path, dtype: Any) -> None:
    """Writes a complete checkpoint in `dtype`; casting back what was stored so is exact."""
    import torch

    named = {n: p for n, p in model.state_dict().items() if torch.is_floating_point(p)}
    broken = [n for n, p in named.items() if not torch.isfinite(p).all()]
    if broken:
        raise UnseeError(f"{broken[0]} is not finite: nothing was saved; lower the learning rate")
    model.to(dtype).save_pretrained(folder)
    processor.save_pretrained(folder)
