"""Resolution-scaled error: does a restoration still explain what was recorded?

Culley et al., Nature Methods 15 (2018): where there is no truth, the restored image is blurred
back to the input's resolution, fitted to the input by the affine map of least squared error, and
compared with it. The blur is a Gaussian, the one that explains the input best. It sees structures
that were moved, lost or invented; it cannot see what is finer than the input's own resolution, and
the input's noise stays in it. Needs scipy (extra `evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

from care_bridge.errors import ImageError

_WIDEST = 10.0


@dataclass(frozen=True)
class ResolutionScaled:
    """error: root mean squared difference in the input's grey levels (RSE). correlation: Pearson's,
    of the blurred result with the input (RSP). sigma: of the blur, pixels. difference: input -
    fitted result, a pixel each."""

    error: float
    correlation: float
    sigma: float
    difference: NDArray[np.float64]


def resolution_scaled(
    restored: NDArray[np.generic], recorded: NDArray[np.generic]
) -> ResolutionScaled:
    """Compare `restored` with the image `recorded` that it was made from; one shape, (Y, X) or
    (Z, Y, X). Raises ImageError where shapes differ or an image is constant."""
    if restored.shape != recorded.shape:
        raise ImageError(
            f"the restored image has shape {restored.shape}, its input {recorded.shape}: "
            "compare equal shapes"
        )
    sharp, seen = restored.astype(np.float64), recorded.astype(np.float64)
    if np.ptp(sharp) == 0 or np.ptp(seen) == 0:
        raise ImageError("the restored image or its input is constant: nothing can be compared")
    found = minimize_scalar(
        lambda sigma: np.mean(_difference(sharp, seen, float(sigma)) ** 2),
        bounds=(0, _WIDEST),
        method="bounded",
        options={"xatol": 0.01},
    )
    # The bounded search never tries its ends, and no blur at all is the most common case.
    sigma = min((0.0, float(found.x)), key=lambda at: np.mean(_difference(sharp, seen, at) ** 2))
    difference = _difference(sharp, seen, sigma)
    left = float(np.mean(difference**2))
    return ResolutionScaled(
        error=float(np.sqrt(left)),
        correlation=float(np.corrcoef(_blur(sharp, sigma).ravel(), seen.ravel())[0, 1]),
        sigma=sigma,
        difference=difference,
    )


def _difference(
    sharp: NDArray[np.float64], seen: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    blurred = _blur(sharp, sigma)
    centred = blurred - blurred.mean()
    variance = float(np.mean(centred**2))
    slope = float(np.mean(centred * seen)) / variance if variance > 0 else 0.0
    return np.asarray(seen - seen.mean() - slope * centred)


def _blur(pixels: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(pixels, sigma)) if sigma > 0 else pixels
