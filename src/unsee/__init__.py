"""Make a multimodal LLM forget how a person looks.

    from unsee import VKDConfig, VKDTrainer

    trainer = VKDTrainer(
        model,
        args=VKDConfig(output_dir="out"),
        forget_dataset=forget,
        retain_dataset=retain,
        processing_class=processor,
    )
    trainer.train()

`import unsee` is cheap: torch and transformers are imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unsee.errors import UnseeError

if TYPE_CHECKING:
    from unsee.anatomy import anatomy_of
    from unsee.methods.base import UnlearningTrainer
    from unsee.methods.config import UnlearningConfig
    from unsee.methods.vkd import VKDTrainer
    from unsee.methods.vkd_config import VKDConfig

__version__ = "0.1.0"
__all__ = [
    "UnlearningConfig",
    "UnlearningTrainer",
    "UnseeError",
    "VKDConfig",
    "VKDTrainer",
    "__version__",
    "anatomy_of",
]

_HOME = {
    "UnlearningConfig": "unsee.methods.config",
    "UnlearningTrainer": "unsee.methods.base",
    "VKDConfig": "unsee.methods.vkd",
    "VKDTrainer": "unsee.methods.vkd",
    "anatomy_of": "unsee.anatomy",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
