"""A picture of what was simulated: a pair's sources and its target side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from care_bridge.images.image import Image
from care_bridge.simulation.simulated_pair import SimulatedPair

_SIDE = 256

Panel = tuple[str, NDArray[np.generic]]


def preview_panels(pair: SimulatedPair) -> list[Panel]:
    """Labelled panels for `care_bridge.images.picture.write_panels`: the sources (of several,
    each exposure) and the target.

    Of each the first frame, the middle slice and at most the middle 256 x 256 pixels; of stacks
    also the section along Z through the middle, in square pixels.
    """
    exposures = [(source, channel) for source in pair.sources for channel in _channels(source)]
    panels = []
    for number, (source, channel) in enumerate(exposures, start=1):
        panels += _panels(f"source {number}" if len(exposures) > 1 else "source", source, channel)
    return panels + _panels("GT", pair.target, _channels(pair.target)[0])


def _channels(image: Image) -> list[NDArray[np.generic]]:
    """The first frame of each channel, [Z]YX."""
    order = "TC" + ("ZYX" if "Z" in image.axes else "YX")
    first = image.replace(pixels=image.pixels[:1]) if "T" in image.axes else image
    return list(first.axes.to(first.pixels, order)[0])


def _panels(label: str, image: Image, channel: NDArray[np.generic]) -> list[Panel]:
    height, width = channel.shape[-2:]
    cropped = channel[..., _middle(height), _middle(width)]
    if cropped.ndim == 2:
        return [(label, cropped)]
    sizes = image.calibration.voxel_size
    section = cropped[:, cropped.shape[1] // 2]
    rows = np.arange(max(round(len(section) * sizes["Z"] / sizes["X"]), 1)) * sizes["X"]
    tall = section[np.minimum(np.rint(rows / sizes["Z"]).astype(int), len(section) - 1)]
    return [(label, cropped[len(cropped) // 2]), (f"{label}, XZ", tall)]


def _middle(size: int) -> slice:
    start = max((size - _SIDE) // 2, 0)
    return slice(start, start + _SIDE)
