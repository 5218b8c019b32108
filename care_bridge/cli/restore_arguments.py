"""The options of a restoration as command-line flags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from care_bridge.runtime.options import RestoreOptions


class Once(argparse.Action):
    """Keeps a flag's value, and refuses a second one: of two, the first would be lost in silence.
    Macros refuse that, too."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _flag: str | None = None,
    ) -> None:
        """Keep the value."""
        kept = getattr(namespace, self.dest)
        if kept is not None:
            raise argparse.ArgumentError(self, f"given twice, {kept} and {values}: give one")
        setattr(namespace, self.dest, values)


def add_restore_options(parser: argparse.ArgumentParser) -> None:
    """A flag for each of RestoreOptions, and one for a file of them."""
    parser.add_argument(
        "--options",
        action=Once,
        type=Path,
        metavar="FILE.yaml",
        help="a file with any of the options below (tile: 256,256); flags go before it",
    )
    for option in RestoreOptions.all():
        flag = f"--{option.name.replace('_', '-')}"
        text = option.metadata["help"]
        if option.default is False:
            parser.add_argument(flag, action="store_const", const="true", help=text)
        else:
            parser.add_argument(flag, action=Once, metavar=option.metadata["value"], help=text)


def restore_options(arguments: argparse.Namespace) -> RestoreOptions:
    """The options that were given, by flags and else in the file; the others keep RestoreOptions'
    defaults."""
    given: dict[str, Any] = {}
    if arguments.options is not None:
        from care_bridge.runtime.options_file import read_options

        given = read_options(arguments.options)
    flags = {option.name: getattr(arguments, option.name) for option in RestoreOptions.all()}
    given.update({name: text for name, text in flags.items() if text is not None})
    return RestoreOptions.parse(given)
