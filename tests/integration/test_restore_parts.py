"""Parts of an image restored: a window, some channels; and raw beside restored."""

import dataclasses
import re

import numpy as np
import pytest

from care_bridge import Restorer
from care_bridge.axes import Axes
from care_bridge.errors import AxesError, OutOfMemoryError
from care_bridge.images.image import Display, Image
from care_bridge.runtime.options import RestoreOptions
from tests.packages import tiny_package


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return {
        "2D": tiny_package(folder / "2d"),
        "3D": tiny_package(folder / "3d", dims=3),
        "two": tiny_package(folder / "two", channels=2),
    }


def picture(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.uniform(50, 900, shape)).astype(np.uint16)


def restored(package, image, window=None, **options):
    return Restorer(package, RestoreOptions(**options)).restore_image(image, window=window)


WINDOWS = [
    ("2D", "YX", (200, 230), {"Y": slice(13, 90), "X": slice(101, 230)}),
    ("2D", "YX", (200, 230), {"Y": slice(0, 7), "X": slice(0, 1)}),
    ("2D", "ZYX", (5, 60, 50), {"Z": slice(1, 3), "Y": slice(30, 60), "X": slice(5, 25)}),
    ("3D", "ZYX", (37, 60, 50), {"Z": slice(9, 20), "Y": slice(30, 60), "X": slice(5, 25)}),
    ("2D", "TCYX", (2, 2, 60, 50), {"X": slice(20, 50)}),
    ("3D", "TZYX", (4, 9, 60, 50), {"T": slice(1, 3), "X": slice(20, 50)}),
]


@pytest.mark.parametrize("tile", [None, {"Y": 40, "X": 44}], ids=["whole", "tiled"])
@pytest.mark.parametrize(("model", "axes", "shape", "window"), WINDOWS)
def test_a_window_is_what_the_whole_image_shows_there(packages, model, axes, shape, window, tile):
    image = Image(picture(shape), Axes(axes))
    whole = restored(packages[model], image)
    part = restored(packages[model], image, window, tile=tile)
    expected = whole.pixels[tuple(window.get(axis, slice(None)) for axis in axes)]
    np.testing.assert_array_equal(part.pixels, expected)
    assert part.axes == axes


@pytest.mark.parametrize(
    "window", [{"X": slice(40, 60)}, {"Y": slice(5, 5)}, {"Z": slice(0, 2)}], ids=str
)
def test_a_window_that_leaves_the_image_is_refused(packages, window):
    with pytest.raises(AxesError, match="window"):
        restored(packages["2D"], Image(picture((50, 50)), Axes("YX")), window)


NAMED = Display(
    luts=tuple(
        np.arange(256, dtype=np.uint8)[:, None] * np.eye(3, dtype=np.uint8)[c] for c in range(3)
    ),
    ranges=((0, 10), (0, 20), (0, 30)),
    channel_names=("DAPI", "GFP", "RFP"),
)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [(("2",), [1]), (("RFP", "DAPI"), [2, 0]), (("3", "GFP"), [2, 1])],
    ids=["number", "names", "mixed"],
)
def test_named_channels_alone(packages, wanted, taken):
    image = Image(picture((3, 4, 40, 50)), Axes("CZYX"), display=NAMED)
    every = restored(packages["2D"], image)
    some = restored(packages["2D"], image, channels=wanted)
    np.testing.assert_array_equal(some.pixels, every.pixels[taken])
    assert some.display.channel_names == tuple(NAMED.channel_names[c] for c in taken)
    assert some.display.ranges == tuple(NAMED.ranges[c] for c in taken)


def test_a_model_of_two_channels_takes_them_in_the_order_that_is_named(packages):
    image = Image(picture((3, 40, 50)), Axes("CYX"), display=NAMED)
    chosen = Image(image.pixels[[2, 0]], Axes("CYX"))
    np.testing.assert_array_equal(
        restored(packages["two"], image, channels=("RFP", "1")).pixels,
        restored(packages["two"], chosen).pixels,
    )
    with pytest.raises(AxesError, match="3 channels"):
        restored(packages["two"], image)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [(("4",), "from 1 to 3"), (("Cy5",), "DAPI, GFP, RFP"), (("1", "DAPI"), "twice")],
)
def test_channels_that_are_not_there_are_refused(packages, wanted, says):
    image = Image(picture((3, 40, 50)), Axes("CYX"), display=NAMED)
    with pytest.raises(AxesError, match=says):
        restored(packages["2D"], image, channels=wanted)


