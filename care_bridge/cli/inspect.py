"""Show what a package is: its model, axes, normalisation, tiles, licence."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.normalization import FixedScale, Percentiles
    from care_bridge.package.package import Package
    from care_bridge.package.steps import Operations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("package", metavar="PACKAGE", help="a folder, a .zip, or a model's name")
    parser.add_argument("--json", action="store_true", help="print the description as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the package's description."""
    from care_bridge.package.package import load_package
    from care_bridge.package.spec_cache import spec_to_json

    package = load_package(arguments.package)
    if arguments.json:
        print(spec_to_json(package.spec))
        return 0
    print_summary(package)
    return 0


def print_summary(package: Package) -> None:
    """Print the package's description, a line each."""
    from care_bridge.package.printable import one_line

    for title, text in summary(package).items():
        print(f"{title + ':':<16}{one_line(text)}")


def summary(package: Package) -> dict[str, str]:
    """The package's description as titles and texts."""
    spec = package.spec
    limits = spec.tiling.items()
    memory = spec.memory_per_pixel
    return {
        "name": f"{spec.name} {spec.version}".strip(),
        "description": spec.description,
        "license": spec.license or "not given",
        "source": str(package.source),
        "format": spec.format_version,
        "made by": "care_bridge" if spec.config else "other software",
        "axes": spec.spatial_axes,
        "channels in": ", ".join(spec.input.channel_names),
        "channels out": ", ".join(spec.output.channel_names),
        "normalization": _normalization(spec.normalization),
        "size step": ", ".join(f"{axis} {limit.step}" for axis, limit in limits),
        "halo": ", ".join(f"{axis} {limit.halo}" for axis, limit in limits),
        "memory": f"{memory:.0f} bytes a pixel" if memory else "not given",
        "weights": f"{spec.weights.source}, opset {spec.weights.opset}",
    }


def _normalization(normalization: Percentiles | FixedScale | Operations) -> str:
    from care_bridge.normalization import Percentiles
    from care_bridge.package.steps import Operations

    if isinstance(normalization, Percentiles):
        kept = "scaled back" if normalization.inverted else "result stays normalised"
        return f"percentiles {normalization.low:g} and {normalization.high:g} of each image, {kept}"
    if isinstance(normalization, Operations):
        before = ", ".join(step.id for steps in normalization.inputs for step in steps)
        after = ", ".join(step.id for step in normalization.output)
        return f"before the network {before or 'nothing'}, after it {after or 'nothing'}"
    return "fixed: the same scales for every image"
