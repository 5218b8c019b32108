"""The arguments of the verbs that write a package: where it goes, which weights it holds and what
it says of its model."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from care_bridge.errors import ConfigError

if TYPE_CHECKING:
    from care_bridge.export.about import About
    from care_bridge.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_REPEATED = {
    "author": 'who made it: "NAME; AFFILIATION; ORCID; @GITHUB", all but the name may be left out',
    "maintainer": 'who looks after it: "NAME; @GITHUB"',
    "cite": 'a paper to cite: "REFERENCE; DOI"',
    "tag": "a further tag, e.g. what the images show: nuclei",
    "limit": "what it is not for, a sentence for the model card",
}


def add_about_arguments(parser: argparse.ArgumentParser) -> None:
    """--out, --name, … as `export_as_told` reads them."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PACKAGE",
        help="the package to write: a folder, or a zip where it ends in .zip",
    )
    parser.add_argument(
        "--weights",
        default="onnx",
        metavar="FORMATS",
        help="besides onnx, which it always holds: torchscript (for ilastik), pytorch_state_dict, "
        "divided by commas (default: onnx)",
    )
    parser.add_argument("--name", help="the model's name (default: made from its folder's name)")
    parser.add_argument("--description", help="what it does, in a sentence")
    parser.add_argument(
        "--model-version", help="greater than that of the one that it replaces, e.g. 1.1.0"
    )
    parser.add_argument("--license", help="its licence, an SPDX id, e.g. CC0-1.0")
    for argument, told in _REPEATED.items():
        parser.add_argument(f"--{argument}", action="append", help=f"{told}; may be repeated")
    parser.add_argument("--training-data", help="what it was trained on, for the model card")
    parser.add_argument("--dataset", help="the id of what it was trained on at bioimage.io")
    parser.add_argument("--modality", help="the kind of microscope, e.g. spinning disk confocal")
    parser.add_argument(
        "--pixel-size",
        action="append",
        metavar="AXES=LOW[:HIGH]",
        help="of the training images in micrometres, e.g. YX=0.1:0.2, may be repeated for Z "
        "(default: as their files say)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the package")


def _about(arguments: argparse.Namespace, checkpoint: Checkpoint, folder: Path) -> About:
    """What the arguments say of the model that was kept in `folder`, each on one line."""
    from care_bridge.export.about import About, default_description, default_name

    def all_told(argument: str) -> tuple[str, ...]:
        return tuple(_line(argument, text) for text in getattr(arguments, argument) or ())

    def told(argument: str) -> str:
        text = getattr(arguments, argument)
        return "" if text is None else _line(argument, text)

    version = told("model_version")
    sizes = [pair for text in arguments.pixel_size or () for pair in _pixel_sizes(text)]
    return About(
        name=told("name") or default_name(checkpoint, folder.resolve().name),
        description=told("description") or default_description(checkpoint),
        license=told("license"),
        training_data=told("training_data"),
        dataset=told("dataset"),
        modality=told("modality"),
        authors=all_told("author"),
        maintainers=all_told("maintainer"),
        cite=all_told("cite"),
        tags=all_told("tag"),
        limits=all_told("limit"),
        pixel_size=_once(sizes),
        **({"version": version} if version else {}),
    )


def _line(argument: str, text: str) -> str:
    """`text` on one line; ConfigError where there is nothing on it, as of a variable of a script
    that is not set."""
    from care_bridge.package.printable import one_line

    line = one_line(text).strip()
    if not line:
        name = argument.replace("_", "-")
        raise ConfigError(f'--{name} was given "", a text was expected: leave it out or fill it in')
    return line


def export_as_told(arguments: argparse.Namespace, checkpoint: Checkpoint, folder: Path) -> int:
    """Export the model that was kept in `folder` as the arguments say, and print the check's
    report; the exit status."""
    from care_bridge.export.builder import export_checkpoint

    about = _about(arguments, checkpoint, folder)
    report = export_checkpoint(
        checkpoint,
        arguments.out,
        about,
        weights=[name.strip() for name in str(arguments.weights).split(",")],
        overwrite=arguments.overwrite,
    )
    print(report.text())
    to_share = {"--author": about.authors, "--license": about.license}
    missing = [argument for argument, said in to_share.items() if not said]
    if missing:
        log.warning(
            "before you share it, export it with %s: nobody may use a model without a license, and "
            "people want to know whose it is",
            " and ".join(missing),
        )
    return 0


def _once(sizes: Sequence[tuple[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """The sizes by axis; ConfigError where one is given twice."""
    axes = [axis for axis, _ in sizes]
    twice = [axis for axis in axes if axes.count(axis) > 1]
    if twice:
        raise ConfigError(f"the pixel size along {twice[0]} was given twice: give it once")
    return dict(sizes)


def _pixel_sizes(text: str) -> list[tuple[str, tuple[float, float]]]:
    """What "YX=0.1:0.2" says of each axis; ConfigError where it says nothing."""
    axes, _, sizes = text.partition("=")
    low, _, high = sizes.partition(":")
    unreadable = ConfigError(
        f'the pixel size "{text}" cannot be read: write e.g. YX=0.1:0.2, in micrometres'
    )
    if not axes:
        raise unreadable
    try:
        return [(axis, (float(low), float(high or low))) for axis in axes.upper()]
    except ValueError:
        raise unreadable from None
