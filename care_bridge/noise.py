"""How noisy pixels are, told from the pixels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of the median of absolute values to the standard deviation of Gaussian noise, and of the second
# differences (weights 1, -2, 1) of noise to the noise itself.
_MEDIAN_TO_DEVIATION = 1.4826
_SECOND_DIFFERENCES = 6**0.5
_DARK, _BRIGHT = 2, 99.8


def noise_of(pixels: NDArray[np.generic]) -> float:
    """The standard deviation of the noise in `pixels` (…, X), in their grey levels; 0 where most
    neighbours are equal, or there are fewer than three. Pixels beside NaN or infinity do not count.

    From second differences along X, of which structure has few (after Immerkaer 1996, with the
    median for the mean).
    """
    return _noise_in(np.diff(_known(pixels), 2, axis=-1))


def noise_of_bright(pixels: NDArray[np.generic]) -> float:
    """As `noise_of`, but where the pixels are brighter than the middle between their percentiles 2
    and 99.8: what photons make of it there, and more where structures are fine. 0 also where
    nothing is."""
    known = _known(pixels)
    if known.shape[-1] < 3 or np.isnan(known).all():
        return 0.0
    middle = np.nanpercentile(known, (_DARK, _BRIGHT)).mean()
    around = (known[..., :-2] + known[..., 1:-1] + known[..., 2:]) / 3
    return _noise_in(np.diff(known, 2, axis=-1)[around > middle])


def _known(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """The pixels, NaN where they are infinite, too: infinities have no differences."""
    known = pixels.astype(np.float64)
    return np.where(np.isfinite(known), known, np.nan)


def _noise_in(second: NDArray[np.float64]) -> float:
    second = second[np.isfinite(second)]
    if not second.size:
        return 0.0
    spread = np.median(np.abs(second - np.median(second)))
    return float(_MEDIAN_TO_DEVIATION / _SECOND_DIFFERENCES * spread)
