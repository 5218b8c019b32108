"""List the bundled models, show one, or print where it lies."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(title="actions", dest="action")
    parser.set_defaults(action="list", json=False)
    listing = actions.add_parser("list", help="names and descriptions of the bundled models")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    show = actions.add_parser("show", help="what one of them is")
    show.add_argument("name", metavar="NAME")
    path = actions.add_parser("path", help="the folder of one of them")
    path.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    if arguments.action == "list":
        _list(arguments.json)
        return 0
    from care_bridge.package.store import bundled_model

    folder = bundled_model(arguments.name)
    if arguments.action == "path":
        print(folder)
        return 0
    card = folder / "README.md"
    print(card.read_text("utf-8"))
    return 0


def _list(as_json: bool) -> None:
    import json

    from care_bridge.package.package import load_package
    from care_bridge.package.store import bundled_models

    described = {
        name: load_package(folder).spec.description for name, folder in bundled_models().items()
    }
    if as_json:
        print(json.dumps(described, indent=2))
        return
    width = max((len(name) for name in described), default=0)
    for name, description in described.items():
        print(f"{name:<{width}}  {description}")
