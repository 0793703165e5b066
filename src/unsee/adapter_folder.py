"""Folders that hold an adapter alone, in the format of `peft`: what it is of, reading and writing.

`adapter_config.json` names the checkpoint that the adapter belongs to, `adapter_model.safetensors`
holds its weights. `peft.PeftModel.from_pretrained(base, folder)` needs nothing of ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from unsee.adapters import Adapter

CONFIG, WEIGHTS, PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


def is_adapter(source: str) -> bool:
    """Whether a folder holds an adapter and no whole checkpoint."""
    folder = Path(source)
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(source: str, allow_pickle: bool = False) -> str:
    """The checkpoint that an adapter belongs to: a folder or a name on the hub.

    Raises:
        UnseeError: no weights, a pickle, or a configuration that can't be read or names no base.
    """
    folder = Path(source)
    if not (folder / WEIGHTS).is_file():
        if not (folder / PICKLE).is_file():
            raise UnseeError(f"{source} holds no weights ({WEIGHTS})")
        if not allow_pickle:
            raise UnseeError(
                f"{folder / PICKLE} is a pickle, which can run code when it is loaded: convert it "
                "to safetensors, or pass --allow-pickle if you trust where it is from"
            )
    try:
        base = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        base = None
    if not isinstance(base, str) or not base:
        raise UnseeError(f"{folder / CONFIG} does not name the model that the adapter is of")
    if is_adapter(base):
        raise UnseeError(f"{source} is an adapter of {base}, which is an adapter itself: merge it")
    return base


def revision_of(source: str) -> str | None:
    """The commit of the hub that the base of an adapter is at; None: its main branch, or a
    folder."""
    found = json.loads((Path(source) / CONFIG).read_text(encoding="utf-8")).get("revision")
    return found if isinstance(found, str) and found else None


def about_base(source: str, base: str, error: UnseeError) -> UnseeError:
    """What is wrong with the base of an adapter, told to who named the adapter."""
    return UnseeError(
        f"{source} is an adapter of {base}, and that can't be used ({error}): put it back, or mend "
        f"base_model_name_or_path in {Path(source) / CONFIG}"
    )


def apply(model: Any, source: str) -> Any:
    """The model with an adapter merged into its weights; no trace of `peft` stays.

    Raises:
        UnseeError: the adapter does not fit the model.
    """
    import warnings

    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils.save_and_load import load_peft_weights

    try:
        stored = load_peft_weights(source, device="cpu").keys()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is missing: looked at below
            adapted = PeftModel.from_pretrained(model, source)
        wanted = get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
        if odd := sorted(stored ^ wanted):
            raise UnseeError(f"{odd[0]} is {'missing' if odd[0] in wanted else 'no part of it'}")
        merged = adapted.merge_and_unload()
    except UnseeError as error:
        raise UnseeError(f"the adapter {source} does not fit its model: {error}") from error
    except Exception as error:  # safetensors', peft's and torch's own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnseeError(f"the adapter {source} can't be loaded: {first}") from error
    if hasattr(merged, "peft_config"):
        del merged.peft_config
    return merged


def save_adapter(
    adapter: Adapter, base: str, processor: Any, folder: Path, revision: str | None = None
) -> None:
    """Writes an adapter, and the processor beside it.

    Args:
        adapter: what was trained.
        base: the checkpoint that it was trained from, named in its configuration.
        processor: the model's.
        folder: where to.
        revision: commit of the base, where that is a name on the hub.

    Raises:
        UnseeError: it is not finite.
    """
    import torch
    from safetensors.torch import save_file

    broken = [name for name, w in adapter.weights.items() if not torch.isfinite(w).all()]
    if broken:
        raise UnseeError(f"{broken[0]} is not finite: nothing was saved; lower the learning rate")
    here = Path(base)
    adapter.config.base_model_name_or_path = str(here.resolve()) if here.is_dir() else base
    adapter.config.revision = revision
    folder.mkdir(parents=True, exist_ok=True)
    save_file(adapter.weights, folder / WEIGHTS, metadata={"format": "pt"})
    processor.save_pretrained(folder)
    adapter.config.save_pretrained(folder)
