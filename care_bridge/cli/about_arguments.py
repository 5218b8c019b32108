"""The arguments of the verbs that write a package: where it goes and what it says of its model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.export.about import About
    from care_bridge.training.checkpoint import Checkpoint


def add_about_arguments(parser: argparse.ArgumentParser) -> None:
    """--out, --name, … as `about_of` reads them."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PACKAGE",
        help="the package to write: a folder, or a zip where it ends in .zip",
    )
    parser.add_argument("--name", help="the model's name (default: made from its folder's name)")
    parser.add_argument("--description", help="what it does, in a sentence")
    parser.add_argument("--author", action="append", help="who made it; may be repeated")
    parser.add_argument("--license", help="its licence, an SPDX id, e.g. CC0-1.0")
    parser.add_argument("--tag", action="append", help="a further tag; may be repeated")
    parser.add_argument("--overwrite", action="store_true", help="replace the package")


def about_of(arguments: argparse.Namespace, checkpoint: Checkpoint, folder: Path) -> About:
    """What the arguments say of the model that was kept in `folder`."""
    from care_bridge.export.about import About, default_description, default_name

    given = {
        "name": arguments.name or default_name(checkpoint, folder.resolve().name),
        "description": arguments.description or default_description(checkpoint),
        "authors": arguments.author and tuple(arguments.author),
        "license": arguments.license,
        "tags": arguments.tag and tuple(arguments.tag),
    }
    return About(**{key: value for key, value in given.items() if value})
