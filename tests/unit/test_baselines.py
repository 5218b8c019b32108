"""The baselines: the best of the sizes tried, on scenes whose best filter is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import gaussian as skimage_gaussian

from care_bridge.evaluation.baselines import GAUSSIAN_SIGMAS, best_gaussian, best_median
from care_bridge.evaluation.metrics import care_psnr

RNG = np.random.default_rng(2)
SMOOTH = gaussian_filter(RNG.normal(size=(96, 96)), 6) * 100


@pytest.mark.parametrize("level", [2.0, 20.0])
def test_gaussian_is_the_best_of_its_sizes(level: float) -> None:
    noisy = SMOOTH + RNG.normal(0, level, SMOOTH.shape)
    best = best_gaussian(noisy, SMOOTH)
    psnrs = [
        care_psnr(skimage_gaussian(noisy, sigma, mode="reflect"), SMOOTH)
        for sigma in GAUSSIAN_SIGMAS
    ]
    assert best.size == GAUSSIAN_SIGMAS[int(np.argmax(psnrs))]
    assert best.psnr == pytest.approx(max(psnrs), abs=0.05)
    assert care_psnr(best.image, SMOOTH) == pytest.approx(best.psnr)


def test_median_takes_out_lone_outliers() -> None:
    truth = np.repeat(np.repeat(RNG.uniform(0, 100, (4, 4)), 24, axis=0), 24, axis=1)
    spoilt = truth.copy()
    spoilt[5::12, 7::12] = 4000
    median, gaussian = best_median(spoilt, truth), best_gaussian(spoilt, truth)
    assert median.size == 3
    assert median.psnr > gaussian.psnr + 10
