"""The pixel sizes of the images that a network learns from."""

from __future__ import annotations

from care_bridge.images.units import convert_length
from care_bridge.training.layouts.fields import Pairing
from care_bridge.training.views import open_view

PixelSizes = dict[str, tuple[float, float]]
"""The lowest and the highest in micrometres, by axis (Z, Y, X)."""


def pixel_sizes(pairing: Pairing) -> PixelSizes:
    """Of all sources, along the axes along which each of them tells it."""
    told: list[dict[str, float]] = []
    for field in pairing.fields:
        for view in field.sources:
            with open_view(view) as source:
                calibration = source.info.calibration
            converted = {
                axis: convert_length(size, calibration.unit, "micron")
                for axis, size in calibration.voxel_size.items()
            }
            told.append({axis: size for axis, size in converted.items() if size is not None})
    shared = [axis for axis in "ZYX" if all(axis in sizes for sizes in told)]
    return {
        axis: (min(sizes[axis] for sizes in told), max(sizes[axis] for sizes in told))
        for axis in shared
    }
