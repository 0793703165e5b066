"""Methods by name. A method registers itself when its file is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from unsee.registry import Registry


@dataclass(frozen=True)
class Method:
    """What `unsee methods` tells.

    Attributes:
        name: the word on the command line.
        source: paper.
        fidelity: `paper`, `released code`, `reconstruction`, or `ours`.
        trains: parts that it trains.
        touches_language: whether W's weights change.
        runs_language: whether W is run.
        summary: one line.
        trainer: dotted name of the trainer class.
        config: dotted name of its configuration class.
        edits: it edits weights once, without steps.
    """

    name: str
    source: str
    fidelity: str
    trains: str
    touches_language: bool
    runs_language: bool
    summary: str
    trainer: str
    config: str
    edits: bool = False

    @property
    def supports(self) -> tuple[str, ...]:
        """What `trainable` may be."""
        return self.classes()[0].supports  # type: ignore[attr-defined]

    def classes(self) -> tuple[type, type]:
        """(trainer class, configuration class)."""
        found = []
        for dotted in (self.trainer, self.config):
            module, _, name = dotted.rpartition(".")
            found.append(getattr(import_module(module), name))
        return found[0], found[1]


NOT_BUILT = {
    "siu": "Single Image Unlearning (arXiv 2405.12523): of its dual-masked KL loss and its "
    "fine-tuning data we found descriptions in words alone, not enough to build it faithfully",
}
"""Methods of the field that are missing, and why."""

_METHODS: Registry[Method] = Registry(
    "method",
    "unsee.methods",
    (
        *("bad_teacher dpo ga graddiff idk kl_min manu mip_editor mmunlearner npo rmu".split()),
        *("salun scrub simnpo smfa two_sided undial vgid vkd".split()),
    ),
)
register, list_methods, get_method = _METHODS.register, _METHODS.all, _METHODS.get
