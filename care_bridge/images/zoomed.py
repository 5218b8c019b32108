"""An image read as if it had been sampled more finely: box by box, by linear interpolation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import Box, ImageSource
from care_bridge.resampling import interpolate, zoom_positions, zoomed_size

_FLOAT = 4


def zoomed(source: ImageSource, factors: Mapping[str, float]) -> ImageSource:
    """`source` with its pixels along Z, Y and X made `factors` times smaller, as float32; itself
    where nothing is zoomed."""
    return _Zoomed(source, factors) if factors else source


def zoomed_info(info: ImageInfo, factors: Mapping[str, float]) -> ImageInfo:
    """What the zoomed image is: finer pixels, of the true size."""
    calibration = dataclasses.replace(
        info.calibration,
        voxel_size={
            axis: size / factors.get(axis, 1) for axis, size in info.calibration.voxel_size.items()
        },
    )
    sizes = info.sizes | {
        axis: zoomed_size(axis, info.sizes[axis], factor) for axis, factor in factors.items()
    }
    return info.replace(
        shape=tuple(sizes[axis] for axis in info.axes),
        dtype=np.dtype(np.float32),
        calibration=calibration,
    )


class _Zoomed:
    """See `zoomed`. A box does not depend on what else is read."""

    def __init__(self, source: ImageSource, factors: Mapping[str, float]) -> None:
        self._source = source
        self._factors = {CANONICAL.index(axis): factor for axis, factor in factors.items()}
        self.info = zoomed_info(source.info, factors)
        self.pieces = tuple(
            min(math.ceil(piece * self._factors.get(axis, 1)), size)
            for axis, (piece, size) in enumerate(
                zip(source.pieces, self.info.canonical_shape, strict=True)
            )
        )

    @property
    def memory(self) -> int:
        """What the coarser image holds."""
        return self._source.memory

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box of the finer grid."""
        shape = self._source.info.canonical_shape
        positions = {
            axis: zoom_positions(CANONICAL[axis], box[axis].start, box[axis].stop, factor)
            for axis, factor in self._factors.items()
        }
        coarse = list(box)
        for axis, along in positions.items():
            # Two pixels at least where there are, as interpolation between them needs.
            first = min(max(int(along[0]), 0), max(shape[axis] - 2, 0))
            coarse[axis] = slice(first, min(max(int(along[-1]), first) + 2, shape[axis]))
        pixels = self._source.read(tuple(coarse)).astype(np.float32)
        for axis, along in positions.items():
            pixels = interpolate(pixels, axis, along - coarse[axis].start).astype(
                np.float32, copy=False
            )
        return pixels
