import logging
import re

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, ImageError
from care_bridge.images.image import Image
from care_bridge.images.pixels import cast_pixels
from care_bridge.images.source import ImageInMemory
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.spec import ModelSpec, TensorSpec, Weights
from care_bridge.runtime.image_levels import image_levels
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.scaling import fit_scales, scale_back
from care_bridge.tiling import AxisLimits

RANDOM = np.random.default_rng(0)
EPS = 1e-6
PERCENTILES = Percentiles(2, 99.8, EPS)
FOREIGN = Percentiles(2, 99.8, EPS, inverted=False)
FIXED = FixedScale(before=(Scale(180, 110),), after=(Scale(210, 95),))


def model(normalization=PERCENTILES, channels_in=1, channels_out=1):
    """What a package says of a 2D model."""
    limits = AxisLimits(step=4, min=4, halo=12)
    into, out = (
        TensorSpec(name, "BCYX", tuple(f"c{n}" for n in range(count)), "t.npy", None)
        for name, count in (("input", channels_in), ("output", channels_out))
    )
    return ModelSpec(
        name="Model",
        nickname="model",
        version="1",
        description="",
        license="",
        format_version="0.5.4",
        rdf_sha256="0" * 64,
        input=into,
        output=out,
        weights=Weights("w.onnx", "0" * 64, 17),
        tiling={"Y": limits, "X": limits},
        normalization=normalization,
        memory_per_pixel=None,
        config={},
    )


def movie(frames=3, channels=2, dtype="uint16"):
    """TCYX, each frame and channel with other grey levels."""
    levels = RANDOM.uniform(300, 3000, (frames, channels, 1, 1))
    return RANDOM.poisson(levels, (frames, channels, 40, 50)).astype(dtype)


def fitted(pixels, axes, spec=None, channels=None, **options):
    source = ImageInMemory(Image(pixels, Axes(axes)))
    every = tuple(range(source.info.sizes.get("C", 1)))
    return fit_scales(source, spec or model(), RestoreOptions(**options), channels or every)


