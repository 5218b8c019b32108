"""Linear interpolation along an axis, and where the pixels of a finer grid lie.

Pixel k of an axis that is zoomed by a factor lies at k / factor of the coarser one, up to its last
pixel: the finer pixels are exactly a factor smaller, whether or not the last ones meet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Above the rounding of (size - 1) * factor, far below a pixel.
_ROUNDING = 1e-6


def zoomed_size(size: int, factor: float) -> int:
    """Pixels that an axis of `size` pixels has when it is zoomed by `factor` (1 or more)."""
    return int((size - 1) * factor + _ROUNDING) + 1


def fewest_pixels(zoomed: int, factor: float) -> int:
    """The fewest pixels of an axis that has at least `zoomed` of them when zoomed by `factor`."""
    size = int((zoomed - 1) / factor)
    while zoomed_size(size, factor) < zoomed:
        size += 1
    return size


def zoom_positions(start: int, stop: int, factor: float) -> NDArray[np.float64]:
    """Where the pixels [start, stop) of a zoomed axis lie in the coarser one."""
    return np.asarray(np.arange(start, stop) / factor, np.float64)


def interpolate(
    pixels: NDArray[np.floating], axis: int, positions: NDArray[np.floating]
) -> NDArray[np.floating]:
    """`pixels` at `positions` (in pixels along `axis`), linear; the ends go on unchanged."""
    inside = np.clip(positions, 0, pixels.shape[axis] - 1)
    below = np.minimum(inside.astype(int), max(pixels.shape[axis] - 2, 0))
    above = np.minimum(below + 1, pixels.shape[axis] - 1)
    along = [1] * pixels.ndim
    along[axis] = -1
    share = (inside - below).reshape(along).astype(pixels.dtype)
    before, after = pixels.take(below, axis), pixels.take(above, axis)
    return np.asarray(before + share * (after - before))
