"""The options of a restoration as command-line flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from care_bridge.runtime.options import RestoreOptions


def add_restore_options(parser: argparse.ArgumentParser) -> None:
    """A flag for each of RestoreOptions, and one for a file of them."""
    parser.add_argument(
        "--options",
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
            parser.add_argument(flag, metavar=option.metadata["value"], help=text)


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
