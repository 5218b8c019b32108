"""The sampling grid of a simulated field of view, and interpolation on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Pixels of a plane (YX) or a volume (ZYX).

    shape: pixels by axis. spacing: micrometres between them, by axis. Pixel i of an axis has its
    centre at i * spacing.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Micrometres by axis."""
        return np.asarray(np.array(self.shape) * np.array(self.spacing), np.float64)


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
