"""What is read from files that ImageJ 1.54p and tifffile wrote."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import Axes
from care_bridge.errors import AxesError, ImageError
from care_bridge.images import Calibration, Image, open_image, write_image

IMAGEJ_FILES = Path(__file__).parent / "data" / "imagej"


def ramp(*shape, dtype="uint8"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("name", "axes", "calibration"),
    [
        ("green8", "YX", Calibration({"Y": 0.2, "X": 0.1}, "µm")),
        ("mag16", "YX", Calibration()),
        ("inv8", "YX", Calibration()),
        ("c8", "CYX", Calibration()),
        ("hs16", "TZCYX", Calibration({"Z": 2.0, "Y": 0.5, "X": 0.5}, "µm", 1.5)),
        ("rgb48", "YXC", Calibration()),
        ("rgbz", "ZYXC", Calibration()),
        ("t8", "TYX", Calibration(frame_interval=120.0)),
    ],
)
def test_imagej_files(name, axes, calibration):
    path = IMAGEJ_FILES / f"{name}.tif"
    image = open_image(path)
    assert image.axes == axes
    assert image.calibration == calibration
    assert image.container == "imagej"
    np.testing.assert_array_equal(image.pixels, tifffile.imread(path))
    assert image.pixels.dtype.isnative


def test_imagej_display_and_history():
    stack = open_image(IMAGEJ_FILES / "hs16.tif")
    assert stack.display.mode == "composite"
    assert stack.display.ranges == ((5.0, 1000.0), (7.0, 2000.0))
    assert stack.history == ("first line", "second µ line")
    assert open_image(IMAGEJ_FILES / "c8.tif").display.channel_names == ("one", "two", "three")


@pytest.mark.parametrize(
    ("name", "lut_start", "lut_end", "ranges"),
    [
        ("green8", (0, 0, 0), (0, 255, 0), ((10, 200),)),
        ("mag16", (0, 0, 0), (255, 0, 255), ((10, 20000),)),
        ("inv8", (255, 255, 255), (0, 0, 0), ()),
    ],
)
def test_imagej_lookup_table_of_one_channel(name, lut_start, lut_end, ranges):
    display = open_image(IMAGEJ_FILES / f"{name}.tif").display
    (lut,) = display.luts
    assert lut.shape == (256, 3)
    assert tuple(lut[0]) == lut_start
    assert tuple(lut[255]) == lut_end
    assert display.ranges == ranges


def test_rgb_is_told_from_channels():
    assert open_image(IMAGEJ_FILES / "rgbz.tif").rgb
    assert not open_image(IMAGEJ_FILES / "rgb48.tif").rgb
    assert not open_image(IMAGEJ_FILES / "c8.tif").rgb


def test_calibrated_intensities_are_refused():
    with pytest.raises(ImageError, match="32-bit"):
        open_image(IMAGEJ_FILES / "int16.tif")


def test_ome_tiff(tmp_path):
    path = tmp_path / "cell.ome.tif"
    pixels = ramp(3, 5, 2, 8, 9, dtype="uint16")
    tifffile.imwrite(
        path,
        pixels,
        photometric="minisblack",
        metadata={
            "axes": "TZCYX",
            "PhysicalSizeX": 65.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 65.0,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": 0.3,
            "PhysicalSizeZUnit": "µm",
            "TimeIncrement": 250.0,
            "TimeIncrementUnit": "ms",
            "Channel": {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]},
            "Description": "fixed\nstained",
        },
    )
    image = open_image(path)
    assert image.axes == "TZCYX"
    assert image.container == "ome"
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.calibration.unit == "nm"
    assert image.calibration.voxel_size == pytest.approx({"X": 65.0, "Y": 65.0, "Z": 300.0})
    assert image.calibration.frame_interval == pytest.approx(0.25)
    assert image.display.channel_names == ("DAPI", "GFP")
    # 65535 is 0x0000FFFF (blue, opaque), 16711935 is 0x00FF00FF (green, opaque)
    assert [tuple(lut[255]) for lut in image.display.luts] == [(0, 0, 255), (0, 255, 0)]
    assert image.history == ("fixed", "stained")


@pytest.mark.parametrize(
    ("shape", "options", "given", "axes"),
    [
        pytest.param((8, 9), {}, None, "YX", id="one plane"),
        pytest.param((1, 1), {}, None, "YX", id="one pixel"),
        pytest.param((64, 3), {}, None, "YX", id="three columns are no colours"),
        pytest.param((1, 8, 9), {}, None, "YX", id="a plane in a stack of one"),
        pytest.param((1, 8, 9), {}, "CYX", "CYX", id="the user names an axis of length 1"),
        pytest.param((5, 8, 9), {}, "tyx", "TYX", id="the user names a stack"),
        pytest.param((5, 8, 9), {}, "YXZ", "YXZ", id="the user's order"),
        pytest.param((5, 8, 9), {"metadata": None}, "ZYX", "ZYX", id="pages without metadata"),
        pytest.param((5, 8, 9), {"metadata": {"axes": "ZYX"}}, None, "ZYX", id="tifffile's axes"),
        pytest.param((3, 8, 9), {"metadata": {"axes": "CYX"}}, None, "CYX", id="channels"),
        pytest.param((5, 8, 9), {"imagej": True}, None, "CYX", id="imagej channels"),
        pytest.param(
            (5, 8, 9),
            {"imagej": True, "metadata": {"axes": "ZYX"}},
            "TYX",
            "TYX",
            id="slices that are frames",
        ),
        pytest.param((5, 8, 9), {"compression": "zlib"}, "ZYX", "ZYX", id="compressed"),
        pytest.param((5, 64, 64), {"tile": (16, 16)}, "ZYX", "ZYX", id="tiled"),
        pytest.param((5, 8, 9), {"bigtiff": True}, "ZYX", "ZYX", id="bigtiff"),
        pytest.param((5, 8, 9), {"byteorder": ">"}, "ZYX", "ZYX", id="big endian"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_axes_of_plain_files(tmp_path, shape, options, given, axes, dtype):
    path = tmp_path / "image.tif"
    pixels = ramp(*shape, dtype=dtype)
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    image = open_image(path, given)
    assert image.axes == axes
    assert image.pixels.dtype == dtype
    np.testing.assert_array_equal(image.pixels.squeeze(), pixels.squeeze())


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        pytest.param({}, None, "does not say what they are.*axes=ZYX", id="unknown"),
        pytest.param({}, "YX", "one letter for each", id="too few"),
        pytest.param({}, "QYX", 'unknown letter "Q"', id="no such axis"),
        pytest.param({"imagej": True, "metadata": {"axes": "ZYX"}}, "CYX", "axes are ZYX", id="ij"),
        pytest.param({"ome": True, "metadata": {"axes": "ZYX"}}, "YX", "axes are ZYX", id="ome"),
        pytest.param({"metadata": {"axes": "ZYX"}}, "YXZ", "axes are ZYX", id="order"),
    ],
)
def test_axes_that_are_unknown_or_contradict_the_file(tmp_path, options, given, expected):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, ramp(5, 8, 9), photometric="minisblack", **options)
    with pytest.raises(AxesError, match=expected) as caught:
        open_image(path, given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"imagej": True}], ids=["plain", "ij"])
def test_more_axes_than_an_image_has_are_refused(tmp_path, options):
    tifffile.imwrite(tmp_path / "image.tif", ramp(8, 9), **options)
    with pytest.raises(AxesError, match="axes are YX, but ZYX was given"):
        open_image(tmp_path / "image.tif", "ZYX")


@pytest.mark.parametrize("shape", [(3, 8, 9), (4, 8, 9)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_planes_that_tifffile_took_for_colours_are_not_taken_for_colours(tmp_path, shape):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, ramp(*shape))
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    with pytest.raises(AxesError, match="give its axes"):
        open_image(path)
    image = open_image(path, "ZYX")
    assert not image.rgb
    np.testing.assert_array_equal(image.pixels, ramp(*shape))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_pictures(tmp_path, dtype):
    path = tmp_path / "image.tif"
    pixels = ramp(8, 9, 3, dtype=dtype)
    tifffile.imwrite(path, pixels, photometric="rgb")
    image = open_image(path)
    assert (image.axes, image.rgb) == ("YXC", True)
    np.testing.assert_array_equal(image.pixels, pixels)


def test_palette_of_rising_brightness_is_a_lookup_table(tmp_path):
    path = tmp_path / "image.tif"
    table = np.zeros((3, 256), np.uint16)
    table[1] = np.arange(256) * 257
    tifffile.imwrite(path, ramp(8, 9), photometric="palette", colormap=table)
    image = open_image(path)
    assert (image.axes, image.rgb) == ("YX", False)
    assert tuple(image.display.luts[0][200]) == (0, 200, 0)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["int8", ">i2", "float16"])
def test_small_numbers_with_a_sign_become_float32_exactly(tmp_path, dtype, compression):
    path = tmp_path / "image.tif"
    every = np.arange(2 ** (8 * np.dtype(dtype).itemsize), dtype=np.uint16)
    bits = every.astype("uint8") if dtype == "int8" else every
    pixels = bits.view(np.dtype(dtype).newbyteorder("=")).reshape(16, -1)
    order = ">" if dtype == ">i2" else "<"
    tifffile.imwrite(path, pixels, byteorder=order, compression=compression)
    image = open_image(path)
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, pixels.astype(np.float64))


def test_planes_of_colours_are_told_from_planes_of_an_array(tmp_path):
    """Planes that tifffile wrote may be any array's, unless it was told that they are colours."""
    colours = {"photometric": "rgb", "planarconfig": "separate"}
    for name, options in {
        "told": {"metadata": {"axes": "SYX"}},
        "other": {"metadata": None},
    }.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, ramp(3, 8, 9), **colours, **options)
        image = open_image(path)
        assert (image.axes, image.rgb) == ("CYX", True)
        np.testing.assert_array_equal(image.pixels, ramp(3, 8, 9))
    tifffile.imwrite(tmp_path / "guessed.tif", ramp(3, 8, 9), **colours)
    with pytest.raises(AxesError, match="give its axes"):
        open_image(tmp_path / "guessed.tif")


