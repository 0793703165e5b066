"""`import unsee` and `unsee --help` stay cheap: they import nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unsee.cli.main import COMMANDS

BY_THEMSELVES = {"unlearn", "finetune"}
"""Commands whose options are those of a dataclass of transformers; only their help is slow."""
HEAVY = {"torch", "transformers", "datasets", "pandas", "pyarrow", "matplotlib", "numpy", "PIL"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in `sys.modules` after `code` ran in a fresh interpreter."""
    code += "\nimport sys; print('\\nloaded', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("loaded ")
    return set(line.split()[1:])


def test_import_is_light() -> None:
    loaded = loaded_after("import unsee; unsee.__version__; dir(unsee)")
    assert "unsee" in loaded
    assert not loaded & HEAVY


def test_the_probe_sees_heavy_imports() -> None:
    assert "numpy" in loaded_after("import numpy")


@pytest.mark.parametrize(
    "words", [[], *([command] for command in COMMANDS if command not in BY_THEMSELVES)]
)
def test_help_is_light(words: list[str]) -> None:
    loaded = loaded_after(
        "from unsee.cli.main import main\n"
        f"try: main({[*words, '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "else: raise AssertionError('no help was shown')"
    )
    assert "unsee" in loaded
    assert not loaded & HEAVY, f"`unsee {' '.join(words)} --help` imports {loaded & HEAVY}"


def test_help_of_the_program_loads_no_command() -> None:
    code = (
        "import sys\nfrom unsee.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "ours = {m for m in sys.modules if m.startswith('unsee.cli.')}\n"
        "assert ours == {'unsee.cli.main'}, ours"
    )
    loaded_after(code)


def test_exported_names_are_lazy_and_checked() -> None:
    import unsee

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        unsee.nothing  # noqa: B018
    assert set(unsee.__all__) <= set(dir(unsee))
