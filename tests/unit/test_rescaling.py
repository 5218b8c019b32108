import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.evaluation.least_squares import Moments
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.runtime import rescaling
from care_bridge.runtime.rescaling import fit_to_truth, rescale

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.gamma(2, 400, (2, 3, 40, 50))  # CZYX


def source(pixels, axes="CZYX"):
    return ImageInMemory(Image(pixels, Axes(axes)))


@pytest.fixture(params=[10**9, 300], ids=["whole", "blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(rescaling, "_BLOCK", request.param)


def in_pieces(pixels):
    made = source(pixels)
    made.pieces = (1, 1, 1, 1, 3, 50)
    return made


@pytest.mark.usefixtures("_blocks")
def test_each_channel_is_fitted_as_numpys_least_squares_do():
    restored = (0.3 * TRUTH + RANDOM.normal(40, 60, TRUTH.shape)).astype(np.float32)
    scales = fit_to_truth(in_pieces(restored), source(TRUTH.astype(np.float32)))
    for scale, x, y in zip(scales, restored, TRUTH.astype(np.float32), strict=True):
        expected = np.polyfit(x.ravel().astype(float), y.ravel().astype(float), 1)
        np.testing.assert_allclose([scale.gain, scale.offset], expected, rtol=1e-9)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("far", [0, 1e6, 1e9], ids="offset {:g}".format)
def test_a_map_is_found_however_far_from_zero(far):
    restored = (TRUTH.round() + far).astype(np.float64)
    truth = restored * 0.25 + 7
    scales = fit_to_truth(in_pieces(restored), source(truth))
    for scale in scales:
        assert scale.gain == pytest.approx(0.25, rel=1e-9)
        assert scale.offset == pytest.approx(7, abs=max(1e-9 * far, 1e-9))


@pytest.mark.usefixtures("_blocks")
def test_a_rescaled_image_has_the_other_ones_grey_levels():
    truth = TRUTH.round().astype(np.uint16)
    restored = source((truth.astype(np.float32) - 100) / 800)
    sink = ImageInMemory.empty(source(truth).info)
    told = []
    rescale(restored, fit_to_truth(restored, source(truth)), sink, lambda *at: told.append(at))
    np.testing.assert_array_equal(sink.image.pixels, truth)
    assert told[-1] == (truth.size, truth.size)


@pytest.mark.usefixtures("_blocks")
def test_what_is_not_finite_takes_no_part_and_stays():
    truth = TRUTH.astype(np.float32)
    restored = truth / 4 - 3
    restored[0, 1, 2, 3], truth[1, 0, 0, :2] = np.nan, np.inf
    scales = fit_to_truth(in_pieces(restored), source(truth))
    assert [(s.gain, s.offset) for s in scales] == [pytest.approx((4, 12), rel=1e-4)] * 2
    whole_numbers, floats = (
        ImageInMemory.empty(source(TRUTH.astype(dtype)).info) for dtype in ("uint16", "float32")
    )
    for sink in (whole_numbers, floats):
        rescale(source(restored), scales, sink)
    assert whole_numbers.image.pixels[0, 1, 2, 3] == 0
    assert np.argwhere(np.isnan(floats.image.pixels)).tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("restored", "truth", "message"),
    [
        (TRUTH, TRUTH[:, :2], r"shape \(2, 3, 40, 50\) \(CZYX\), .* \(2, 2, 40, 50\)"),
        (np.full_like(TRUTH, 0.1), TRUTH, r"channel 1 of the result is constant \(0.1\)"),
        (-TRUTH, TRUTH, "channel 1 .*darker .*same scene"),
    ],
    ids=["shape", "constant", "inverted"],
)
@pytest.mark.usefixtures("_blocks")
def test_what_cannot_be_fitted_is_said_in_one_line(restored, truth, message):
    with pytest.raises(ImageError, match=message) as caught:
        fit_to_truth(in_pieces(restored.astype(np.float32)), source(truth.astype(np.float32)))
    assert "\n" not in str(caught.value)


def test_moments_of_parts_add_up():
    x, y = RANDOM.normal(1e5, 1, (2, 999))
    parts = sum(
        (Moments.of(x[at : at + 100], y[at : at + 100]) for at in range(0, 999, 100)), Moments()
    )
    covariance = np.cov(x, y) * 998
    assert parts.count == 999
    assert parts.squares_x == pytest.approx(covariance[0, 0], rel=1e-9)
    assert parts.products == pytest.approx(covariance[0, 1], rel=1e-8)
