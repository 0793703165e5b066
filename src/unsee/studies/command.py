"""What `python -m unsee.studies.<name>` has in common: usage, and errors in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from unsee.errors import UnseeError


def command(usage: str | None, fewest: int, work: Callable[..., Any]) -> None:
    """Calls `work` with the words of the command line.

    Args:
        usage: shown when there are fewer words than it needs.
        fewest: words that it needs.
        work: takes the words; what it raises as `UnseeError` or `ValueError` is shown in one line.
    """
    words = sys.argv[1:]
    if len(words) < fewest:
        print(usage, file=sys.stderr)
        sys.exit(2)
    try:
        work(*words)
    except (UnseeError, ValueError) as error:
        print(f"unsee: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on, finished rows are kept", file=sys.stderr)
        sys.exit(130)