def test_float64_becomes_float32(tmp_path):
    path = tmp_path / "image.tif"
    pixels = np.linspace(-1e30, 3e38, 72).reshape(8, 9)
    tifffile.imwrite(path, pixels)
    image = open_image(path)
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels, pixels, rtol=1e-7)


@pytest.mark.parametrize(
    ("unit", "per_unit", "calibration"),
    [
        ("CENTIMETER", (10000, 5000), Calibration({"Y": 1 / 5000, "X": 1 / 10000}, "cm")),
        ("INCH", (300, 300), Calibration({"Y": 1 / 300, "X": 1 / 300}, "inch")),
        ("INCH", (72, 72), Calibration()),
        ("NONE", (1, 1), Calibration()),
    ],
)
def test_resolution_of_plain_files(tmp_path, unit, per_unit, calibration):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, ramp(8, 9), resolution=per_unit, resolutionunit=unit)
    assert open_image(path).calibration == calibration


def test_a_pyramid_is_read_at_full_resolution(tmp_path):
    path = tmp_path / "image.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(ramp(64, 64), subifds=1)
        writer.write(ramp(32, 32), subfiletype=1)
    assert open_image(path).pixels.shape == (64, 64)


@pytest.mark.parametrize("size", [0.0, -0.5, float("nan"), float("inf")])
def test_a_voxel_size_that_is_no_length_is_left_out(tmp_path, size):
    said = Calibration.from_file({"Z": size, "Y": 0.2, "X": 0.2}, "µm", size)
    assert said == Calibration({"Y": 0.2, "X": 0.2}, "µm")
    image = Image(np.zeros((2, 4, 5), np.uint8), Axes("ZYX"), calibration=said)
    write_image(image, tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif").calibration.voxel_size["X"] == pytest.approx(0.2)


def test_doubles_that_are_no_numbers_are_read(tmp_path):
    pixels = np.array([[0.1, np.nan], [np.inf, -np.inf]])
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    read = open_image(tmp_path / "a.tif").pixels
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.array(pixels, np.float32))
