"""What the options of several commands have in common: reading and refusing their values."""

from __future__ import annotations

from collections.abc import Sequence

from unsee.errors import UnseeError


def at_least(least: int, **options: int) -> None:
    """Refuses numbers below the least one; `per_person` is the flag `--per-person`.

    Raises:
        UnseeError: one is.
    """
    for name, value in options.items():
        if value < least:
            raise UnseeError(f"--{name.replace('_', '-')} must be at least {least}")


def numbers(flag: str, text: str) -> list[int]:
    """`0,1,2` as numbers.

    Raises:
        UnseeError: it is something else.
    """
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [-1]
    if min(found) < 0:
        raise UnseeError(f"{flag} {text!r}: give numbers such as 0,1,2")
    return list(dict.fromkeys(found))


def methods_of(words: Sequence[str]) -> list[str]:
    """Names of methods; `all` is all of them.

    Raises:
        UnseeError: there is no such method.
    """
    from unsee.methods.registry import get_method, list_methods

    if list(words) == ["all"]:
        return [method.name for method in list_methods()]
    return list(dict.fromkeys(get_method(word).name for word in words))
