"""All figures of one restoration: the paper's metric, the plain one and microSSIM.

The paper's metric (`metrics.fit_to_truth`) scales the truth and fits the image to it; the plain one
takes both as they are. Needs scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError
from care_bridge.evaluation.metrics import WINDOW, fit_to_truth, psnr, structural_similarity
from care_bridge.evaluation.micro_ssim import micro_ssim

_MICRO_WINDOW = 11

CONDITIONS = (
    "nrmse, psnr, ssim: the CARE paper's metric. The truth is scaled by its percentiles 0.1 and "
    "99.9, the image fitted to it by least squares; NRMSE's divisor, PSNR's peak and SSIM's data "
    "range are the scaled truth's 1.",
    "plain_nrmse, plain_psnr, plain_ssim: nothing scaled or fitted; divisor, peak and data range "
    "are the truth's maximum - minimum.",
    f"SSIM's window: {WINDOW} pixels along each axis, uniform, sample covariance; within slices "
    f"where there are fewer than {WINDOW}.",
    "micro_ssim: each slice by itself; background (percentile 3) removed, scaled at its best; "
    f"Gaussian window, sigma 1.5, {_MICRO_WINDOW} x {_MICRO_WINDOW}, data range of the truth. "
    "Slices without anything above their background are left out.",
    "Several frames: one scaling and one fit over all of them, but for micro_ssim; SSIM is the "
    "mean of the frames.",
)
"""What the figures depend on, a sentence each, for people."""


@dataclass(frozen=True)
class FullFigures:
    """nrmse, psnr, ssim: the paper's metric. plain_*: without scaling and fit. psnr in dB.

    micro_ssim and the SSIMs are at most 1. micro_ssim is None where no slice has anything above its
    background.
    """

    nrmse: float
    psnr: float
    ssim: float
    plain_nrmse: float
    plain_psnr: float
    plain_ssim: float
    micro_ssim: float | None


def full_figures(image: NDArray[np.generic], truth: NDArray[np.generic]) -> FullFigures:
    """All figures of `image` against `truth`, both (frames, Z, Y, X) in grey levels.

    Raises ImageError where shapes differ, the truth is blank, or slices are below 11 x 11.
    """
    fitted, scaled = fit_to_truth(image, truth)
    if min(truth.shape[-2:]) < _MICRO_WINDOW:
        raise ImageError(
            f"slices of {truth.shape[-2]} x {truth.shape[-1]} pixels are smaller than SSIM's "
            f"windows: at least {_MICRO_WINDOW} x {_MICRO_WINDOW} are needed"
        )
    low, high = float(truth.min()), float(truth.max())
    span = high - low
    error = float(np.sqrt(np.mean((fitted - scaled) ** 2)))
    plain = psnr(image, truth, span)
    raw_image, raw_truth = (pixels.astype(np.float64) / span for pixels in (image, truth))
    return FullFigures(
        nrmse=error,
        psnr=psnr(fitted, scaled, 1.0),
        ssim=_mean(structural_similarity, _volumes(fitted), _volumes(scaled)),
        plain_nrmse=float(10 ** (-plain / 20)),
        plain_psnr=plain,
        plain_ssim=_mean(structural_similarity, _volumes(raw_image), _volumes(raw_truth)),
        micro_ssim=_mean_defined(
            [micro_ssim(*pair) for pair in zip(_slices(image), _slices(truth), strict=True)]
        ),
    )


def mean_figures(several: Sequence[FullFigures]) -> FullFigures:
    """Each figure's arithmetic mean over those that have it."""
    rows = [asdict(figures) for figures in several]
    always = {
        key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "micro_ssim"
    }
    return FullFigures(**always, micro_ssim=_mean_defined([row["micro_ssim"] for row in rows]))


def _mean_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _mean(
    measure: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    images: Iterator[NDArray[np.float64]],
    truths: Iterator[NDArray[np.float64]],
) -> float:
    pairs = zip(images, truths, strict=True)
    found = [measure(image, truth) for image, truth in pairs if np.ptp(truth) > 0]
    return float(np.mean(found))


def _volumes(pixels: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """What SSIM's window moves in: whole frames, or their slices where those are few."""
    return iter(pixels) if pixels.shape[1] >= WINDOW else _slices(pixels)


def _slices(pixels: NDArray[np.generic]) -> Iterator[NDArray[np.float64]]:
    return iter(pixels.reshape(-1, *pixels.shape[-2:]).astype(np.float64))
