"""Check a package: files, ONNX, test images, halo, tiles, and what other software needs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "package", metavar="PACKAGE", help="a folder, a .zip, or the name of a bundled model"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 where it has an error."""
    from care_bridge.runtime.check import check_package

    report = check_package(arguments.package)
    print(report.json() if arguments.json else report.text())
    return 1 if report.errors else 0
