"""Export a trained network as a package: ONNX, RDF, test images, model card."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from care_bridge.errors import MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("trained", type=Path, metavar="RUN", help="the folder of a training run")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PACKAGE",
        help="the package to write: a folder, or a zip where it ends in .zip",
    )
    parser.add_argument("--name", help="the model's name (default: made from the run's name)")
    parser.add_argument("--description", help="what it does, in a sentence")
    parser.add_argument("--author", action="append", help="who made it; may be repeated")
    parser.add_argument("--license", help="its licence, an SPDX id, e.g. CC0-1.0")
    parser.add_argument("--tag", action="append", help="a further tag; may be repeated")
    parser.add_argument("--overwrite", action="store_true", help="replace the package")


def run(arguments: argparse.Namespace) -> int:
    """Export, check, and print the check's report."""
    if not find_spec("torch") or not find_spec("onnxscript"):
        raise MissingExtraError("exporting", "train")
    from care_bridge.export.about import About, default_description, default_name
    from care_bridge.export.builder import export_checkpoint
    from care_bridge.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(arguments.trained)
    given = {
        "name": arguments.name or default_name(checkpoint, arguments.trained.resolve().name),
        "description": arguments.description or default_description(checkpoint),
        "authors": arguments.author and tuple(arguments.author),
        "license": arguments.license,
        "tags": arguments.tag and tuple(arguments.tag),
    }
    about = About(**{key: value for key, value in given.items() if value})
    report = export_checkpoint(checkpoint, arguments.out, about, overwrite=arguments.overwrite)
    print(report.text())
    return 0
