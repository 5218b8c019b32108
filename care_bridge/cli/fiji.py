"""Open a Fiji or ImageJ with the CARE commands, or run a macro in one without a window."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from care_bridge.cli.fiji_install import add_install_arguments


class _MixedParser(argparse.ArgumentParser):
    """Words may stand before, between and behind the options: key=value after --fiji, too."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, whose list of words ends at the first option."""
        found, rest = super().parse_known_args(args, namespace)
        if "arguments" in found:
            found.arguments = [*found.arguments, *(word for word in rest if word[:1] != "-")]
            rest = [word for word in rest if word[:1] == "-"]
        return found, rest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=_MixedParser)
    run_action = actions.add_parser("run", help="run a macro, headless")
    run_action.add_argument("macro", metavar="MACRO", help="a bundled macro's name or a file")
    run_action.add_argument(
        "arguments",
        nargs="*",
        metavar="key=value",
        help="what the macro reads with getArgument(); a flag is the key alone",
    )
    run_action.set_defaults(action=_run_macro)
    start_action = actions.add_parser("start", help="open ImageJ's window with the CARE commands")
    start_action.set_defaults(action=_open_window)
    for action in (run_action, start_action):
        action.add_argument(
            "--fiji",
            metavar="PATH",
            default=os.environ.get("CARE_BRIDGE_FIJI") or None,
            help="folder of a Fiji; default: CARE_BRIDGE_FIJI, else plain ImageJ from Maven "
            "Central",
        )
    install_action = actions.add_parser(
        "install", help="put the commands into a Fiji that is started by itself, and the macros"
    )
    add_install_arguments(install_action)
    for name, work in (
        ("shim", _answer_shim),
        ("shim-check", _check_for_shim),
        ("shim-work", _work_for_shim),
    ):
        internal = actions.add_parser(name)  # of the commands that are installed
        internal.add_argument("words", nargs="+")
        internal.set_defaults(action=work)
    list_action = actions.add_parser("macros", help="list the bundled macros and their parameters")
    list_action.set_defaults(action=_list_macros)


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    return arguments.action(arguments) or 0


def _run_macro(arguments: argparse.Namespace) -> None:
    from care_bridge.fiji.gateway import start
    from care_bridge.fiji.macros import find_macro, macro_argument, run_macro

    macro = find_macro(arguments.macro)
    given = _by_key(arguments.arguments)
    macro_argument(macro, given)  # its errors are told before Java is started
    start(arguments.fiji)
    sys.stdout.flush()  # the macro's own output comes from Java
    run_macro(macro, given)


def _open_window(arguments: argparse.Namespace) -> None:
    from care_bridge.fiji.gateway import start

    start(arguments.fiji, mode="gui").wait()


def _answer_shim(arguments: argparse.Namespace) -> int:
    from care_bridge.fiji.shim_client import answer_shim

    return answer_shim(arguments.words)


def _check_for_shim(arguments: argparse.Namespace) -> None:
    from care_bridge.fiji.shim_commands import wrong_options

    print(wrong_options(*arguments.words))


def _work_for_shim(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from care_bridge.fiji.shim_commands import work_for_shim

    name, folder, *words = arguments.words
    work_for_shim(name, Path(folder), words)


def _by_key(words: list[str]) -> dict[str, str]:
    from care_bridge.errors import ConfigError

    values: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in values:
            raise ConfigError(f'the argument "{key}" is given twice: give it once')
        values[key] = value
    return values


def _list_macros(_arguments: argparse.Namespace) -> None:
    from care_bridge.fiji.macros import bundled_macros, parameter_lines, purpose

    for name, path in bundled_macros().items():
        print(f"{name}  {purpose(path)}")
        for line in parameter_lines(path):
            print(f"    {line}")
