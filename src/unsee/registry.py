"""Entries by name, each registered by the file that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Generic, Protocol, TypeVar

from unsee.errors import UnseeError


class Named(Protocol):
    """What may be registered."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """What the files of a package register when they are imported.

    Args:
        kind: what an entry is, for messages.
        package: dotted name of the package.
        modules: its files that hold an entry; they are imported when first asked for.
    """

    def __init__(self, kind: str, package: str, modules: Sequence[str]) -> None:
        self.kind, self.package, self.modules = kind, package, modules
        self._entries: dict[str, Entry] = {}

    def register(self, entry: Entry) -> Entry:
        """Makes an entry known by its name."""
        self._entries[entry.name] = entry
        return entry

    def all(self) -> list[Entry]:
        """All entries, by name."""
        for module in self.modules:
            import_module(f"{self.package}.{module}")
        return [self._entries[name] for name in sorted(self._entries)]

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UnseeError: there is none.
        """
        known = {entry.name: entry for entry in self.all()}
        if name not in known:
            raise UnseeError(f"no {self.kind} is called {name!r}; there is {', '.join(known)}")
        return known[name]
