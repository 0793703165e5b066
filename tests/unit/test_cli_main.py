"""The command `unsee` itself: finding commands, and every way in which one can end."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from unsee import __version__
from unsee.cli.main import COMMANDS, main
from unsee.errors import UnseeError

Fake = Callable[..., None]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replaces `unsee faces` by a command that does what the test says."""

    def install(run: Callable[[argparse.Namespace], int | None], **more: object) -> None:
        module = ModuleType("unsee.cli.faces")
        module.add_arguments = lambda parser: parser.add_argument("--output")  # type: ignore[attr-defined]
        module.run = run  # type: ignore[attr-defined]
        for name, value in more.items():
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, "unsee.cli.faces", module)

    return install


def raising(error: BaseException) -> Callable[[argparse.Namespace], int | None]:
    def run(args: argparse.Namespace) -> int | None:
        raise error

    return run


def test_help_lists_every_command_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert f"  {name} " in shown and summary in shown
    assert "unsee unlearn --model M --forget" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"unsee {__version__}\n"


def test_no_command_shows_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "commands:" in shown.err


def test_mistyped_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unlern"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unsee: error: there is no command 'unlern' (did you mean 'unlearn'?)")
    assert error.count("\n") == 1


def test_options_reach_the_command(fake: Fake) -> None:
    seen = {}
    fake(lambda args: seen.update(vars(args)))
    assert main(["faces", "--output", "here"]) == 0
    assert seen == {"output": "here"}


def test_status_of_the_command_is_returned(fake: Fake) -> None:
    fake(lambda args: 7)
    assert main(["faces"]) == 7


def test_a_command_may_parse_by_itself(fake: Fake) -> None:
    seen = []

    def parse(argv: list[str], prog: str) -> argparse.Namespace:
        return argparse.Namespace(words=argv, prog=prog)

    fake(seen.append, parse=parse)
    assert main(["faces", "--learning_rate", "1e-3"]) == 0
    assert seen[0].words == ["--learning_rate", "1e-3"] and seen[0].prog == "unsee faces"


def test_options_are_not_abbreviated(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(lambda args: 0)
    with pytest.raises(SystemExit) as end:
        main(["faces", "--out", "here"])
    assert end.value.code == 2
    assert "unrecognized arguments: --out" in capsys.readouterr().err


def test_user_errors_are_one_line(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(raising(UnseeError("the folder x\nis empty")))
    assert main(["faces"]) == 2
    assert capsys.readouterr().err == "unsee: error: the folder x is empty\n"


def test_debug_shows_the_traceback(
    fake: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSEE_DEBUG", "1")
    fake(raising(UnseeError("the folder x is empty")))
    assert main(["faces"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and error.endswith("unsee: error: the folder x is empty\n")


def test_bugs_keep_their_traceback(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(raising(ZeroDivisionError("oh")))
    assert main(["faces"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error and "ZeroDivisionError: oh" in error
    assert "unsee: this is a bug" in error


def wrapped() -> Exception:
    """A full disk as a library reports it that wraps the error of the system."""
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as inner:
            raise RuntimeError("cannot write the checkpoint") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        OSError("1000000 requested and 262112 written"),
        wrapped(),
    ],
)
def test_full_disk_is_one_line(
    fake: Fake, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    fake(raising(error))
    assert main(["faces", "--output", "out"]) == 2
    line = "unsee: error: no space left on out: free some or choose another --output\n"
    assert capsys.readouterr().err == line


def test_full_disk_names_the_file_where_it_is_known(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> None:
        with open("/dev/full", "w", encoding="utf-8") as file:
            file.write("x")

    fake(run)
    assert main(["faces"]) == 2
    assert capsys.readouterr().err.startswith("unsee: error: no space left")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "input/output error"),
        RuntimeError("[enforce fail at inline_container.cc:145] . PytorchStreamReader failed"),
    ],
)
def test_other_system_errors_are_not_taken_for_a_full_disk(
    fake: Fake, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    fake(raising(error))
    assert main(["faces"]) == 1
    assert "no space" not in capsys.readouterr().err


def test_interrupted(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(raising(KeyboardInterrupt()), INTERRUPTED="step 3 is kept")
    assert main(["faces"]) == 130
    assert capsys.readouterr().err == "unsee: interrupted; step 3 is kept\n"


PROGRAM = """
import sys, time, types
from unsee.cli.main import main
module = types.ModuleType("unsee.cli.faces")
module.add_arguments = lambda parser: None
def run(args):
{body}
module.run = run
sys.modules["unsee.cli.faces"] = module
sys.exit(main(["faces"]))
"""


def test_ctrl_c_of_a_real_process(tmp_path: Path) -> None:
    # Python leaves Ctrl-C ignored where the shell started the tests in the background.
    body = "    import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    body += "    print('started', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.startswith("unsee: interrupted; ") and error.count("\n") == 1


def test_nobody_reads_the_output() -> None:
    body = "    for number in range(100000): print('line', number)"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"line 0\n"
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 141
    assert error == b""


def test_what_is_no_text_is_told_all_the_same() -> None:
    body = (
        "    print('caf\\udce9'); from unsee.errors import UnseeError; raise UnseeError('\\udce9')"
    )
    found = subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True)
    assert found.stdout == b"caf\\udce9\n" and found.returncode == 2
    assert found.stderr == b"unsee: error: \\udce9\n"


def test_a_broken_pipe_elsewhere_is_a_bug(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(raising(BrokenPipeError(errno.EPIPE, "a worker died")))
    assert main(["faces"]) == 1
    assert "a worker died" in capsys.readouterr().err


def test_python_m_unsee() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unsee", "--version"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout == f"unsee {__version__}\n"
