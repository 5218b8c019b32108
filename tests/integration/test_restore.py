"""The Restorer against a direct computation: numpy and a bare ONNX Runtime session, whole image."""

import threading

import numpy as np
import onnxruntime
import pytest

from care_bridge import Restorer, TileGrid, load_package, restore
from care_bridge.axes import Axes
from care_bridge.errors import (
    AxesError,
    DeviceError,
    ImageError,
    OutOfMemoryError,
    TilingError,
)
from care_bridge.images.image import Calibration, Image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.session import Session
from tests.packages import FIXED_INPUT, FIXED_OUTPUT, tiny_package

STEP = 4


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    return {
        "2D": tiny_package(folder / "2d"),
        "3D": tiny_package(folder / "3d", dims=3),
        "2D-fixed": tiny_package(folder / "fixed", fixed=True),
        "2D-two-channels": tiny_package(folder / "two", channels=2),
    }


def picture(shape, dtype=np.uint16, seed=0):
    """Noisy blobs on a background; a span of some hundreds of grey levels."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.linspace(0, 6, size) for size in shape), indexing="ij")
    clean = 60 + 80 * np.prod([1 + np.sin(grid + seed) for grid in grids], axis=0)
    return rng.poisson(clean).clip(0, 255 if dtype == np.uint8 else None).astype(dtype)


def network(package, normalized):
    """The bare network on a whole image (C, [Z,] Y, X), padded by reflection at the far end."""
    session = onnxruntime.InferenceSession((package / "weights.onnx").read_bytes())
    missing = [(0, 0), *((0, -size % STEP) for size in normalized.shape[1:])]
    padded = np.pad(normalized, missing, mode="reflect").astype(np.float32)
    (result,) = session.run(None, {session.get_inputs()[0].name: padded[None]})
    return result[0][tuple(slice(size) for size in normalized.shape)]


def directly(package, pixels):
    """float32 result for one channel (shape [Z,] Y, X), percentiles 2 and 99.8."""
    lo, hi = np.percentile(pixels.astype(np.float64), (2, 99.8))
    result = network(package, (pixels[None] - lo) / (hi - lo + 1e-6))[0]
    return result.astype(np.float64) * (hi - lo + 1e-6) + lo


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_equals_the_direct_computation(packages, dtype):
    pixels = picture((256, 256), dtype)
    expected = directly(packages["2D"], pixels)
    exact = restore(pixels, axes="YX", package=packages["2D"], dtype="float32")
    np.testing.assert_allclose(exact, expected, atol=1e-3)
    automatic = restore(pixels, axes="YX", package=packages["2D"])
    assert automatic.dtype == dtype
    if dtype != np.float32:
        top = np.iinfo(dtype).max
        np.testing.assert_array_equal(automatic, np.rint(expected).clip(0, top).astype(dtype))


TILED = [
    ("2D", "YX", (517, 643), {"Y": 128, "X": 200}),
    ("2D", "YX", (517, 643), {"Y": 48, "X": 44}),
    ("2D", "YX", (517, 643), {"X": 256}),
    ("2D", "YX", (31, 45), {"Y": 44, "X": 44}),
    ("2D", "YX", (1, 1), {"Y": 64, "X": 64}),
    ("2D", "YX", (2048, 3), {"Y": 300, "X": 44}),
    ("3D", "ZYX", (17, 65, 70), {"Z": 44, "Y": 48, "X": 52}),
    ("3D", "ZYX", (61, 40, 50), {"Z": 48, "Y": 44, "X": 44}),
]


@pytest.mark.parametrize(
    ("model", "axes", "shape", "tile"),
    TILED,
    ids=[f"{shape} in {tile}" for _, _, shape, tile in TILED],
)
def test_tiled_equals_whole(packages, model, axes, shape, tile):
    pixels = np.random.default_rng(1).normal(100, 30, shape).astype(np.float32)
    tiled = restore(pixels, axes=axes, package=packages[model], tile=tile)
    if pixels.size == 1:
        np.testing.assert_array_equal(tiled, pixels)  # blank: nothing to normalise by
        return
    whole = directly(packages[model], pixels)
    lo, hi = np.percentile(pixels, (2, 99.8))
    assert np.abs(tiled - whole).max() / (hi - lo) < 1e-5


def test_one_pixel_through_the_network(packages):
    """With fixed scales even a single pixel is computed, not passed through."""
    pixels = np.full((1, 1), 300, np.float32)
    normalized = (pixels[None] - FIXED_INPUT.offset) / FIXED_INPUT.gain
    expected = (
        network(packages["2D-fixed"], normalized)[0] * FIXED_OUTPUT.gain + FIXED_OUTPUT.offset
    )
    np.testing.assert_allclose(
        restore(pixels, axes="YX", package=packages["2D-fixed"]), expected, rtol=1e-5
    )


def test_frames_channels_and_slices_are_looped_each_channel_with_its_own_percentiles(packages):
    pixels = np.stack([picture((3, 2, 40, 50)), 7 * picture((3, 2, 40, 50), seed=1)], axis=2)
    restored = restore(pixels, axes="TZCYX", package=packages["2D"], dtype="float32")
    assert restored.shape == pixels.shape
    for channel in range(2):
        stack = pixels[:, :, channel].astype(np.float64)
        lo, hi = np.percentile(stack, (2, 99.8))
        for t, z in [(0, 0), (2, 1)]:
            result = network(packages["2D"], (stack[t, z][None] - lo) / (hi - lo + 1e-6))[0]
            expected = result * (hi - lo + 1e-6) + lo
            np.testing.assert_allclose(restored[t, z, channel], expected, atol=1e-2)


def test_the_order_of_the_axes_does_not_matter(packages):
    pixels = picture((9, 40, 44))
    zyx = restore(pixels, axes="ZYX", package=packages["3D"])
    yxz = restore(pixels.transpose(1, 2, 0), axes="YXZ", package=packages["3D"])
    np.testing.assert_array_equal(yxz, zyx.transpose(1, 2, 0))


def test_a_model_of_two_channels_sees_both(packages):
    pixels = np.stack([picture((48, 52)), 3 * picture((48, 52), seed=2)])
    restored = restore(pixels, axes="CYX", package=packages["2D-two-channels"], dtype="float32")
    bounds = [np.percentile(channel, (2, 99.8)) for channel in pixels]
    normalized = np.stack(
        [
            (channel - lo) / (hi - lo + 1e-6)
            for channel, (lo, hi) in zip(pixels, bounds, strict=True)
        ]
    )
    result = network(packages["2D-two-channels"], normalized)
    for channel, (lo, hi) in enumerate(bounds):
        np.testing.assert_allclose(restored[channel], result[channel] * (hi - lo) + lo, atol=1e-2)


def test_a_narrow_span_becomes_float32_and_says_so(packages, caplog):
    pixels = np.random.default_rng(0).poisson(5, (64, 64)).astype(np.uint8)
    caplog.set_level("INFO", "care_bridge")
    assert restore(pixels, axes="YX", package=packages["2D"]).dtype == np.float32
    assert "result is float32" in caplog.text
    assert restore(pixels, axes="YX", package=packages["2D"], dtype="input").dtype == np.uint8


def test_integers_saturate(packages):
    pixels = np.zeros((64, 64), np.uint8)
    pixels[20:40, 20:40] = 255
    exact = restore(pixels, axes="YX", package=packages["2D"], dtype="float32")
    assert exact.min() < 0 or exact.max() > 255, "the case must leave the range to mean anything"
    integers = restore(pixels, axes="YX", package=packages["2D"])
    np.testing.assert_array_equal(integers, np.rint(exact).clip(0, 255).astype(np.uint8))


def test_blank_frames_pass_through_with_a_warning(packages, caplog):
    pixels = np.stack([np.full((40, 40), 500, np.uint16), picture((40, 40))])
    restored = restore(pixels, axes="CYX", package=packages["2D"])
    np.testing.assert_array_equal(restored[0], pixels[0])
    assert np.any(restored[1] != pixels[1])
    assert "blank" in caplog.text


def test_a_blank_channel_stays_and_the_other_is_restored(packages, caplog):
    pixels = np.stack([picture((40, 44)), np.full((40, 44), 300, np.uint16)])
    pixels[1, 0, 0] = 9000  # a hot pixel, above the percentile
    model = packages["2D-two-channels"]
    restored = restore(pixels, axes="CYX", package=model, dtype="float32")
    lo, hi = np.percentile(pixels[0], (2, 99.8))
    normalized = np.stack([(pixels[0] - lo) / (hi - lo + 1e-6), np.zeros((40, 44))])
    expected = network(model, normalized)[0] * (hi - lo + 1e-6) + lo
    np.testing.assert_allclose(restored[0], expected, atol=1e-2)
    np.testing.assert_array_equal(restored[1], pixels[1])
    assert "channel 2 is blank" in caplog.text


def test_tiles_shrink_when_the_engine_runs_out_of_memory(packages, monkeypatch, caplog):
    image = Image(picture((200, 220)), Axes("YX"))
    expected = Restorer(packages["2D"]).restore_image(image).pixels
    run = Session.run
    asked = []

    def small_engine(self, tile, output):
        asked.append(tile.shape)
        if tile.size > 20_000:
            raise OutOfMemoryError("too large", {})
        return run(self, tile, output=output)

    monkeypatch.setattr(Session, "run", small_engine)
    np.testing.assert_array_equal(Restorer(packages["2D"]).restore_image(image).pixels, expected)
    assert asked[0] == (1, 1, 200, 220)
    assert "going on with tiles of" in caplog.text
    chosen = RestoreOptions(tile={"Y": 200, "X": 220})
    with pytest.raises(OutOfMemoryError, match="or use a smaller tile$") as caught:
        Restorer(packages["2D"], chosen).restore_image(image)
    assert caught.value.tile == {"Y": 200, "X": 220}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (MemoryError(), "do not fit into memory"),
        (OutOfMemoryError("no", {}), "cannot be cut further"),
    ],
    ids=["python", "engine"],
)
def test_no_memory_at_all_is_one_line(packages, monkeypatch, fault, says):
    def no_memory(self, tile, output):
        raise fault

    monkeypatch.setattr(Session, "run", no_memory)
    with pytest.raises(OutOfMemoryError, match=says):
        restore(picture((200, 220)), axes="YX", package=packages["2D"])


def test_a_type_too_narrow_for_the_grey_levels_is_warned_of(packages, caplog):
    pixels = 40 * picture((64, 64))
    assert restore(pixels, axes="YX", package=packages["2D"], dtype="uint8").max() == 255
    assert "more than uint8 holds" in caplog.text


def test_lists_are_arrays_too(packages):
    rows = picture((8, 8), np.float32).tolist()
    assert restore(rows, axes="YX", package=packages["2D"]).shape == (8, 8)


def test_the_result_keeps_what_the_image_knew(packages):
    calibration = Calibration({"Y": 0.1, "X": 0.1}, "µm")
    image = Image(picture((40, 44)), Axes("YX"), calibration=calibration)
    result = Restorer(packages["2D"]).restore_image(image)
    assert result.axes == "YX"
    assert result.calibration == calibration
    assert len(result.history) == 1
    assert load_package(packages["2D"]).spec.rdf_sha256[:16] in result.history[0]


def test_progress_ends_at_the_number_of_tiles(packages):
    seen = []
    image = Image(picture((2, 200, 200)), Axes("TYX"))
    options = RestoreOptions(tile={"Y": 100, "X": 100})
    restorer = Restorer(packages["2D"], options)
    restorer.restore_image(image, lambda done, total: seen.append((done, total)))
    limits = restorer.package.spec.tiling
    tiles = 2 * len(TileGrid.fit({"Y": 200, "X": 200}, limits, options.tile))
    assert seen == [(done, tiles) for done in range(1, tiles + 1)]


@pytest.mark.parametrize(
    ("pixels", "axes", "model", "error", "says"),
    [
        pytest.param(
            np.ones((8, 8), np.uint8), "YX", "3D", AxesError, "expects Z, Y and X", id="2D-for-3D"
        ),
        pytest.param(np.ones((8, 8), np.uint8), "ZYX", "2D", AxesError, "name 3 dim", id="axes"),
        pytest.param(
            np.ones((3, 8, 8), np.uint8),
            "CYX",
            "2D-two-channels",
            AxesError,
            "has 3 channels",
            id="channels",
        ),
        pytest.param(
            np.full((8, 8), np.nan, np.float32),
            "YX",
            "2D",
            ImageError,
            "64 pixels that are NaN",
            id="nan",
        ),
        pytest.param(np.ones((0, 8), np.uint8), "YX", "2D", ImageError, "no pixels", id="empty"),
        pytest.param(np.ones((8, 8), np.int32), "YX", "2D", ImageError, "int32", id="int32"),
    ],
)
def test_what_cannot_be_restored_is_said_in_one_line(packages, pixels, axes, model, error, says):
    with pytest.raises(error) as caught:
        restore(pixels, axes=axes, package=packages[model])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_with_a_sign_are_restored_as_float32(packages):
    pixels = np.random.default_rng(0).normal(0, 300, (40, 50)).astype(np.int16)
    expected = restore(pixels.astype(np.float32), axes="YX", package=packages["2D"])
    found = restore(pixels, axes="YX", package=packages["2D"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ImageError, match="int16"):
        Restorer(packages["2D"]).restore_image(Image(pixels, Axes("YX")))


def test_an_rgb_picture_is_refused(packages):
    image = Image(np.ones((8, 8, 3), np.uint8), Axes("YXC"), rgb=True)
    with pytest.raises(AxesError, match="RGB"):
        Restorer(packages["2D"]).restore_image(image)


def test_a_tile_below_the_halo_is_refused(packages):
    with pytest.raises(TilingError, match="below the smallest"):
        restore(picture((200, 200)), axes="YX", package=packages["2D"], tile={"Y": 16, "X": 16})


def test_cuda_without_cuda_is_an_error(packages):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(DeviceError, match="no CUDA"):
        restore(picture((40, 40)), axes="YX", package=packages["2D"], device="cuda")


def test_nothing_goes_on_when_progress_raised(tmp_path):
    """As on Ctrl-C, or on Escape in Fiji: the caller may remove the result at once."""
    image = Image(np.random.default_rng(0).poisson(90, (300, 300)).astype(np.uint16), Axes("YX"))
    restorer = Restorer(tiny_package(tmp_path / "p"), RestoreOptions(tile={"Y": 64, "X": 64}))

    def interrupt(done, tiles):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:  # with its traceback, which holds the frames
        restorer.restore_image(image, interrupt)
    assert kept.tb is not None
    alive = [thread.name for thread in threading.enumerate() if "care_bridge" in thread.name]
    assert alive == []
