"""The pictures of a package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.export.example import TestImage
from care_bridge.images import Image
from care_bridge.images.picture import enlarged, write_panels
from care_bridge.package.package import Package
from care_bridge.package.procedure import Procedure
from care_bridge.package.rdf_content import COVER
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.tiling import middle
from care_bridge.training.checkpoint import Checkpoint
from care_bridge.training.defaults import PAIR_TASKS

FIGURE = "validation.png"
"""The picture in the model card: the run's example before, restored, and its target."""

_MOST_SLICES = 32


def truth_shown(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The panel of the target, where a task has one that is not the input itself."""
    known = checkpoint.config.task in (*PAIR_TASKS, "isotropic") and not checkpoint.imported
    return ("target",) if known else ()


def write_pictures(package: Package, checkpoint: Checkpoint, test_image: TestImage) -> None:
    """The cover and the figure into the package's folder.

    Restored as a user of the package does it, but for what is done around the network: the test
    image and the example are what the network sees.
    """
    by_itself = replace(package, spec=replace(package.spec, procedure=Procedure()))
    restorer = Restorer(by_itself, RestoreOptions(device="cpu", dtype="float32"))
    axes = Axes(package.spec.input.axes.removeprefix("B"))
    before = Image(test_image.pixels[0], axes)
    panels = [("before", before), ("after", restorer.restore_image(before))]
    _write(package.source / COVER, panels)
    example = Image(_thinned(checkpoint.example.source, axes), axes)
    shown = [("input", example), ("restored", restorer.restore_image(example))]
    for label in truth_shown(checkpoint):
        target_axes = Axes(package.spec.output.axes.removeprefix("B"))
        target = _thinned(checkpoint.example.target, target_axes)
        shown.append((label, Image(target, target_axes)))
    _write(package.source / FIGURE, shown)


def _write(path: Path, shown: Sequence[tuple[str, Image]]) -> None:
    """Middle slices, each in its own contrast: what is sharp is brighter than what is blurred."""
    panels = [(label, enlarged(_middle_slice(image))) for label, image in shown]
    write_panels(path, panels)


def _thinned(pixels: NDArray[np.generic], axes: Axes) -> NDArray[np.generic]:
    """A stack's middle slices, enough to show one."""
    return pixels[:, middle(pixels.shape[1], _MOST_SLICES)] if "Z" in axes else pixels


def _middle_slice(image: Image) -> NDArray[np.generic]:
    volumes = image.axes.to(image.pixels, "CZYX")
    middle: NDArray[np.generic] = volumes[0, volumes.shape[1] // 2]
    return middle
