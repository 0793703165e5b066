"""What the options of several commands have in common: reading and refusing their values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from unsee.errors import UnseeError


def add_loading(parser: Any) -> None:
    """Declares how a model is loaded: from which revision, and what it may bring with it."""
    parser.add_argument("--revision", help="branch, tag or commit, of a model on the hub")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with the model"
    )
    parser.add_argument(
        "--allow-pickle", action="store_true", help="load pytorch_model.bin, which can run code"
    )


def add_quantize(parser: Any) -> None:
    """Declares `--quantize`."""
    parser.add_argument(
        "--quantize",
        metavar="BITS",
        help="load the language model in 8bit or 4bit, which needs bitsandbytes (unsee[quantize])",
    )


def loading_of(args: argparse.Namespace) -> dict[str, Any]:
    """The values of `add_loading`, as `unsee.checkpoints.load` takes them."""
    names = ("revision", "trust_remote_code", "allow_pickle")
    return {name: getattr(args, name) for name in names}


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
        UnseeError: there is no such method, or `all` is not alone.
    """
    from unsee.methods.registry import get_method, list_methods

    if "all" in words:
        if len(words) > 1:
            raise UnseeError("all is every method: name no other beside it")
        return [method.name for method in list_methods()]
    return list(dict.fromkeys(get_method(word).name for word in words))
