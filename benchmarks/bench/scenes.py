"""What several benchmarks show their networks, and without a network make of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

BLURRED = (
    "optics.pixel_size=0.06",
    "exposure.photons=100",
    "background.level=0.05",
    "target.image=structure",
)
"""A recipe's settings: an image blurred, with some noise, against the structure itself."""

PAIRS = (12, 4)
"""Pairs of 256 x 256 pixels: to train on, to test on."""

SETTINGS = (
    "normalization.target=source",
    "patches.size=[64,64]",
    "training.steps_per_epoch=100",
    "training.schedule=cosine",
    "training.learning_rate=1e-3",
)
"""Of short trainings on them."""


def interpolated(
    pixels: NDArray[np.generic], slices: int, factor: float, order: int
) -> NDArray[np.float64]:
    """A stack (Z, Y, X) at `slices` slices, factor times nearer to each other, the first ones in
    one place, by splines of an order."""
    volume = pixels.astype(np.float64)
    grid = np.meshgrid(np.arange(slices) / factor, *map(np.arange, volume.shape[1:]), indexing="ij")
    return np.asarray(map_coordinates(volume, grid, order=order, mode="nearest"))
