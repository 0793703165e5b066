"""The error that a user can mend."""

from __future__ import annotations


class UnseeError(Exception):
    """Something is wrong that the user can put right: a path, an option, a model.

    The message is one line that says what is wrong and how to mend it. The command line prints it
    without a traceback and exits with status 2 (`UNSEE_DEBUG=1` shows the traceback).
    """
