"""Check a package: files, ONNX, test images, halo, tiles, and what other software needs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from care_bridge.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "package", metavar="PACKAGE", help="a folder, a .zip, or the name of a kept model"
    )
    parser.add_argument(
        "--for",
        dest="judges",
        metavar="SOFTWARE[,…]",
        help="judge it for these only, named as the report does, such as care_bridge,deepImageJ "
        "(default: all)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--fix", action="store_true", help="mend what can be mended, and say what was changed"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PACKAGE",
        help="with --fix: the package to write (default: in place of the one that is checked)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where it has an error."""
    from care_bridge.cli.stopped import stopped_at_limits
    from care_bridge.runtime.check import check_package
    from care_bridge.runtime.report import JUDGES, judges_of

    if arguments.out and not arguments.fix:
        raise ConfigError("--out is where --fix writes: give both or none")
    judges = JUDGES if arguments.judges is None else judges_of(arguments.judges)
    if arguments.fix:
        return _mend(arguments, judges)
    with stopped_at_limits(arguments.package):
        report = check_package(arguments.package).limited(judges)
    print(report.json() if arguments.json else report.text())
    return 1 if report.errors else 0


def _mend(arguments: argparse.Namespace, judges: tuple[str, ...]) -> int:
    from care_bridge.cli.stopped import stopped_at_limits
    from care_bridge.runtime.mending import mend_package

    with stopped_at_limits(arguments.package):
        mended = mend_package(arguments.package, arguments.out)
    report = mended.report.limited(judges)
    if arguments.json:
        print(json.dumps({**json.loads(report.json()), "changes": mended.changes}, indent=2))
    else:
        lines = [f"mended  {change}" for change in mended.changes] or ["nothing was mended"]
        print("\n".join([*lines, report.text()]))
    return 1 if report.errors else 0
