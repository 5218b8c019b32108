"""Statistics that processing steps name, block by block: numpy's of the whole."""

import numpy as np
import pytest

from care_bridge.runtime.formulas import Sigmoid
from care_bridge.runtime.statistics import Moments, Part, Wanted, measured

RANDOM = np.random.default_rng(0)
# C, Z, Y, X; of other grey levels in each channel and slice.
IMAGE = RANDOM.poisson(50 * (1 + np.arange(6).reshape(2, 3, 1, 1)), (2, 3, 40, 50))


def blocks(image):
    """The image in parts, some of one channel, some of several slices."""
    for channel, volume in enumerate(image):
        for z, depth in ((0, 1), (1, 2)):
            for y in range(0, 40, 17):
                yield Part(channel, z, volume[np.newaxis, z : z + depth, y : y + 17])


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize(
    ("axes", "over"),
    [("CZYX", (0, 1, 2, 3)), ("ZYX", (1, 2, 3)), ("CYX", (0, 2, 3)), ("YX", (2, 3))],
)
@pytest.mark.parametrize("percents", [(), (3.0, 97.0)], ids=["moments", "percentiles"])
def test_they_are_those_of_the_whole(dtype, axes, over, percents):
    image = IMAGE.astype(dtype)
    wanted = Wanted("input", axes, percents, dataset=False)
    found = measured(lambda: blocks(image), wanted, 2, 3, image.dtype)
    whole = image.astype(np.float64)
    if percents:
        expected = np.percentile(whole, percents, axis=over, keepdims=True)
    else:
        expected = whole.mean(over, keepdims=True), whole.std(over, keepdims=True)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_moments_of_a_faint_signal_on_a_bright_background():
    """Whose squares, added up, would leave nothing of it in float64."""
    pixels = 1e9 + RANDOM.normal(0, 1, 100_000)
    moments = Moments()
    for block in np.array_split(pixels, 37):
        moments.add(block)
    assert moments.mean == pytest.approx(pixels.mean(), rel=1e-15)
    assert moments.deviation == pytest.approx(pixels.std(), rel=1e-6)


def test_moments_leave_out_what_is_not_finite():
    moments = Moments()
    moments.add(np.array([1, np.nan, 3, np.inf], np.float32))
    moments.add(np.array([np.nan], np.float32))
    assert (moments.count, moments.mean, moments.deviation) == (2, 2, 1)


def test_a_sigmoid_does_not_overflow():
    pixels = np.array([-1e4, 0, 1e4]).reshape(1, 1, 1, 3)
    with np.errstate(all="raise", under="ignore"):
        assert Sigmoid().apply(pixels, slice(None)).ravel().tolist() == [0, 0.5, 1]
