"""How noisy pixels are, told from the pixels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of the median of absolute values to the standard deviation of Gaussian noise, and of the second
# differences (weights 1, -2, 1) of noise to the noise itself.
_MEDIAN_TO_DEVIATION = 1.4826
_SECOND_DIFFERENCES = 6**0.5


def noise_of(pixels: NDArray[np.generic]) -> float:
    """The standard deviation of the noise in `pixels` (…, X), in their grey levels; 0 where most
    neighbours are equal, or there are fewer than three.

    From second differences along X, of which structure has few (after Immerkaer 1996, with the
    median for the mean).
    """
    second = np.diff(pixels.astype(np.float64), 2, axis=-1)
    if not second.size:
        return 0.0
    spread = np.median(np.abs(second - np.median(second)))
    return float(_MEDIAN_TO_DEVIATION / _SECOND_DIFFERENCES * spread)
