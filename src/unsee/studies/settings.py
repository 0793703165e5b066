"""Settings of methods that `unsee tune` has chosen on the embedded benchmark, as YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from unsee.errors import UnseeError
from unsee.methods.registry import get_method

FOLDER = Path(__file__).parent / "tuned"
"""Those that come with unsee, `METHOD.yaml`."""


def read_settings(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Options by method, of every `METHOD.yaml` in a folder.

    Raises:
        UnseeError: a file can't be read, or holds options that its method has not.
    """
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UnseeError(f"{file} can't be read: {error}") from error
        if not isinstance(read, Mapping) or "method" not in read:
            raise UnseeError(f"{file} must hold lines of the form `option: value`, and `method:`")
        options = {str(key): value for key, value in read.items() if key != "method"}
        method = str(read["method"])
        config = get_method(method).classes()[1]
        kinds = {field.name: field.type for field in fields(config)}
        unknown = sorted(options.keys() - kinds.keys())
        if unknown:
            raise UnseeError(f"{file}: {method} has no option {unknown[0]!r}")
        try:
            for name, value in options.items():
                if "float" in str(kinds[name]) and isinstance(value, str):
                    options[name] = float(value)  # YAML takes 1e-4 for a word
            config(output_dir="", **options)
        except (UnseeError, TypeError, ValueError) as error:
            raise UnseeError(f"{file}: {error}") from error
        found[method] = options
    return found


def settings_text(method: str, options: Mapping[str, Any], remarks: list[str]) -> str:
    """A settings file, headed by remarks (the command, what came out)."""
    import yaml

    head = "".join(f"# {line}\n" for line in remarks)
    return head + yaml.safe_dump({"method": method, **options}, sort_keys=False)
