"""Export a trained network as a package: ONNX, RDF, test images, model card."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from care_bridge.cli.about_arguments import add_about_arguments, export_as_told
from care_bridge.errors import MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("trained", type=Path, metavar="RUN", help="the folder of a training run")
    add_about_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Export, check, and print the check's report."""
    if not find_spec("torch") or not find_spec("onnxscript"):
        raise MissingExtraError("exporting", "train")
    from care_bridge.training.checkpoint import load_checkpoint

    return export_as_told(arguments, load_checkpoint(arguments.trained), arguments.trained)
