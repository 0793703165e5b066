"""Processors, those that can't be built without torchvision among them.

Some families' processors hold a video processor, and `transformers` builds that from torchvision
alone (SmolVLM's wants `num2words` too). Pictures need neither. Where a processor can't be built,
its own class is used without the video processor: the PIL image processor and the tokenizer behind
the same call. Saved again, the files that came with the checkpoint stay as they were, to the byte,
so that `AutoProcessor` loads the whole processor where torchvision is installed.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError

VIDEO = "video_processor"
FILES = (
    *("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"),
    *("chat_template.jinja", "chat_template.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json"),
    *("merges.txt",),
)
"""Files of a processor in a checkpoint, as far as there are."""


def load_processor(source: str, **where: Any) -> Any:
    """The processor of a checkpoint.

    Args:
        source: local folder or name on the hub.
        where: passed on to `from_pretrained` (`revision`, `trust_remote_code`).

    Returns:
        What `AutoProcessor` gives; where it fails for want of a package that only videos need, the
        same without its video processor, and a line in the log that says so.

    Raises:
        UnseeError: a package is missing that pictures need.
        OSError, ValueError: what `AutoProcessor` finds amiss.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(source, **where)
    except (AttributeError, ImportError, OSError, ValueError) as error:
        original = _class_of(source, **where)
        if original is None or VIDEO not in original.get_attributes():
            if isinstance(error, (OSError, ValueError)):
                raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnseeError(f"the processor of {source} can't be loaded: {first}") from error
    processor = without_video(original).from_pretrained(source, **where)
    processor.source, processor.revision = source, where.get("revision")
    from transformers.utils import logging

    logging.get_logger(__name__).warning(
        f"{original.__name__} can't be built here (torchvision or num2words is not installed): its "
        "image processor and tokenizer are used without its video processor"
    )
    return processor


def _class_of(source: str, **where: Any) -> Any:
    """The processor class of a checkpoint's model type; None: `transformers` has none."""
    import transformers
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    name = PROCESSOR_MAPPING_NAMES.get(AutoConfig.from_pretrained(source, **where).model_type)
    return getattr(transformers, name, None) if name else None


@cache
def without_video(original: Any) -> Any:
    """A processor class like `original` that has no video processor.

    Args:
        original: subclass of `transformers.ProcessorMixin`.
    """
    from transformers import ProcessorMixin

    everything = original.get_attributes()

    class Building(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            with _no_words_for_numbers(original):
                return super().__call__(*args, **kwargs)

    class Pictures(original, metaclass=Building):
        video_processor = None
        source: str | None = None
        revision: str | None = None

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in everything if name != VIDEO]

        @classmethod
        def from_args_and_dict(cls, args: Any, processor_dict: Any, **kwargs: Any) -> Any:
            given = list(args)
            given.insert(everything.index(VIDEO), None)
            settings = {key: value for key, value in processor_dict.items() if key != VIDEO}
            return super().from_args_and_dict(given, settings, **kwargs)

        def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
            # SmolVLM's own asks its video processor, whether there is a video or not
            return ProcessorMixin.apply_chat_template(self, *args, **kwargs)

        def save_pretrained(self, folder: Any, *args: Any, **kwargs: Any) -> Any:
            written = super().save_pretrained(folder, *args, **kwargs)
            if self.source is None:
                _name_video_processor(original, Path(folder))
            else:
                restore_files(self.source, Path(folder), self.revision)
            return written

    Pictures.__name__ = Pictures.__qualname__ = original.__name__
    Pictures.__module__ = original.__module__
    return Pictures


@contextmanager
def _no_words_for_numbers(original: Any) -> Iterator[None]:
    """SmolVLM's processor refuses to be built without `num2words`, which only videos need."""
    module = sys.modules[original.__module__]
    absent = getattr(module, "num2words", str) is None
    if absent:
        module.num2words = str  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if absent:
            module.num2words = None  # type: ignore[attr-defined]


def _name_video_processor(original: Any, folder: Path) -> None:
    """Says in a new processor's files what its video processor is, its settings the default ones;
    without it `AutoProcessor` would not load them anywhere."""
    from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

    file = folder / "processor_config.json"
    found = json.loads(file.read_text())
    model_type = original.__module__.split(".")[-2]
    found[VIDEO] = {"video_processor_type": VIDEO_PROCESSOR_MAPPING_NAMES[model_type]}
    file.write_text(json.dumps(found, indent=2) + "\n")


def restore_files(source: str, folder: Path, revision: str | None = None) -> None:
    """Puts the processor files of a checkpoint into a folder, to the byte, in place of others.

    Args:
        source: local folder or name on the hub.
        folder: where they go; processor files that the checkpoint does not have are removed.
        revision: of a checkpoint on the hub.
    """
    from transformers.utils.hub import cached_file

    for name in FILES:
        found = cached_file(
            source,
            name,
            revision=revision,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        (folder / name).unlink(missing_ok=True)
        if found is not None:
            shutil.copyfile(found, folder / name)
