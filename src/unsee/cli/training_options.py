"""Commands that train: their options are a configuration's, from flags and from a YAML file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from unsee.errors import UnseeError

NOT_OPTIONS = {"help", "help_all", "output_dir"}


@dataclass(frozen=True)
class TrainingCommand:
    """What sets a command that trains apart from another.

    Attributes:
        name: such as `unsee unlearn`, to refer to its help.
        from_file: the flag that names a YAML file of options, such as `--config`.
        own_arguments: declares the options that are not the configuration's.
        switches: those of them that are on or off.
        shown: options of `TrainingArguments` that the short help shows.
        replaced: options of `TrainingArguments` that the command declares with another meaning.
    """

    name: str
    from_file: str
    own_arguments: Callable[[Any], None]
    switches: Sequence[str]
    shown: Sequence[str]
    replaced: Sequence[str] = ()

    def refuse(self, message: str) -> NoReturn:
        """In place of argparse's own message and exit."""
        raise UnseeError(f"{message}; see `{self.name} --help`")

    def glance(self, argv: Sequence[str]) -> argparse.Namespace:
        """The command's own options alone, which decide what else there is to parse."""
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.error = self.refuse  # type: ignore[method-assign]
        self.own_arguments(first)
        return first.parse_known_args(argv)[0]

    def parse(
        self,
        argv: Sequence[str],
        config_class: type,
        read: dict[str, Any],
        **about: Any,
    ) -> tuple[argparse.Namespace, set[str]]:
        """All options, those of a file first, so that flags win over them.

        Args:
            argv: words of the command line.
            config_class: dataclass whose fields are options.
            read: options of the file, see `read_options`.
            about: `prog`, `description` and `epilog` of the help.

        Returns:
            The options, and the names of those that were given.

        Raises:
            UnseeError: an option is not known or can't be read, or names the folder of the work.
        """
        from transformers import HfArgumentParser, TrainingArguments

        parser = HfArgumentParser(
            config_class,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            conflict_handler="resolve",  # what is replaced
            **about,
        )
        parser.error = self.refuse
        self.own_arguments(parser.add_argument_group("the run"))
        parser.add_argument("--help-all", action="help", help="this help with every option")
        hidden = TrainingArguments.__dataclass_fields__.keys() - {*self.shown, *self.replaced}
        for action in parser._actions:
            if action.dest in hidden and "--help-all" not in argv:
                action.help = argparse.SUPPRESS
        known = {action.dest for action in parser._actions} - NOT_OPTIONS
        flag = self.from_file.removeprefix("--")
        unknown = sorted(read.keys() - (known - {flag}))
        if unknown:
            file = vars(self.glance(argv))[flag]
            raise UnseeError(f"{self.from_file} {file}: there is no option {unknown[0]!r}")
        defaults = vars(parser.parse_args([]))
        args = parser.parse_args([*self._as_flags(read), *argv])
        if args.output_dir != defaults["output_dir"]:
            raise UnseeError("--output_dir is taken by the run: say --output")
        given = {name for name, value in vars(args).items() if value != defaults[name]}
        return args, given | read.keys()

    def _as_flags(self, options: dict[str, Any]) -> list[str]:
        """Options of a file as words of a command line, so that both are checked alike."""
        words: list[str] = []
        for name, value in options.items():
            if name in self.switches:
                if not isinstance(value, bool):
                    raise UnseeError(
                        f"{self.from_file}: {name} must be true or false, not {value!r}"
                    )
                words += [f"--{name.replace('_', '-')}"] if value else []
            elif isinstance(value, list):
                words += [f"--{name}", *map(str, value)]
            elif isinstance(value, dict):
                words.append(f"--{name}={json.dumps(value)}")
            elif value is not None:
                words.append(f"--{name}={value}")
        return words


def read_options(path: Path | str, flag: str) -> dict[str, Any]:
    """Options of a YAML file that a flag names.

    Raises:
        UnseeError: it can't be read, or is no list of options.
    """
    import yaml

    try:
        read = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnseeError(f"{flag} {path} can't be read: {error}") from error
    if not isinstance(read, dict):
        raise UnseeError(f"{flag} {path} must hold lines of the form `option: value`")
    return {str(key).replace("-", "_"): value for key, value in read.items()}
