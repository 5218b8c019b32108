"""The options of a restoration as command-line flags."""

from __future__ import annotations

import argparse

from care_bridge.runtime.options import RestoreOptions


def add_restore_options(parser: argparse.ArgumentParser) -> None:
    """A flag for each of RestoreOptions."""
    for option in RestoreOptions.all():
        flag = f"--{option.name.replace('_', '-')}"
        text = option.metadata["help"]
        if option.default is False:
            parser.add_argument(flag, action="store_const", const="true", help=text)
        else:
            parser.add_argument(flag, metavar=option.metadata["value"], help=text)


def restore_options(arguments: argparse.Namespace) -> RestoreOptions:
    """The options that were given; the others keep RestoreOptions' defaults."""
    given = {option.name: getattr(arguments, option.name) for option in RestoreOptions.all()}
    return RestoreOptions.parse({name: text for name, text in given.items() if text is not None})
