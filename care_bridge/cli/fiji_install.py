"""care-bridge fiji install: the commands in a Fiji that is started by itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from care_bridge.errors import ConfigError


def add_install_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's arguments."""
    parser.add_argument(
        "--fiji",
        metavar="PATH",
        default=os.environ.get("CARE_BRIDGE_FIJI") or None,
        help="folder of the Fiji or ImageJ; default: CARE_BRIDGE_FIJI",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--shims",
        action="store_const",
        dest="way",
        const="shims",
        help="commands that call care_bridge outside of Fiji: for a Fiji without Python",
    )
    way.add_argument(
        "--python",
        action="store_const",
        dest="way",
        const="python",
        help="commands for Fiji's Python mode; default: what the Fiji is set to",
    )
    way.add_argument("--uninstall", action="store_true", help="remove what was put there")
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be written and removed"
    )
    parser.set_defaults(action=_install)


def _install(arguments: argparse.Namespace) -> None:
    from care_bridge.fiji.install import install, uninstall

    if arguments.fiji is None:
        raise ConfigError("which Fiji? give its folder: --fiji /path/to/Fiji.app")
    fiji = Path(arguments.fiji).expanduser()
    changes = (
        uninstall(fiji, dry_run=arguments.dry_run)
        if arguments.uninstall
        else install(fiji, arguments.way, dry_run=arguments.dry_run)
    )
    for change in changes:
        print(f"{change.what}  {change.file}")
