"""Make a package of a model that csbdeep trained: FOLDER with config.json and weights_best.h5.

TensorFlow is not needed. Probabilistic models restore with their mean.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from care_bridge.cli.about_arguments import add_about_arguments, export_as_told
from care_bridge.errors import MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the model")
    parser.add_argument(
        "--example",
        type=Path,
        metavar="IMAGE",
        help="an image of the kind that it restores, for the package's test tensors and cover "
        "(default: simulated spots)",
    )
    parser.add_argument("--axes", help="of the example, where its file does not say, e.g. ZYX")
    add_about_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import, export, check, and print the check's report."""
    for module in ("torch", "onnxscript", "h5py", "pydantic", "scipy"):
        if not find_spec(module):
            raise MissingExtraError("importing from csbdeep", "train")
    from care_bridge.images import open_image
    from care_bridge.training.csbdeep import import_csbdeep

    example = open_image(arguments.example, arguments.axes) if arguments.example else None
    checkpoint = import_csbdeep(arguments.folder, example)
    return export_as_told(arguments, checkpoint, arguments.folder)