def limits(pixels, percents=(2, 99.8)):
    return np.percentile(pixels.astype(np.float64), percents)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_percentiles_are_those_of_a_channel_in_all_frames(dtype):
    pixels = (movie() // 14).astype(dtype)
    scales = fitted(pixels, "TCYX")
    for time, channel in np.ndindex(3, 2):
        lo, hi = limits(pixels[:, channel])
        expected = (pixels[time, channel].astype(float) - lo) / (hi - lo + EPS)
        before = scales.at(0, time).before[channel]
        np.testing.assert_array_equal(
            before.apply(pixels[time, channel]), expected.astype(np.float32)
        )
        assert scales.at(0, time).after[channel] == before


def test_each_frame_can_have_its_own():
    pixels = movie()
    scales = fitted(pixels, "TCYX", normalize="per-frame")
    for time, channel in np.ndindex(3, 2):
        scale = scales.at(0, time).before[channel]
        assert (scale.lo, scale.hi) == tuple(limits(pixels[time, channel]))
    assert len(scales.all()) == 3


def test_each_sample_has_its_own():
    pixels = movie()[:, 0]
    scales = fitted(pixels, "SYX")
    assert [scales.at(s, 0).before[0].lo for s in range(3)] == [limits(p)[0] for p in pixels]


def test_percentiles_and_grey_levels_of_the_user():
    pixels = movie()
    scale = fitted(pixels, "TCYX", percentile_low=5.0).at(0, 0).before[1]
    assert (scale.lo, scale.hi) == tuple(limits(pixels[:, 1], (5, 99.8)))
    given = fitted(pixels, "TCYX", normalize=(100.0, 2500.0)).at(0, 2)
    assert [(s.lo, s.hi, s.gain) for s in given.before] == [(100, 2500, 2400 + EPS)] * 2


def test_chosen_channels_are_scaled_in_their_order():
    pixels = movie(channels=4)
    scales = fitted(pixels, "TCYX", channels=(3, 0)).at(0, 0)
    expected = [limits(pixels[:, channel])[0] for channel in (3, 0)]
    assert [scale.lo for scale in scales.before] == expected


def test_zeros_are_left_out_when_asked():
    pixels = movie()[:, 0]
    pixels[:, :20] = 0
    scale = fitted(pixels, "TYX", ignore_zeros=True).at(0, 0).before[0]
    assert (scale.lo, scale.hi) == tuple(limits(pixels[:, 20:]))


@pytest.mark.parametrize("normalization", [PERCENTILES, FIXED], ids=["percentiles", "fixed"])
def test_what_is_not_finite_is_refused_with_its_count_or_kept(normalization):
    pixels = movie(dtype="float32")
    finite = pixels.copy()
    pixels[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    pixels[2, 1, 5, 5] = np.nan
    with pytest.raises(ImageError, match=r"4 pixels .* NaN or infinite.*ignore_nonfinite"):
        fitted(pixels, "TCYX", model(normalization))
    scales = fitted(pixels, "TCYX", model(normalization), ignore_nonfinite=True)
    assert scales.nonfinite == 4
    if normalization is PERCENTILES:
        known = finite[:, 1][np.isfinite(pixels[:, 1])]
        assert scales.at(0, 0).before[1].lo == limits(known)[0]


class Counting(ImageInMemory):
    """Counts how often each pixel is read."""

    def __init__(self, image, pieces):
        super().__init__(image)
        self.pieces = pieces
        self.reads = np.zeros(self.info.canonical_shape, int)
        self.largest = 0

    def read(self, box):
        pixels = super().read(box)
        self.reads[box] += 1
        self.largest = max(self.largest, pixels.size)
        return pixels


@pytest.mark.parametrize(("dtype", "times"), [("uint16", 1), ("float32", 2)])
@pytest.mark.parametrize("per_frame", [False, True], ids=["together", "per-frame"])
def test_wanted_pixels_are_read_once_floats_twice(dtype, times, per_frame, monkeypatch):
    monkeypatch.setattr("care_bridge.runtime.image_levels.BLOCK", 1000)
    source = Counting(Image(movie(channels=3, dtype=dtype), Axes("TCYX")), (1, 1, 2, 1, 8, 50))
    told = []
    image_levels(
        source,
        (2, 0),
        (2, 99.8),
        per_frame=per_frame,
        ignore_zeros=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert np.all(source.reads[:, :, [0, 2]] == times)
    assert not source.reads[:, :, 1].any()
    assert source.largest <= 1000
    total = times * 3 * 2 * 40 * 50
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


@pytest.mark.parametrize("options", [{}, {"dtype": "float32"}], ids=["fixed", "fixed-float32"])
def test_nothing_is_read_where_nothing_is_asked(options):
    source = Counting(Image(movie(), Axes("TCYX")), (1, 1, 1, 1, 40, 50))
    scales = fit_scales(source, model(FIXED), RestoreOptions(**options), (0, 1))
    assert not source.reads.any()
    assert scales.at(0, 2).before == FIXED.before * 2


RANGES = {
    "0-1": (lambda image, lo, hi: (image - lo) / (hi - lo + EPS), "float32"),
    "full": (lambda image, *_: (image - image.min()) * 65535 / np.ptp(image), "uint16"),
    "input": (lambda image, *_: image, "uint16"),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("normalize", ["per-image", "per-frame", (200.0, 2600.0)], ids=str)
def test_a_network_that_changes_nothing_gives_the_range_asked_for(name, normalize):
    pixels = movie()
    scales = fitted(pixels, "TCYX", range=name, normalize=normalize)
    convert, dtype = RANGES[name]
    assert scales.dtype == dtype
    for time, channel in np.ndindex(3, 2):
        frame, image = pixels[time, channel].astype(float), pixels[:, channel].astype(float)
        lo, hi = limits(frame if normalize == "per-frame" else image)
        if isinstance(normalize, tuple):
            lo, hi = normalize
        expected = convert(image if name == "full" else frame, lo, hi)
        expected = expected[time] if name == "full" else expected
        at = scales.at(0, time)
        through = at.after[channel].invert(at.before[channel].apply(pixels[time, channel]))
        past = at.raw[channel].invert(pixels[time, channel])
        np.testing.assert_allclose(through, expected, rtol=1e-5, atol=1e-6 * expected.max())
        np.testing.assert_allclose(past, expected, rtol=1e-9, atol=1e-9)


def test_the_full_range_ends_at_the_ends_of_the_type():
    pixels = movie(dtype="float32") - 1000
    scales = fitted(pixels, "TCYX", range="full", dtype="uint8").at(0, 0)
    for channel in range(2):
        past = scale_back(scales.raw[channel], pixels[:, channel], np.empty((3, 40, 50), np.uint8))
        assert (past.min(), past.max()) == (0, 255)


def test_the_full_range_of_fixed_scales_is_the_images():
    pixels = movie(channels=1)[:, 0]
    scales = fitted(pixels, "TYX", model(FIXED), range="full").at(0, 0)
    grey = FIXED.after[0].invert(np.float32([0.0, 0.7]))
    expected = (grey - pixels.min()) * 65535 / np.ptp(pixels.astype(float))
    np.testing.assert_allclose(scales.after[0].invert(np.float32([0.0, 0.7])), expected)


@pytest.mark.parametrize(
    ("axes", "shape", "options", "stays", "message"),
    [
        ("YX", (40, 50), {}, [True], r"the image is blank \(its percentiles are both 7\): unch"),
        ("CYX", (3, 40, 50), {}, [False, True, False], "channel 2 is blank"),
        ("TYX", (9, 40, 50), {"normalize": "per-frame"}, None, "frame 2 is blank"),
        (
            "TCYX",
            (2, 3, 40, 50),
            {"normalize": "per-frame"},
            None,
            "3 of 6 are blank .*frame 2 cha",
        ),
        ("YX", (40, 50), {"ignore_zeros": True, "zero": True}, [True], "the image is blank"),
    ],
    ids=["image", "channel", "frame", "frame-of-channels", "only-zeros"],
)
def test_what_is_blank_stays_with_one_warning(axes, shape, options, stays, message, caplog):
    pixels = RANDOM.poisson(500, shape).astype(np.uint16)
    options = dict(options)
    blank = ... if len(shape) == 2 else 1
    pixels[blank] = 0 if options.pop("zero", False) else 7
    scales = fitted(pixels, axes, **options)
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert re.search(message, warnings[0])
    if stays:
        assert list(scales.at(0, 0).stays) == stays
    else:
        assert all(scales.at(0, 1).stays)
        assert not any(scales.at(0, 0).stays)


def test_five_hundred_blank_frames_are_one_short_line(caplog):
    pixels = np.full((500, 8, 8), 9, np.uint16)
    fitted(pixels, "TYX", normalize="per-frame")
    (record,) = caplog.records
    assert "500 of 500" in record.getMessage()
    assert "495 more" in record.getMessage()
    assert len(record.getMessage()) < 200


@pytest.mark.parametrize(
    ("into", "out", "partners"),
    [(1, 1, [0, 1]), (1, 2, [0, 0, 1, 1]), (2, 2, [0, 1]), (2, 3, [0, 0, 0])],
)
def test_each_channel_of_the_result_has_its_partners_scale(into, out, partners):
    scales = fitted(movie(), "TCYX", model(channels_in=into, channels_out=out)).at(0, 0)
    assert scales.after == tuple(scales.before[partner] for partner in partners)


@pytest.mark.parametrize(
    ("wanted", "dtype", "told"),
    [
        ("auto", "float32", []),
        ("float32", "float32", []),
        ("input", "uint16", ["uint16 rounds it to whole numbers"]),
        ("uint8", "uint8", ["uint8 rounds it to whole numbers"]),
    ],
)
def test_the_type_of_a_result_that_is_not_scaled_back(wanted, dtype, told, caplog):
    """Whatever the image spans, here 40000 grey levels: the result does not."""
    caplog.set_level(logging.INFO)
    pixels = RANDOM.integers(0, 40000, (64, 64)).astype("uint16")
    assert fitted(pixels, "YX", model(FOREIGN), dtype=wanted).dtype == dtype
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(told)
    assert all(part in line for part, line in zip(told, said, strict=True))


def test_a_foreign_result_that_is_not_scaled_back_stays_normalised():
    pixels = movie()
    scales = fitted(pixels, "TCYX", model(FOREIGN))
    assert scales.dtype == np.float32
    np.testing.assert_array_equal(
        scales.at(0, 0).after[1].invert(np.float32([0.3])), np.float32([0.3])
    )
    lo, hi = limits(pixels[:, 1])
    np.testing.assert_allclose(scales.at(0, 0).raw[1].invert(np.array([lo, hi])), [0, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("normalization", "options", "message"),
    [
        (FIXED, {"normalize": "per-frame"}, "normalize needs .*Model scales every image"),
        (FIXED, {"normalize": (1.0, 2.0)}, "normalize needs"),
        (FIXED, {"percentile_high": 99.0}, "percentile"),
        (FIXED, {"ignore_zeros": True}, "ignore_zeros"),
        (FIXED, {"range": "0-1"}, "range 0-1"),
        (FOREIGN, {"range": "full"}, "range full .*Model is not scaled back"),
        (PERCENTILES, {"percentile_low": 99.9}, "99.9 and 99.8 do not satisfy"),
        (PERCENTILES, {"range": "full", "dtype": "input"}, "range full needs an integer dtype"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_do_not_fit_are_refused_in_one_line(normalization, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        fitted(movie(dtype="float32"), "TCYX", model(normalization), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "span", "options", "expected"),
    [
        ("uint16", 500, {}, "uint16"),
        ("uint16", 30, {}, "float32"),
        ("uint16", 30, {"dtype": "input"}, "uint16"),
        ("float32", 30, {}, "float32"),
        ("uint16", 500, {"dtype": "uint8"}, "uint8"),
        ("uint8", 100, {"range": "full"}, "uint8"),
        ("float32", 100, {"range": "full"}, "uint16"),
        ("uint8", 30, {"range": "full", "dtype": "uint16"}, "uint16"),
        ("uint8", 100, {"range": "0-1"}, "float32"),
    ],
)
def test_the_type_of_the_result(given, span, options, expected):
    pixels = np.linspace(10, 10 + span, 2000).reshape(40, 50).astype(given)
    assert fitted(pixels, "YX", **options).dtype == expected


@pytest.mark.parametrize("dtype", ["auto", "input"])
def test_fixed_scales_that_are_narrow_are_not_said_to_be_the_images(dtype, caplog):
    """The image has 3000 grey levels; the model was trained on a deviation of 10."""
    caplog.set_level(logging.INFO)
    narrow = model(FixedScale((Scale(10, 100),), (Scale(10, 100),)))
    fitted(np.arange(3000, dtype=np.uint16).reshape(60, 50), "YX", narrow, dtype=dtype)
    (record,) = caplog.records
    assert "the model expects a contrast of about 40 grey levels" in record.getMessage()


def test_a_narrow_image_is_told_by_the_distance_of_its_percentiles(caplog):
    caplog.set_level(logging.INFO)
    fitted(np.arange(3000, dtype=np.uint16).reshape(60, 50) // 100, "YX")
    (record,) = caplog.records
    assert "scaled to 0 and 1 are only 29 apart" in record.getMessage()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_scaling_back_in_chunks_is_scaling_back(dtype):
    scale = Scale(gain=123.456, offset=-7.89)
    normalized = RANDOM.normal(1, 2, (300, 700)).astype(np.float32)[:, ::3]
    exact = normalized.astype(np.float64) * 123.456 - 7.89
    result = np.empty((300, 500), dtype)[:, : normalized.shape[1]]
    assert scale_back(scale, normalized, result) is result
    np.testing.assert_array_equal(result, cast_pixels(exact, dtype))
