import tracemalloc

import numpy as np
import pytest

from care_bridge.errors import ConfigError, ImageError
from care_bridge.normalization import Percentiles, Scale, percentiles

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(RANDOM.integers(0, 256, (37, 41), np.uint8), id="uint8"),
        pytest.param(RANDOM.poisson(300, (64, 65)).astype(np.uint16), id="uint16"),
        pytest.param(RANDOM.integers(0, 65536, (1500, 1000)).astype(np.uint16), id="chunks"),
        pytest.param(np.array([[0, 65535]], np.uint16), id="two-pixels"),
        pytest.param(np.array([[7]], np.uint16), id="one-pixel"),
        pytest.param(RANDOM.normal(3, 5, (31, 33)).astype(np.float32), id="float32"),
    ],
)
@pytest.mark.parametrize("percents", [(2.0, 99.8), (0.0, 100.0), (1.3, 50.0), (3.0, 99.9)])
def test_percentiles_equal_numpys(pixels, percents):
    expected = np.percentile(pixels.astype(np.float64), percents)
    np.testing.assert_allclose(percentiles(pixels, percents), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "float64", "bool"])
def test_percentiles_of_other_types_are_numpys(dtype):
    pixels = RANDOM.poisson(3, (50, 60)).astype(dtype)
    assert percentiles(pixels, (2, 99.8)) == tuple(np.percentile(pixels.astype(float), (2, 99.8)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(400, 500), (3, 5), (0, 4)], ids=str)
def test_normalising_in_chunks_is_the_formula_in_float64(dtype, shape):
    pixels = RANDOM.uniform(0, 255, shape).astype(dtype)
    scale = Scale(gain=123.456, offset=-7.89)
    for view in (pixels, pixels[::2, ::-3]):
        expected = ((view.astype(np.float64) + 7.89) / 123.456).astype(np.float32)
        into = np.full((view.shape[0], 2 * view.shape[1]), 5, np.float32)[:, ::2]
        np.testing.assert_array_equal(scale.apply(view), expected)
        assert scale.apply(view, into) is into
        np.testing.assert_array_equal(into, expected)


def test_normalising_takes_little_memory_besides_its_result():
    pixels = RANDOM.integers(0, 60000, (2000, 1000), np.uint16)
    scale = Percentiles(2, 99.8, 1e-6).fit(pixels)
    into = np.empty(pixels.shape, np.float32)
    tracemalloc.start()
    try:
        scale.apply(pixels, into)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < pixels.size


def test_percentiles_of_a_view_with_strides():
    pixels = RANDOM.integers(0, 1000, (50, 60)).astype(np.uint16)[::2, ::3]
    np.testing.assert_allclose(percentiles(pixels, (2, 99.8)), np.percentile(pixels, (2, 99.8)))


def test_normalising_sends_the_percentiles_to_zero_and_one():
    pixels = RANDOM.poisson(200, (128, 128)).astype(np.uint16)
    normalized = Percentiles(2, 99.8, 1e-6).fit(pixels).apply(pixels)
    assert normalized.dtype == np.float32
    low, high = np.percentile(normalized.astype(np.float64), (2, 99.8))
    assert low == pytest.approx(0, abs=1e-6)
    assert high == pytest.approx(1, abs=1e-6)


def test_inverting_gives_the_image_back():
    pixels = RANDOM.integers(0, 65536, (64, 64)).astype(np.uint16)
    scale = Percentiles(2, 99.8, 1e-6).fit(pixels)
    np.testing.assert_allclose(scale.invert(scale.apply(pixels)), pixels, atol=0.02)


def test_a_constant_image_has_no_span_and_stays_finite():
    pixels = np.full((8, 8), 500, np.uint16)
    scale = Percentiles(2, 99.8, 1e-6).fit(pixels)
    assert scale.span == 0
    pixels[0, 0] = 60000
    assert np.all(scale.apply(pixels) == 0)
    into = np.full((8, 8), np.nan, np.float32)
    assert np.all(scale.apply(pixels, into) == 0)
    assert np.all(into == 0)


def test_not_a_number_is_counted():
    pixels = np.ones((4, 4), np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    with pytest.raises(ImageError, match="3 pixels that are NaN or infinite"):
        Percentiles(2, 99.8, 1e-6).fit(pixels)


@pytest.mark.parametrize(("low", "high"), [(5, 5), (99, 2), (-1, 50), (2, 101)])
def test_percentiles_in_the_wrong_order_are_refused(low, high):
    with pytest.raises(ConfigError, match="0 <= low < high <= 100"):
        Percentiles(low, high, 1e-6)


def test_a_fixed_scale_is_affine():
    scale = Scale(gain=4, offset=10)
    np.testing.assert_array_equal(scale.apply(np.array([10, 14, 6], np.uint8)), [0, 1, -1])
    np.testing.assert_array_equal(scale.invert(np.array([0, 1, -1], np.float32)), [10, 14, 6])
