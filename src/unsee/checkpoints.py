"""Loading and saving of whole `transformers` checkpoints, safetensors unless asked otherwise.

What is loaded may also be the folder of an adapter: then its base is, with the adapter merged.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee import adapter_folder, hub, quantised
from unsee.errors import UnseeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def last_checkpoint(work: Path) -> Path | None:
    """The newest whole checkpoint of a `Trainer`'s folder; newer ones that were cut off while they
    were written are removed."""
    from transformers.trainer_callback import TrainerState
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

    prefix = PREFIX_CHECKPOINT_DIR + "-"
    steps = [p.name.removeprefix(prefix) for p in work.glob(prefix + "*")]
    for step in sorted((int(s) for s in steps if s.isdigit()), reverse=True):
        folder = work / f"{prefix}{step}"
        try:  # the trainer writes this file last
            TrainerState.load_from_json(str(folder / "trainer_state.json"))
        except (OSError, ValueError, TypeError):
            shutil.rmtree(folder)
        else:
            return folder
    return None


def check_loadable(
    source: str,
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """Looks at a checkpoint before anything large is read.

    Args:
        source: local folder or name on the hub.
        allow_pickle: accept `pytorch_model.bin`, which can run code when it is loaded.
        revision: branch, tag or commit on the hub; None: its main branch.
        trust_remote_code: run code that comes with the checkpoint.

    Returns:
        Its configuration.

    Raises:
        UnseeError: no checkpoint, a pickle, a model without a vision encoder, or an adapter whose
            base is none.
    """
    from transformers import AutoConfig

    if revision and Path(source).is_dir():
        raise UnseeError(f"{source} is a folder: --revision is for names on the hub")
    if adapter_folder.is_adapter(source):
        base = adapter_folder.base_of(source, allow_pickle)
        of_base = adapter_folder.revision_of(source)
        try:
            return check_loadable(base, allow_pickle, of_base, trust_remote_code)
        except UnseeError as error:
            raise adapter_folder.about_base(source, base, error) from error

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
                    f"{pickles[0]} is a pickle, which can run code when it is loaded: convert it "
                    "to safetensors, or pass --allow-pickle if you trust where it is from"
                )
    elif source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise UnseeError(f"there is no model folder {source}")
    try:
        config = AutoConfig.from_pretrained(
            source, revision=revision or "main", trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        reason = hub.explain(source, error, revision)
        raise UnseeError(f"no model could be found at {source}: {reason}") from error
    if not hasattr(config, "vision_config"):
        raise UnseeError(
            f"{source} ({config.model_type}) has no vision encoder: unsee needs a multimodal model"
        )
    return config


def load(
    source: str,
    dtype: str | None = None,
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
    quantize: str | None = None,
    device: str | None = None,
) -> tuple[PreTrainedModel, Any]:
    """A multimodal model and its processor.

    Args:
        source: local folder, of an adapter too, or name on the hub.
        dtype: `float32`, `bfloat16`, …, `auto` as stored; None: float32 on the CPU, else as stored.
        allow_pickle: see `check_loadable`.
        revision: see there.
        trust_remote_code: see there.
        quantize: `8bit` or `4bit`, W alone; needs bitsandbytes.
        device: where to; None: the GPU, if there is one.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    from unsee.processors import load_processor

    config = check_loadable(source, allow_pickle, revision, trust_remote_code)
    if adapter_folder.is_adapter(source):
        if quantize:
            raise UnseeError(f"quantize needs a whole checkpoint, and {source} is an adapter")
        base = adapter_folder.base_of(source, allow_pickle)
        of_base = adapter_folder.revision_of(source)
        model, processor = load(
            base, dtype, allow_pickle, of_base, trust_remote_code, device=device
        )
        return adapter_folder.apply(model, source), processor
    where: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision or "main"}
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("float32" if device == "cpu" else "auto")
    if quantize:
        computed = getattr(config, "dtype", None) if dtype == "auto" else getattr(torch, dtype)
        where["quantization_config"] = quantised.settings(quantize, config, computed)
        where["device_map"] = {"": device}
    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
            **where,
        )
        of_weights = ("quantization_config", "device_map")
        rest = {key: value for key, value in where.items() if key not in of_weights}
        processor = load_processor(source, **rest)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = hub.explain(source, error, revision)
        raise UnseeError(f"{source} can't be loaded: {reason}") from error
    if found["missing_keys"]:
        absent = sorted(found["missing_keys"])
        raise UnseeError(
            f"{source} holds no weights for {absent[0]} ({len(absent)} missing): they would be "
            "random; is the file complete?"
        )
    return quantised.trainable(model) if quantize else model.to(device), processor


def stored_dtypes(
    source: str,
    allow_pickle: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """The dtype that a checkpoint is stored in, as `torch.dtype`."""
    import torch

    config = check_loadable(source, allow_pickle, revision, trust_remote_code)
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