def test_a_name_that_two_channels_have_is_refused(packages):
    alike = dataclasses.replace(NAMED, channel_names=("DAPI", "GFP", "DAPI"))
    image = Image(picture((3, 40, 50)), Axes("CYX"), display=alike)
    with pytest.raises(AxesError, match=r'channels 1, 3 have the same name "DAPI"'):
        restored(packages["2D"], image, channels=("DAPI",))
    assert restored(packages["2D"], image, channels=("GFP", "3")).sizes["C"] == 2


def test_raw_beside_restored(packages):
    image = Image(picture((4, 40, 50)), Axes("ZYX"))
    alone = restored(packages["2D"], image)
    both = restored(packages["2D"], image, with_raw=True)
    assert both.axes == "CZYX"
    np.testing.assert_array_equal(both.pixels[0], image.pixels)
    np.testing.assert_array_equal(both.pixels[1], alone.pixels)
    assert [name.split()[-1] for name in both.display.channel_names] == ["raw", "restored"]


def test_raw_beside_restored_in_the_range_0_to_1(packages):
    image = Image(picture((2, 40, 50)), Axes("CYX"), display=NAMED)
    both = restored(packages["2D"], image, with_raw=True, range="0-1")
    assert both.pixels.dtype == np.float32
    for channel, raw in enumerate(image.pixels):
        lo, hi = np.percentile(raw, (2, 99.8))
        np.testing.assert_allclose(both.pixels[channel], (raw - lo) / (hi - lo), atol=1e-5)
    exact = restored(packages["2D"], image, dtype="float32")
    for channel, raw in enumerate(image.pixels):
        lo, hi = np.percentile(raw, (2, 99.8))
        expected = (exact.pixels[channel] - lo) / (hi - lo)
        np.testing.assert_allclose(both.pixels[2 + channel], expected, atol=1e-5)


def test_pixels_that_are_no_numbers_stay_and_spoil_no_others(packages):
    pixels = picture((60, 70)).astype(np.float32)
    holes = pixels.copy()
    holes[20:24, 30:33] = np.nan
    holes[0, 0] = np.inf
    result = restored(packages["2D"], Image(holes, Axes("YX")), ignore_nonfinite=True).pixels
    assert np.isnan(result[20:24, 30:33]).all()
    assert result[0, 0] == np.inf
    rest = np.isfinite(holes)
    assert np.isfinite(result[rest]).all()
    clean = restored(packages["2D"], Image(pixels, Axes("YX"))).pixels
    # beyond the network's reach only the percentiles differ, by next to nothing
    assert np.abs(result[45:, 50:] - clean[45:, 50:]).max() < 5
    integers = restored(
        packages["2D"], Image(holes, Axes("YX")), ignore_nonfinite=True, dtype="uint16"
    ).pixels
    assert (integers[20:24, 30:33] == 0).all()
    assert integers[0, 0] == 65535


def test_a_restored_movie_that_bleaches_frame_by_frame(packages):
    frames = np.stack([picture((40, 50)) // divisor for divisor in (1, 2, 4)])
    movie = restored(
        packages["2D"], Image(frames, Axes("TYX")), normalize="per-frame", dtype="float32"
    ).pixels
    for frame, result in zip(frames, movie, strict=True):
        alone = restored(packages["2D"], Image(frame, Axes("YX")), dtype="float32").pixels
        np.testing.assert_array_equal(result, alone)


def test_a_memory_too_small_tells_one_that_is_enough(packages):
    image = Image(picture((400, 500)), Axes("YX"))
    restorer = Restorer(packages["2D"], RestoreOptions(memory=1000, device="cpu"))
    with pytest.raises(OutOfMemoryError) as caught:
        restorer.restore_image(image)
    (told,) = re.findall(r"at least (\d+) MiB", str(caught.value))
    assert "{" not in str(caught.value)
    again = restorer.with_options(RestoreOptions(memory=int(told) << 20, device="cpu"))
    assert again.restore_image(image).pixels.shape == (400, 500)
