"""Linear interpolation along an axis, and where the pixels of a finer grid lie.

Slices are samples: along Z slice k lies at k / factor of the coarser stack, from its first slice to
its last. Pixels are bins: along Y and X pixel k covers k / factor to (k + 1) / factor of the
coarser plane, whose edges stay. The finer voxels are exactly a factor smaller in both cases,
whether or not the factor is whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Above the rounding of a size times a factor, far below a pixel.
_ROUNDING = 1e-6


def zoomed_size(axis: str, size: int, factor: float) -> int:
    """Pixels that an axis (Z, Y or X) of `size` pixels has when it is zoomed by `factor` (1 or
    more)."""
    if axis == "Z":
        return int((size - 1) * factor + _ROUNDING) + 1
    return int(size * factor + _ROUNDING)


def fewest_pixels(axis: str, zoomed: int, factor: float) -> int:
    """The fewest pixels of an axis that has at least `zoomed` of them when zoomed by `factor`."""
    size = max(int((zoomed - 1) / factor), 1)
    while zoomed_size(axis, size, factor) < zoomed:
        size += 1
    return size


def zoom_positions(axis: str, start: int, stop: int, factor: float) -> NDArray[np.float64]:
    """Where the middles of the pixels [start, stop) of a zoomed axis lie in the coarser one; those
    of bins may lie up to half a pixel outside."""
    places = np.arange(start, stop, dtype=np.float64)
    return places / factor if axis == "Z" else (places + 0.5) / factor - 0.5


def zoomed_part(axis: str, part: slice, factor: float) -> slice:
    """The pixels of a zoomed axis that show what `part`, with explicit bounds, shows of the coarser
    one: from its first to its last slice, or from edge to edge."""
    if axis == "Z":
        first = math.ceil(part.start * factor - _ROUNDING)
        return slice(first, int((part.stop - 1) * factor + _ROUNDING) + 1)
    edges = (int(edge * factor + _ROUNDING) for edge in (part.start, part.stop))
    return slice(*edges)


def zoomed(
    pixels: NDArray[np.floating], axes: str, factors: Mapping[str, float]
) -> NDArray[np.floating]:
    """`pixels`, whose dimensions `axes` names, zoomed along the axes of `factors`."""
    for axis, factor in factors.items():
        along = axes.index(axis)
        count = zoomed_size(axis, pixels.shape[along], factor)
        pixels = interpolate(pixels, along, zoom_positions(axis, 0, count, factor))
    return pixels


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
