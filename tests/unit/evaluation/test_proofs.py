"""Objects, spectra, profiles, regions, error without truth: on scenes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from care_bridge.errors import CareBridgeError, ConfigError, ImageError
from care_bridge.evaluation.objects import compare_objects, find_objects
from care_bridge.evaluation.pictures import Line, profile, ssim_map
from care_bridge.evaluation.region import Region
from care_bridge.evaluation.spectra import spectral_isotropy
from care_bridge.evaluation.without_truth import resolution_scaled

RNG = np.random.default_rng(8)


def squares(*places: tuple[int, int], size: int = 10) -> np.ndarray:
    labels = np.zeros((60, 80), np.int32)
    for number, (y, x) in enumerate(places, 1):
        labels[y : y + size, x : x + size] = number
    return labels


TRUE = squares((5, 5), (5, 40), (40, 10), (40, 60))


@pytest.mark.parametrize(
    ("labels", "unmatched", "seg"),
    [
        pytest.param(TRUE, 0.0, 1.0, id="same"),
        pytest.param(squares((40, 60), (5, 5), (5, 40), (40, 10)), 0.0, 1.0, id="other-numbers"),
        pytest.param(squares((5, 5), (5, 40), (40, 10)), 0.25, 0.75, id="one-lost"),
        # 3 of 10 columns moved out: IoU 70 / 130; 4 of 10: 60 / 140, below 0.5 but more than half
        pytest.param(squares((5, 8), (5, 40), (40, 10), (40, 60)), 0.0, (3 + 70 / 130) / 4, id="3"),
        pytest.param(squares((5, 9), (5, 40), (40, 10), (40, 60)), 0.25, (3 + 3 / 7) / 4, id="4"),
        pytest.param(np.zeros_like(TRUE), 1.0, 0.0, id="nothing"),
        pytest.param((TRUE > 0).astype(np.int32), 1.0, 0.25, id="all-in-one"),
    ],
)
def test_objects_by_hand(labels: np.ndarray, unmatched: float, seg: float) -> None:
    found = compare_objects(labels, TRUE)
    assert found.true_objects == 4
    assert found.unmatched == pytest.approx(unmatched)
    assert found.seg == pytest.approx(seg)


def test_bright_squares_are_found_and_specks_are_not() -> None:
    image = 100.0 + 300 * (TRUE > 0) + RNG.normal(0, 10, TRUE.shape)
    image[30, 30:33] = 500
    labels = find_objects(image)
    assert labels.max() == 4
    assert compare_objects(labels, TRUE).seg > 0.9


def test_a_truth_without_objects() -> None:
    with pytest.raises(ImageError, match="no objects"):
        compare_objects(TRUE, np.zeros_like(TRUE))


def test_white_noise_is_isotropic_and_blur_along_z_is_seen() -> None:
    noise = RNG.normal(0, 1, (32, 48, 48))
    assert spectral_isotropy(noise).ratio == pytest.approx(1, abs=0.1)
    assert spectral_isotropy(gaussian_filter(noise, (2, 0, 0))).ratio < 0.2
    assert spectral_isotropy(gaussian_filter(noise, (0, 2, 2))).ratio > 3


def test_spacing_is_that_of_the_voxels() -> None:
    """Every third slice of a smooth isotropic volume is still isotropic, in micrometres."""
    smooth = gaussian_filter(RNG.normal(0, 1, (96, 48, 48)), 3)
    coarse = smooth[::3]
    assert spectral_isotropy(coarse, (3.0, 1.0, 1.0)).ratio == pytest.approx(1, abs=0.35)
    assert spectral_isotropy(coarse).ratio > 10


def test_small_volumes_have_no_spectrum() -> None:
    with pytest.raises(ImageError, match="at least 8"):
        spectral_isotropy(np.ones((4, 20, 20)))


def test_profile_across_a_ramp() -> None:
    ramp = np.add.outer(10.0 * np.arange(20), np.arange(30.0))
    found = profile(ramp, Line.parse("2,3,14,19"))
    assert len(found) == 21
    np.testing.assert_allclose(found, np.linspace(23, 159, 21))


def test_ssim_map_averages_to_ssim() -> None:
    truth = gaussian_filter(RNG.random((40, 50)), 2)
    image = truth + RNG.normal(0, 0.01, truth.shape)
    inner = ssim_map(image, truth)[3:-3, 3:-3]
    assert inner.mean() == pytest.approx(structural_similarity(image, truth, data_range=1.0))


def test_blurring_back_explains_the_input() -> None:
    sharp = gaussian_filter((RNG.random((90, 90)) > 0.99).astype(float), 1) * 1000
    recorded = 100 + 0.4 * gaussian_filter(sharp, 2.0) + RNG.normal(0, 0.5, sharp.shape)
    found = resolution_scaled(sharp, recorded)
    assert found.sigma == pytest.approx(2.0, abs=0.05)
    assert found.error == pytest.approx(0.5, rel=0.05)
    moved = resolution_scaled(np.roll(sharp, 12, axis=0), recorded)
    assert moved.error > 5 * found.error
    assert moved.correlation < 0.5 < found.correlation


def test_no_blur_where_none_is_needed() -> None:
    recorded = RNG.normal(0, 1, (50, 50))
    found = resolution_scaled(3 * recorded + 2, recorded)
    assert found.sigma == 0
    assert found.error == pytest.approx(0, abs=1e-9)


def test_region_cuts_named_axes() -> None:
    pixels = np.arange(2 * 5 * 6).reshape(2, 5, 6)
    cut = Region.parse("y=1:4, x=2:").cut(pixels, "ZYX", "a.tif")
    np.testing.assert_array_equal(cut, pixels[:, 1:4, 2:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("Y=5:5", "empty along Y", id="empty"),
        pytest.param("Y=9:2", "empty along Y", id="reversed"),
        pytest.param("10:20,5:6", "cannot be read", id="no-axes"),
        pytest.param("Q=1:2", "cannot be read", id="axis"),
        pytest.param("Y=0:9", r"not inside a\.tif, which has 5 along Y", id="too-far"),
        pytest.param("X=6:", r"not inside a\.tif", id="behind"),
        pytest.param("T=2:3", r"has 1 along T", id="absent-axis"),
    ],
)
def test_regions_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Region.parse(text).cut(np.zeros((2, 5, 6)), "ZYX", "a.tif")


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "4,4,4,4"])
def test_lines_that_cannot_be(text: str) -> None:
    with pytest.raises(CareBridgeError, match="line"):
        Line.parse(text)


def test_a_line_outside() -> None:
    with pytest.raises(ImageError, match="outside the image"):
        profile(np.zeros((10, 10)), Line.parse("0,0,10,5"))
