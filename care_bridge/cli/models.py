"""List the models of this PC, show one, add or remove one, or print where it lies.

Models are kept in the user's folder, in a folder for all users (--shared, or the environment
variable CARE_BRIDGE_MODELS), or came with care_bridge. Every verb takes them by name.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.package.collecting import WritablePlace

_DIGITS = 12
_LONGEST_CARD = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(title="actions", dest="action")
    parser.set_defaults(action="list", json=False)
    listing = actions.add_parser("list", help="names and descriptions of all models")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    name_or_hash = "its name, or 6 or more digits of its hash"
    show = actions.add_parser("show", help="what a model is: its card")
    show.add_argument("name", metavar="NAME", help=name_or_hash)
    add = actions.add_parser("add", help="check a package and keep it under a name")
    add.add_argument("package", metavar="PACKAGE", help="a folder, a .zip or an rdf.yaml")
    add.add_argument("--name", help="default: that of the file or folder")
    add.add_argument(
        "--allow-download",
        action="store_true",
        help="fetch weights and test images that it names by https addresses with hashes",
    )
    remove = actions.add_parser("remove", help="remove a model that was added")
    remove.add_argument("name", metavar="NAME", help=name_or_hash)
    for action in (add, remove):
        action.add_argument("--shared", action="store_true", help="for all users of this PC")
    path = actions.add_parser("path", help="where a model lies, or the folders of all")
    path.add_argument("name", metavar="NAME", nargs="?", help=name_or_hash)


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    {"list": _list, "show": _show, "add": _add, "remove": _remove, "path": _path}[arguments.action](
        arguments
    )
    return 0


def _list(arguments: argparse.Namespace) -> None:
    import json

    from care_bridge.errors import PackageError
    from care_bridge.package.package import load_package
    from care_bridge.package.printable import one_line
    from care_bridge.package.store import stored_models

    listed = []
    for model in stored_models():
        try:
            spec = load_package(model.path).spec
            sha256, description = spec.rdf_sha256, spec.description
        except PackageError as error:
            sha256, description = "", f"cannot be used: {error}"
        listed.append(
            {
                "name": model.name,
                "place": model.place,
                "sha256": sha256,
                "path": str(model.path),
                "description": one_line(description),
            }
        )
    if arguments.json:
        print(json.dumps(listed, indent=2))
        return
    widths = {key: max((len(each[key]) for each in listed), default=0) for key in ("name", "place")}
    for each in listed:
        columns = [one_line(each[key]).ljust(width) for key, width in widths.items()]
        print(*columns, each["sha256"][:_DIGITS].ljust(_DIGITS), each["description"], sep="  ")


def _show(arguments: argparse.Namespace) -> None:
    from care_bridge.cli.inspect import print_summary
    from care_bridge.package.package import load_package
    from care_bridge.package.printable import printable
    from care_bridge.package.rdf_files import documentation
    from care_bridge.package.store import find_model

    package = load_package(find_model(arguments.name).path)
    name = documentation(package.archive.description())
    if name:
        card = package.archive.read(name, _LONGEST_CARD)
        print(printable(card.decode("utf-8", "replace")))
    else:
        print_summary(package)


def _add(arguments: argparse.Namespace) -> None:
    from care_bridge.package.collecting import add_model

    added = add_model(
        arguments.package,
        arguments.name,
        _place(arguments),
        allow_download=arguments.allow_download,
    )
    done = "is kept as" if added.is_new else "was there already as"
    print(f'{arguments.package} {done} "{added.model.name}": {added.model.path}')


def _remove(arguments: argparse.Namespace) -> None:
    from care_bridge.package.collecting import remove_model

    model = remove_model(arguments.name, _place(arguments))
    print(f'"{model.name}" is removed from {model.path.parent}')


def _path(arguments: argparse.Namespace) -> None:
    from care_bridge.package.store import find_model, place_folder

    if arguments.name:
        print(find_model(arguments.name).path)
        return
    print(f"user    {place_folder('user')}")
    print(f"bundled {place_folder('bundled')}")
    print(f"shared  {place_folder('shared')}")


def _place(arguments: argparse.Namespace) -> WritablePlace:
    return "shared" if arguments.shared else "user"
