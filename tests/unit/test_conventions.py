"""Test images on which numpy's and JDLL's percentiles agree."""

import numpy as np
import pytest

from care_bridge.normalization import Percentiles
from care_bridge.runtime.conventions import jdll_levels, with_agreeing_percentiles

DEFAULT = Percentiles(2.0, 99.8, 1e-6)


def test_jdll_takes_a_pixel_where_numpy_interpolates():
    pixels = np.arange(1000, dtype=np.float32)[::-1].copy()
    # int(1000 * 0.02) and int(1000 * 0.998), against 0.02 * 999 and 0.998 * 999
    assert jdll_levels(pixels, DEFAULT) == (20, 998)
    np.testing.assert_allclose(np.percentile(pixels, (2, 99.8)), (19.98, 997.002))


@pytest.mark.parametrize("percents", [(2.0, 99.8), (1.0, 99.9), (0.0, 100.0), (3.0, 50.0)])
@pytest.mark.parametrize("shape", [(52, 52), (7, 11), (16, 20, 24)])
def test_agreeing_images_are_nearly_the_same(percents, shape):
    normalization = Percentiles(*percents, 1e-6)
    pixels = np.random.default_rng(1).gamma(2, 100, shape).astype(np.float32)
    agreeing = with_agreeing_percentiles(pixels, normalization)
    found = np.percentile(agreeing.astype(np.float64), percents)
    np.testing.assert_array_equal(found, jdll_levels(agreeing, normalization))
    changed = pixels != agreeing
    assert changed.sum() <= 4
    # by the smallest step there is: to the next pixel in order of brightness
    ordered = np.sort(pixels, axis=None)
    ranks = [np.searchsorted(ordered, image[changed]) for image in (pixels, agreeing)]
    assert np.abs(np.subtract(*ranks)).max(initial=0) <= 1
