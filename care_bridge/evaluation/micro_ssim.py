"""MicroSSIM: SSIM that does not reward dim, noisy images (Ashesh et al., ECCV workshops 2024).

Camera offsets make every SSIM term look alike, so the background (percentile 3 of each image) is
taken off; both images are divided by the truth's remaining maximum; then the image is scaled by
the factor that makes its SSIM largest. Gaussian window of sigma 1.5 (11 pixels wide) for both the
factor and the result, sample covariance, data range: that of the scaled truth. Needs scipy (extra
`evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

_BACKGROUND_PERCENTILE = 3
_SIGMA = 1.5
_TRUNCATE = 3.5
_BORDER = 5
_FACTORS = (0.01, 100.0)


@dataclass(frozen=True)
class _Moments:
    """What SSIM is made of, per pixel: the windows' means, variances and covariance."""

    mean_truth: NDArray[np.float64]
    mean_image: NDArray[np.float64]
    variance_truth: NDArray[np.float64]
    variance_image: NDArray[np.float64]
    covariance: NDArray[np.float64]
    data_range: float

    def similarity(self, factor: float) -> float:
        """Mean SSIM of the truth and `factor` times the image."""
        first, second = (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2
        above = (2 * factor * self.mean_truth * self.mean_image + first) * (
            2 * factor * self.covariance + second
        )
        below = (self.mean_truth**2 + (factor * self.mean_image) ** 2 + first) * (
            self.variance_truth + factor**2 * self.variance_image + second
        )
        return float(np.mean(above / below))


def micro_ssim(image: NDArray[np.generic], truth: NDArray[np.generic]) -> float | None:
    """MicroSSIM of one image: at most 1; (Z, Y, X) or (Y, X), at least 11 pixels along each.

    None where the truth has nothing above its background.
    """
    truth_above, image_above = _above_background(truth), _above_background(image)
    highest = float(truth_above.max())
    if highest <= 0:
        return None
    moments = _moments(image_above / highest, truth_above / highest)
    best = minimize_scalar(
        lambda power: -moments.similarity(float(np.exp(power))),
        bounds=(np.log(_FACTORS[0]), np.log(_FACTORS[1])),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(-best.fun)


def _moments(image: NDArray[np.float64], truth: NDArray[np.float64]) -> _Moments:
    mean_truth, mean_image = _window(truth), _window(image)
    weights = (2 * _BORDER + 1) ** truth.ndim
    sample = weights / (weights - 1)
    inner = tuple(slice(_BORDER, -_BORDER) for _ in truth.shape)
    return _Moments(
        mean_truth=mean_truth[inner],
        mean_image=mean_image[inner],
        variance_truth=sample * (_window(truth * truth) - mean_truth**2)[inner],
        variance_image=sample * (_window(image * image) - mean_image**2)[inner],
        covariance=sample * (_window(truth * image) - mean_truth * mean_image)[inner],
        data_range=float(np.ptp(truth)),
    )


def _above_background(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    values = pixels.astype(np.float64)
    return values - float(np.percentile(values, _BACKGROUND_PERCENTILE))


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, _SIGMA, truncate=_TRUNCATE))
