"""How other consumers of packages take percentiles.

numpy interpolates between ranks p*(N - 1); JDLL, the library under deepImageJ, takes the pixel at
rank int(N*p) of the sorted image. A test image on which both agree gives the same output in both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from care_bridge.normalization import Percentiles


def jdll_levels(pixels: NDArray[np.generic], normalization: Percentiles) -> tuple[float, float]:
    """The grey levels that JDLL scales to 0 and 1."""
    ordered = np.sort(pixels, axis=None)
    low, high = (_jdll_rank(p, pixels.size) for p in (normalization.low, normalization.high))
    return float(ordered[low]), float(ordered[high])


def with_agreeing_percentiles(
    pixels: NDArray[np.float32], normalization: Percentiles
) -> NDArray[np.float32]:
    """`pixels` with the few changed that make numpy's and JDLL's percentiles equal: those at the
    ranks that either uses get the same grey level, their neighbour's in order of brightness."""
    order = np.argsort(pixels, axis=None, kind="stable")
    agreeing = pixels.copy()
    flat = agreeing.reshape(-1)
    for percent in (normalization.low, normalization.high):
        below = int(percent / 100 * (pixels.size - 1))
        ranks = order[below : below + 2]
        flat[ranks] = flat[order[_jdll_rank(percent, pixels.size)]]
    return agreeing


def _jdll_rank(percent: float, size: int) -> int:
    return min(int(size * percent / 100), size - 1)
