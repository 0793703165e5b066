"""The error that a user can mend."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


class UnseeError(Exception):
    """Something is wrong that the user can put right: a path, an option, a model.

    The message is one line that says what is wrong and how to mend it. The command line prints it
    without a traceback and exits with status 2 (`UNSEE_DEBUG=1` shows the traceback).
    """


class Diverged(UnseeError):
    """Training ran away: a loss, a weight or an answer's likelihood is not finite."""


def check_offered(config: Any, **offered: Collection[str]) -> None:
    """Refuses fields that hold none of the values on offer.

    Raises:
        UnseeError: one does.
    """
    for name, values in offered.items():
        value = getattr(config, name)
        if value not in values:
            raise UnseeError(f"{name}={value!r} is not offered; choose {', '.join(values)}")


def check_counts(config: Any, *names: str) -> None:
    """Refuses fields below 1.

    Raises:
        UnseeError: one is.
    """
    for name in names:
        if not getattr(config, name) >= 1:
            raise UnseeError(f"{name} must be at least 1")


def check_positive(config: Any, *names: str) -> None:
    """Refuses fields that are not above 0.

    Raises:
        UnseeError: one is not.
    """
    for name in names:
        if not getattr(config, name) > 0:
            raise UnseeError(f"{name} must be above 0")


def optional(module: str, extra: str) -> Any:
    """A module of a library that `unsee[extra]` installs.

    Raises:
        UnseeError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise UnseeError(f"this needs {library}: pip install 'unsee[{extra}]'") from None
