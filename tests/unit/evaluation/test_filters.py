"""The baselines: each removes noise, and takes the setting that the truth asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import gaussian as skimage_gaussian
from skimage.restoration import denoise_tv_chambolle

from care_bridge.errors import ConfigError
from care_bridge.evaluation.filters import FILTERS, best_filters, interpolated, projected
from care_bridge.evaluation.metrics import care_psnr

RNG = np.random.default_rng(4)
TRUTH = 200 + 3000 * gaussian_filter((RNG.random((64, 72)) > 0.97).astype(float), 3)
NOISE = RNG.normal(0, 1, TRUTH.shape)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_is_nearer_to_the_truth_than_its_input(name: str) -> None:
    noisy = TRUTH + 60 * NOISE
    (best,) = best_filters(noisy, TRUTH, [name])
    assert best.image.shape == TRUTH.shape
    assert care_psnr(best.image, TRUTH) > care_psnr(noisy, TRUTH) + 2
    assert best.setting


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_keeps_the_grey_levels(name: str) -> None:
    noisy = TRUTH + 60 * NOISE
    (best,) = best_filters(noisy, TRUTH, [name])
    inside = slice(4, -4)
    assert best.image[inside, inside].mean() == pytest.approx(noisy.mean(), rel=0.05)
    assert best.image[inside, inside].max() == pytest.approx(TRUTH.max(), rel=0.2)


def test_more_noise_takes_more_smoothing() -> None:
    (little,) = best_filters(TRUTH + 20 * NOISE, TRUTH, ["gaussian"])
    (much,) = best_filters(TRUTH + 500 * NOISE, TRUTH, ["gaussian"])
    assert float(little.setting.split()[1]) < float(much.setting.split()[1])


@pytest.mark.parametrize("level", [5.0, 60.0, 500.0])
@pytest.mark.parametrize(
    ("name", "smooth", "settings"),
    [
        pytest.param(
            "gaussian",
            lambda image, sigma: skimage_gaussian(image, sigma, mode="reflect"),
            np.geomspace(0.15, 20, 150),
            id="gaussian",
        ),
        pytest.param(
            "total-variation",
            lambda image, weight: denoise_tv_chambolle(image, weight, 1e-6, 2000),
            np.geomspace(3, 3e3, 40),
            id="total-variation",
        ),
    ],
)
def test_no_other_setting_is_better(
    name: str,
    smooth: Callable[[np.ndarray, float], np.ndarray],
    settings: np.ndarray,
    level: float,
) -> None:
    """Held against a dense scan by scikit-image."""
    noisy = TRUTH + level * NOISE
    (best,) = best_filters(noisy, TRUTH, [name])
    scanned = max(care_psnr(smooth(noisy, setting), TRUTH) for setting in settings)
    assert care_psnr(best.image, TRUTH) > scanned - 0.02


def test_richardson_lucy_takes_the_kernel_of_the_blur() -> None:
    """A blur far below a pixel's width, with hardly any noise: a wider kernel would ring."""
    sharp = (RNG.random((60, 60)) > 0.97) * 500.0 + 20
    blurred = gaussian_filter(sharp, 0.6)
    (best,) = best_filters(blurred, sharp, ["richardson-lucy"])
    assert float(best.setting.split()[1].rstrip(",")) == pytest.approx(0.6, rel=0.1)


def test_median_takes_out_lone_outliers() -> None:
    truth = np.repeat(np.repeat(RNG.uniform(0, 100, (4, 4)), 24, axis=0), 24, axis=1)
    spoilt = truth.copy()
    spoilt[5::12, 7::12] = 4000
    gaussian, median = best_filters(spoilt, truth, ["gaussian", "median"])
    assert median.setting == "size 3"
    assert care_psnr(median.image, truth) > care_psnr(gaussian.image, truth) + 10


@pytest.mark.parametrize("name", ["bilateral", "non-local-means", "total-variation"])
def test_volumes_keep_their_shape(name: str) -> None:
    truth = np.stack([TRUTH[:24, :24]] * 3)
    (best,) = best_filters(truth + 60 * RNG.normal(0, 1, truth.shape), truth, [name])
    assert best.image.shape == truth.shape


def test_richardson_lucy_sharpens() -> None:
    sharp = (RNG.random((60, 60)) > 0.97) * 500.0 + 20
    blurred = gaussian_filter(sharp, 1.5)
    (best,) = best_filters(blurred, sharp, ["richardson-lucy"])
    assert care_psnr(best.image, sharp) > care_psnr(blurred, sharp) + 1


@pytest.mark.parametrize(
    ("coarse", "factors", "told"),
    [
        pytest.param(
            lambda fine: fine[:48, :64].reshape(24, 2, 32, 2).mean(axis=(1, 3)),
            (2, 2),
            "zoom 2 x 2, same edges",
            id="bins",
        ),
        pytest.param(lambda fine: fine[::3], (3, 1), "zoom 3 x 1, same first", id="left-out"),
        pytest.param(
            lambda fine: (
                np.stack([np.interp(np.arange(20) * 2.5, np.arange(49), x) for x in fine.T]).T
            ),
            (2.5, 1),
            "zoom 2.5 x 1, same first",
            id="between",
        ),
    ],
)
def test_cubic_interpolation_brings_each_pixel_to_its_place(
    coarse: Callable[[np.ndarray], np.ndarray], factors: tuple[float, float], told: str
) -> None:
    y, x = np.mgrid[:49, :65]
    truth = np.sin(y / 6) + np.cos(x / 9)
    done = interpolated(coarse(truth), truth, factors)
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(done.image[inner], truth[inner], atol=0.03)
    assert done.setting.startswith(told)


def test_slices_left_out_of_binned_planes_are_aligned_by_axis() -> None:
    z, y, x = np.mgrid[:25, :48, :64]
    truth = np.sin(z / 4) + np.sin(y / 6) + np.cos(x / 9)
    coarse = truth[::3].reshape(9, 12, 4, 16, 4).mean(axis=(2, 4))
    done = interpolated(coarse, truth, (3, 4, 4))
    inner = (slice(2, -2), slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(done.image[inner], truth[inner], atol=0.1)
    assert done.setting == "zoom 3 x 4 x 4, same edges along YX, same first pixels along Z"


def test_projection_of_a_noisy_volume() -> None:
    volume = np.full((6, *TRUTH.shape), 200.0)
    volume[2] = TRUTH
    noisy = volume + 60 * RNG.normal(0, 1, volume.shape)
    best = projected(noisy, TRUTH)
    assert best.image.shape == TRUTH.shape
    assert care_psnr(best.image, TRUTH) > care_psnr(noisy.max(axis=0), TRUTH)


def test_an_unknown_filter() -> None:
    with pytest.raises(ConfigError, match="choose of gaussian, median"):
        list(best_filters(TRUTH, TRUTH, ["bm3d"]))
