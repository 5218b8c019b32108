"""Options about grey levels, on real networks: a result in one range against that in another."""

import re

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, ImageError
from care_bridge.images.image import Image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from tests.packages import tiny_package

RANDOM = np.random.default_rng(0)
BLEACHING = np.array([1.0, 0.55, 0.3])
MOVIE = (RANDOM.poisson(BLEACHING[:, None, None] * RANDOM.gamma(2, 300, (1, 60, 72))) + 100).astype(
    np.uint16
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return {
        "percentiles": tiny_package(folder / "percentiles"),
        "fixed": tiny_package(folder / "fixed", fixed=True),
    }


def restored(package, pixels, axes, **options):
    restorer = Restorer(package, RestoreOptions(**options))
    return restorer.restore_image(Image(pixels, Axes(axes))).pixels


def test_percentiles_given_as_grey_levels_are_the_same(packages):
    model = packages["percentiles"]
    levels = tuple(np.percentile(MOVIE.astype(float), (5, 99)))
    expected = restored(model, MOVIE, "TYX", percentile_low=5.0, percentile_high=99.0)
    np.testing.assert_array_equal(restored(model, MOVIE, "TYX", normalize=levels), expected)


@pytest.mark.parametrize("model", ["percentiles", "fixed"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_full_range_is_the_grey_levels_stretched(packages, model, dtype):
    grey = restored(packages[model], MOVIE, "TYX", dtype="float32").astype(float)
    top = np.iinfo(dtype).max
    expected = (grey - MOVIE.min()) * top / (MOVIE.max() - float(MOVIE.min()))
    full = restored(packages[model], MOVIE, "TYX", dtype=dtype, range="full")
    assert full.dtype == dtype
    assert np.abs(full - expected.clip(0, top)).max() < 0.51


def test_grey_levels_of_the_full_range_are_recovered_from_the_history(packages):
    movie = np.stack([MOVIE, MOVIE * 3 + 50], axis=1)
    image = Image(movie, Axes("TCYX"))
    model, options = packages["percentiles"], {"tile": {"Y": 40, "X": 40}}
    grey = Restorer(model, RestoreOptions(dtype="float32", **options)).restore_image(image)
    full = Restorer(model, RestoreOptions(range="full", **options)).restore_image(image)
    told = re.search(r"\(0\.\.65535 for (.*)\)", full.history[-1])[1].split(", ")
    for channel, ends in enumerate(told):
        low, high = map(float, ends.split(".."))
        expected = grey.pixels[:, channel].clip(low, high)
        found = full.pixels[:, channel] / 65535 * (high - low) + low
        assert np.abs(found - expected).max() <= (high - low) / 65535


def test_the_range_to_one_is_that_of_the_percentiles(packages):
    grey = restored(packages["percentiles"], MOVIE, "TYX", dtype="float32").astype(float)
    lo, hi = np.percentile(MOVIE.astype(float), (2, 99.8))
    normalised = restored(packages["percentiles"], MOVIE, "TYX", range="0-1")
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised, (grey - lo) / (hi - lo + 1e-6), atol=1e-6)


@pytest.mark.parametrize(("name", "level"), [("input", 300), ("0-1", 0), ("full", 0)])
def test_a_blank_frame_in_each_range(packages, name, level):
    movie = np.maximum(MOVIE, 300)
    movie[1] = 300
    result = restored(packages["percentiles"], movie, "TYX", normalize="per-frame", range=name)
    assert np.all(result[1] == level)
    assert np.ptp(result[0]) > 0.5


def test_borders_of_zeros_can_be_left_out(packages):
    model = packages["percentiles"]
    inside = MOVIE[0]
    bordered = np.pad(inside, ((0, 0), (0, 60)))
    result = restored(model, bordered, "YX", ignore_zeros=True, dtype="float32")
    alone = restored(model, inside, "YX", dtype="float32")
    np.testing.assert_allclose(result[:, :56], alone[:, :56], atol=1e-2)


def test_an_image_that_is_not_finite_says_what_to_do(packages):
    pixels = MOVIE[0].astype(np.float32)
    pixels[3, :2] = np.nan
    for model in packages.values():
        with pytest.raises(ImageError, match="2 pixels .*ignore_nonfinite"):
            restored(model, pixels, "YX")


def test_fixed_scales_take_no_percentiles(packages):
    with pytest.raises(ConfigError, match="a percentile needs a model with percentiles"):
        restored(packages["fixed"], MOVIE, "TYX", percentile_high=99.0)
