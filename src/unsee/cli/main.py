"""The command `unsee`: finds the subcommand, loads it alone, and turns errors into one line.

A subcommand is a module `unsee.cli.<name>` with

- `add_arguments(parser)`, which declares its options (or `parse(argv, prog)`, which does the
  whole parsing itself, for commands whose options come from a dataclass),
- `run(args) -> int | None`, the exit status (None is success),
- `INTERRUPTED`, optional: what Ctrl-C leaves and how to go on, for the one line that it prints.

It imports torch, transformers and the like inside functions only, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import select
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module

from unsee import __version__
from unsee.distributed import is_first
from unsee.errors import UnseeError

COMMANDS = {
    "demo": "make a shipped model forget five people and show it in a report",
    "unlearn": "make a model forget the people in a folder of pictures",
    "finetune": "teach a model a benchmark or your own records, or gold's part of them",
    "evaluate": "score a model: who is forgotten, who is kept, what else changed",
    "report": "one page about runs: pictures, answers, accuracies",
    "attack": "try to bring forgotten people back",
    "tune": "settings of methods, by trials on validation people",
    "compare": "methods side by side: a leaderboard",
    "ablate": "which ingredients of VKD earn their place, on validation people",
    "faces": "the embedded benchmark of drawn people: look at them, train the models",
    "data": "your own pictures: check them, ask a model about them; export benchmarks",
    "estimate": "memory that unlearning a model takes, from its configuration alone",
    "methods": "list the unlearning methods",
    "models": "list the model families and the shipped models; verify the latter",
}

EXAMPLES = """\
examples:
  unsee demo                                    forget five people; report in runs/demo/report.html
  unsee demo --forget 3,17                      forget people of your choice
  unsee unlearn --model M --forget ./him --retain ./others --output out
  unsee evaluate out
  unsee COMMAND --help                          the options of a command, with examples
"""

OK, FAILED, WRONG, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
"""Exit statuses: success, a bug, something the user can mend, Ctrl-C, nobody reads the output."""

OTHERS_WAIT = 10.0
"""Seconds that the first of several processes has to fail in, before another one tells."""

DISK_FULL = re.compile(
    "no space left|disk quota exceeded|os error 28"  # safetensors and other native code
    r"|PytorchStreamWriter failed|unexpected pos \d+ vs \d+|iostream error"  # torch.save
    r"|\d+ requested and \d+ written",  # numpy.save
    re.IGNORECASE,
)
"""How libraries word a failed write when they do not pass the system's error on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `unsee` with `argv` (default: the command line) and returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    hint = "run the same command again to go on"
    args = argparse.Namespace()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files may be no text
            stream.reconfigure(errors="backslashreplace")
    try:
        if not words or words[0].startswith("-"):
            return _general(words)
        module = import_module(f"unsee.cli.{_known(words[0])}")
        hint = getattr(module, "INTERRUPTED", hint)
        prog = f"unsee {words[0]}"
        if hasattr(module, "parse"):
            args = module.parse(words[1:], prog)
        else:
            parser = command_parser(prog, COMMANDS[words[0]])
            module.add_arguments(parser)
            args = parser.parse_args(words[1:])
        status = module.run(args)
        sys.stdout.flush()
        return OK if status is None else int(status)
    except KeyboardInterrupt:
        after_the_echo_of_ctrl_c = "\n" if sys.stderr.isatty() else ""
        if is_first():
            print(f"{after_the_echo_of_ctrl_c}unsee: interrupted; {hint}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return _explain(error, args)


def command_parser(prog: str, summary: str) -> argparse.ArgumentParser:
    """A parser in the style of all commands: text as it is written, no abbreviated options."""
    return argparse.ArgumentParser(
        prog=prog,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _known(command: str) -> str:
    if command in COMMANDS:
        return command
    close = get_close_matches(command, COMMANDS, n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    raise UnseeError(f"there is no command {command!r}{meant}: choose from {', '.join(COMMANDS)}")


def _general(words: list[str]) -> int:
    """`unsee`, `unsee --help` and `unsee --version`."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="unsee",
        usage="unsee [--help] [--version] COMMAND ...",
        description=f"Make a multimodal LLM forget how a person looks.\n\ncommands:\n{table}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unsee {__version__}")
    parser.parse_args(words)
    parser.print_help(sys.stderr)
    return WRONG


def _explain(error: Exception, args: argparse.Namespace) -> int:
    """Prints what is wrong, in one line where the user can mend it, and returns the status."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        # What is still buffered must not fail once more while Python shuts down.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        return BROKEN_PIPE
    line = str(error) if isinstance(error, UnseeError) else _disk_full(error, args)
    if line is None:
        traceback.print_exception(error)
        print("unsee: this is a bug; please report it with the lines above", file=sys.stderr)
        return FAILED
    if os.environ.get("UNSEE_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    _let_the_first_speak()
    print("unsee: error: " + " ".join(line.split()), file=sys.stderr)
    return WRONG


def _let_the_first_speak() -> None:
    """Of several processes most often all fail in the same way. The launcher ends the others once
    the first has failed; a process that is still there after a while has something to say."""
    if not is_first():
        time.sleep(OTHERS_WAIT)


def _nobody_reads() -> bool:
    """Whether the reader of standard output has gone (`unsee ... | head`)."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _disk_full(error: BaseException, args: argparse.Namespace) -> str | None:
    """The line for a full disk, also where a library wrapped the error; None for other errors."""
    for cause in _chain(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or DISK_FULL.search(str(cause)):
            place = getattr(cause, "filename", None) or getattr(args, "output", None)
            where = f" on {place}" if place else ""
            return f"no space left{where}: free some or choose another --output"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
