"""How near an image is to the truth: the CARE paper's figures, and plain PSNR.

The paper's metric (Weigert et al., Nature Methods 2018, Methods) is blind to brightness and
contrast, which a normalised restoration does not keep: the truth is scaled by its percentiles
0.1 and 99.9, then the image is fitted to it by the affine map of least squared error. The paper
leaves three things open; here NRMSE is divided by the scaled truth's range of 1, PSNR's peak and
SSIM's data range are that same 1, and SSIM's window is 7 x 7, uniform. Noisy inputs, baselines
and restorations are all measured alike. Needs numpy; SSIM also scikit-image (extra `evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError, MissingExtraError
from care_bridge.evaluation.least_squares import Moments
from care_bridge.normalization import percentiles

_TRUTH_PERCENTILES = (0.1, 99.9)
WINDOW = 7
"""Pixels of SSIM's window along each axis."""


@dataclass(frozen=True)
class Figures:
    """The paper's metric of one image. nrmse: of the truth's range. psnr: dB. ssim: at most 1;
    None where scikit-image is not installed."""

    nrmse: float
    psnr: float
    ssim: float | None


def care_figures(image: NDArray[np.generic], truth: NDArray[np.generic]) -> Figures:
    """NRMSE, PSNR and, where scikit-image is installed, SSIM of `image` against `truth`.

    image, truth: one shape, any grey levels. Raises ImageError where the shapes differ or the
    truth is blank.
    """
    fitted, scaled = fit_to_truth(image, truth)
    error = _mean_squared(fitted, scaled)
    return Figures(
        nrmse=float(np.sqrt(error)),
        psnr=_decibel(1.0, error),
        ssim=structural_similarity(fitted, scaled) if find_spec("skimage") else None,
    )


def care_psnr(image: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """PSNR in dB in the paper's metric: `care_figures` without its SSIM."""
    fitted, scaled = fit_to_truth(image, truth)
    return _decibel(1.0, _mean_squared(fitted, scaled))


def psnr(image: NDArray[np.generic], truth: NDArray[np.generic], data_range: float) -> float:
    """Plain PSNR in dB: 10 log10(data_range^2 / MSE), with nothing scaled or fitted."""
    _check_shapes(image, truth)
    return _decibel(data_range, _mean_squared(image, truth))


def is_blank(truth: NDArray[np.generic]) -> bool:
    """Whether nothing can be compared with `truth`: its percentiles are one grey level."""
    low, high = percentiles(truth, _TRUTH_PERCENTILES)
    return high <= low


def fit_to_truth(
    image: NDArray[np.generic], truth: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The truth t, scaled by its percentiles, and the image y as alpha*y + beta, fitted to it.

    alpha = cov(y, t) / var(y), beta = mean(t) - alpha mean(y); a blank image becomes the truth's
    mean. Returns (fitted image, scaled truth).
    """
    _check_shapes(image, truth)
    low, high = percentiles(truth, _TRUTH_PERCENTILES)
    if high <= low:
        raise ImageError(
            f"the truth is blank (its percentiles 0.1 and 99.9 are both {low:g}): "
            "nothing can be compared with it"
        )
    scaled = (truth.astype(np.float64) - low) / (high - low)
    moments = Moments.of(image, scaled)
    return moments.gain * image.astype(np.float64) + moments.offset, scaled


def structural_similarity(fitted: NDArray[np.float64], scaled: NDArray[np.float64]) -> float:
    """Mean SSIM (Wang et al. 2004) of what `fit_to_truth` returns.

    Raises MissingExtraError without scikit-image, ImageError for images below 7 x 7.
    """
    if not find_spec("skimage"):
        raise MissingExtraError("SSIM", "evaluate")
    from skimage.metrics import structural_similarity as ssim

    if min(fitted.shape) < WINDOW:
        raise ImageError(f"an image of {fitted.shape} is smaller than SSIM's window of {WINDOW}")
    similarity = ssim(  # type: ignore[no-untyped-call]
        fitted, scaled, win_size=WINDOW, data_range=1.0
    )
    return float(similarity)


def _mean_squared(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))


def _decibel(peak: float, error: float) -> float:
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def _check_shapes(image: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if image.shape != truth.shape:
        raise ImageError(
            f"the image has shape {image.shape}, the truth {truth.shape}: compare equal shapes"
        )
