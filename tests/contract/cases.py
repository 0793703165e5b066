"""Which methods and families the contracts are tested on.

All methods on the first family, and two methods on all families, in `make test`; every method on
every family in `make test-full`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tiny
from unsee.methods.registry import Method, list_methods

FAMILIES = list(tiny.FAMILIES)
EVERYWHERE = ("vkd", "graddiff")
"""Methods that are tested on all families, and cut at every step, in `make test` already."""


def soon(method: Method) -> Any:
    """Marks of what only `make test-full` runs, unless the method is one of `EVERYWHERE`."""
    return () if method.name in EVERYWHERE else pytest.mark.slow


def methods(keep: Callable[[Method], bool] = lambda method: True) -> Any:
    """Parametrises `method` with those that are kept."""
    found = [pytest.param(m, id=m.name) for m in list_methods() if keep(m)]
    return pytest.mark.parametrize("method", found)


def methods_and_families(keep: Callable[[Method], bool] = lambda method: True) -> Any:
    """Parametrises `method` and `family`."""
    found = [
        pytest.param(m, family, id=f"{m.name}-{family}", marks=() if first else soon(m))
        for m in list_methods()
        if keep(m)
        for family, first in ((f, f == FAMILIES[0]) for f in FAMILIES)
    ]
    return pytest.mark.parametrize(("method", "family"), found)


def trains(method: Method) -> bool:
    """Whether a method takes steps."""
    return not method.edits


def has_adapters(method: Method) -> bool:
    """Whether a method can train adapters."""
    return bool(method.classes()[0].adapters)  # type: ignore[attr-defined]
