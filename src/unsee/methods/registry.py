"""Methods by name. A method registers itself when its file is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from unsee.errors import UnseeError

MODULES = ("graddiff", "two_sided", "vkd")
"""The files of this folder that hold a method."""


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

    def classes(self) -> tuple[type, type]:
        """(trainer class, configuration class)."""
        found = []
        for dotted in (self.trainer, self.config):
            module, _, name = dotted.rpartition(".")
            found.append(getattr(import_module(module), name))
        return found[0], found[1]


_METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Makes a method known by its name."""
    _METHODS[method.name] = method
    return method


def list_methods() -> list[Method]:
    """All methods, by name."""
    for module in MODULES:
        import_module(f"unsee.methods.{module}")
    return [_METHODS[name] for name in sorted(_METHODS)]


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnseeError: there is none.
    """
    known = {method.name: method for method in list_methods()}
    if name not in known:
        raise UnseeError(f"no method is called {name!r}; there is {', '.join(known)}")
    return known[name]
