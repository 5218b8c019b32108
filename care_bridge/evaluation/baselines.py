"""What a restoration must beat: the plain filters, each at the size that suits the truth best.

Choosing the size by the truth favours the filters: nobody has it in practice. Needs scipy
(extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from care_bridge.evaluation.metrics import care_psnr

GAUSSIAN_SIGMAS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
MEDIAN_SIZES = (3, 5, 7, 9, 11)


@dataclass(frozen=True)
class Filtered:
    """A filter's best result. size: sigma or edge length in pixels. psnr: dB, paper's metric."""

    image: NDArray[np.float32]
    size: float
    psnr: float


def best_gaussian(
    image: NDArray[np.generic],
    truth: NDArray[np.generic],
    sigmas: Sequence[float] = GAUSSIAN_SIGMAS,
) -> Filtered:
    """The Gaussian filter of `image` (all axes) nearest to `truth`; sigmas in pixels."""
    return _best(image, truth, sigmas, gaussian_filter)


def best_median(
    image: NDArray[np.generic],
    truth: NDArray[np.generic],
    sizes: Sequence[int] = MEDIAN_SIZES,
) -> Filtered:
    """The median filter of `image` (all axes) nearest to `truth`; edge lengths in pixels."""
    return _best(image, truth, sizes, lambda pixels, size: median_filter(pixels, int(size)))


def _best(
    image: NDArray[np.generic],
    truth: NDArray[np.generic],
    sizes: Sequence[float],
    smooth: Callable[[NDArray[np.float32], float], NDArray[np.float32]],
) -> Filtered:
    pixels = image.astype(np.float32)
    candidates = [(smooth(pixels, size), size) for size in sizes]
    tried = [Filtered(done, size, care_psnr(done, truth)) for done, size in candidates]
    return max(tried, key=lambda filtered: filtered.psnr)
