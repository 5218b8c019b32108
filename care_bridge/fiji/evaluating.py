"""CARE Evaluate: how near an open image is to the truth, in ImageJ's Results table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from jpype import JClass

from care_bridge.errors import FijiError, MissingExtraError
from care_bridge.fiji.described import COLUMNS
from care_bridge.fiji.open_images import active_image, find_image
from care_bridge.images.image import Image

if TYPE_CHECKING:
    from care_bridge.evaluation.figures import FullFigures

_DECIMALS = 5


def figures_of(restored: str, truth: str) -> Iterator[FullFigures]:
    """Figures of each channel; both are titles of open images, or files.

    Raises FijiError where their shapes differ, and MissingExtraError without scikit-image.
    """
    if not find_spec("skimage") or not find_spec("scipy"):
        raise MissingExtraError("evaluating", "evaluate")
    from care_bridge.evaluation.figures import full_figures
    from care_bridge.evaluation.samples import as_block

    images = [find_image(name) for name in (restored, truth)]
    image, good = (as_block(each.axes, each.pixels) for each in images)
    if image.shape != good.shape:
        raise FijiError(
            f"{restored} ({_sizes(images[0])}) and {truth} ({_sizes(images[1])}) differ in size: "
            "give two images of the same field of view"
        )
    for channel, truth_of_channel in zip(image, good, strict=True):
        yield full_figures(channel, truth_of_channel)


def evaluate(given: Mapping[str, str]) -> None:
    """Add a row for each channel to the Results table."""
    restored, truth = given.get("restored") or str(active_image().getTitle()), given["truth"]
    table = JClass("ij.measure.ResultsTable").getResultsTable()
    for channel, figures in enumerate(figures_of(restored, truth), 1):
        table.incrementCounter()
        table.addLabel(f"{restored} against {truth}")
        table.addValue("Channel", channel)
        for column, name in COLUMNS.items():
            table.addValue(column, getattr(figures, name))
            table.setDecimalPlaces(table.getColumnIndex(column), _DECIMALS)
    table.show("Results")


def _sizes(image: Image) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in image.sizes.items())
