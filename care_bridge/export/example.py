"""The test image of a package, cut from the run's example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.normalization import FixedScale, Percentiles
from care_bridge.package.rdf_content import smallest_for_consumers
from care_bridge.runtime.conventions import with_agreeing_percentiles
from care_bridge.tiling import AxisLimits, middle

# Large enough to show something, small enough to travel with the package.
_LARGEST = {"YX": {"Y": 256, "X": 256}, "ZYX": {"Z": 32, "Y": 96, "X": 96}}


@dataclass(frozen=True)
class TestImage:
    """pixels: float32 (1, C, [Z,] Y, X) in grey levels, of a size that every consumer takes.
    tiled_axes: the axes along which it is large enough for other consumers' tiles."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    pixels: NDArray[np.float32]
    tiled_axes: str


def cut_test_image(
    source: NDArray[np.generic],
    tiling: Mapping[str, AxisLimits],
    normalization: Percentiles | FixedScale,
) -> TestImage:
    """The middle of `source` (C, [Z,] Y, X), extended by reflection where it is too small.

    Z is kept whole where `tiling` does not name it, and never extended: a stack too thin for two
    halos says that Z is not to be tiled by other consumers. In percentile mode few pixels are
    changed so that numpy's and JDLL's percentiles agree.
    """
    axes = "".join(tiling)
    sizes = dict(zip(axes, source.shape[-len(axes) :], strict=True))
    tiled = "".join(
        axis
        for axis, limits in tiling.items()
        if axis != "Z" or sizes[axis] >= smallest_for_consumers(limits)
    )
    pixels = source.astype(np.float32)
    for dimension, (axis, limits) in enumerate(tiling.items(), start=-len(axes)):
        smallest = smallest_for_consumers(limits) if axis in tiled else limits.min
        wanted = min(sizes[axis], _LARGEST[axes][axis])
        size = smallest + max(0, wanted - smallest) // limits.step * limits.step
        pixels = _resized(pixels, dimension, size)
    if isinstance(normalization, Percentiles):
        pixels = np.stack([with_agreeing_percentiles(plane, normalization) for plane in pixels])
    return TestImage(pixels[None], tiled)


def _resized(pixels: NDArray[np.float32], dimension: int, size: int) -> NDArray[np.float32]:
    surplus = pixels.shape[dimension] - size
    if surplus >= 0:
        kept = middle(pixels.shape[dimension], size)
        return np.take(pixels, range(kept.start, kept.stop), axis=dimension)
    missing = [(0, 0)] * pixels.ndim
    missing[dimension] = (-surplus // 2, -surplus - -surplus // 2)
    return np.pad(pixels, missing, mode="reflect")
