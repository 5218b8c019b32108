"""Images between numpy and ImageJ: nothing is lost, and ImageJ sees what we mean."""

import json
import pickle

import numpy as np
import pytest
import tifffile

from care_bridge.errors import FijiError, ImageError
from care_bridge.fiji.shim_request import Request
from care_bridge.images import open_image
from tests.fiji.conftest import run_child
from tests.fiji.image_cases import CASES, COLOUR

pytestmark = pytest.mark.fiji
BITS = {"uint8": 8, "uint16": 16, "float32": 32}


@pytest.fixture(scope="module")
def taken(installation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taken")
    child = run_child("take_images.py", installation, folder)
    assert child.returncode == 0, child.stderr
    return folder


@pytest.fixture(scope="module")
def facts(taken):
    return json.loads((taken / "facts.json").read_text())


def as_imagej(image):
    """Pixels as ImageJ orders them, TZCYX."""
    return image.axes.to(image.pixels, "TZCYX")


@pytest.mark.parametrize("name", CASES)
def test_the_round_trip_loses_nothing(taken, name):
    image, back = CASES[name], pickle.loads((taken / f"{name}.pickle").read_bytes())
    assert back.axes == image.axes
    assert back.pixels.dtype == image.pixels.dtype
    np.testing.assert_array_equal(back.pixels, image.pixels)
    assert back.calibration == image.calibration
    np.testing.assert_array_equal(back.display.luts, image.display.luts)
    assert back.display.ranges == image.display.ranges
    assert back.display.mode == image.display.mode
    assert back.display.channel_names == image.display.channel_names
    assert back.history == image.history
    assert not back.rgb


@pytest.mark.parametrize("name", CASES)
def test_imagej_reads_the_same_values(facts, name):
    image, fact = CASES[name], facts[name]
    assert fact["bits"] == BITS[image.pixels.dtype.name]
    np.testing.assert_array_equal(fact["values"], as_imagej(image))
    voxel = {"Z": 1.0, "Y": 1.0, "X": 1.0} | image.calibration.voxel_size
    assert fact["size"] == [voxel["Z"], voxel["Y"], voxel["X"]]
    assert fact["unit"] == (image.calibration.unit or "pixel")
    assert fact["interval"] == (image.calibration.frame_interval or 0)
    assert fact["class"] == ("ij.CompositeImage" if "C" in image.axes else "ij.ImagePlus")


@pytest.mark.parametrize("name", CASES)
def test_a_file_saved_by_imagej_opens_as_the_same_image(taken, name):
    image, opened = CASES[name], open_image(taken / f"{name}.tif")
    np.testing.assert_array_equal(as_imagej(opened), as_imagej(image))
    assert opened.pixels.dtype == image.pixels.dtype
    assert opened.calibration.unit == image.calibration.unit
    assert opened.calibration.frame_interval == image.calibration.frame_interval
    for axis, size in image.calibration.voxel_size.items():
        # TIFF holds resolutions as fractions of integers
        assert opened.calibration.voxel_size[axis] == pytest.approx(size, rel=1e-5)
    if image.display.mode in ("color", "composite"):  # ImageJ saves no tables of grey channels
        np.testing.assert_array_equal(opened.display.luts, image.display.luts)
        assert opened.display.ranges == image.display.ranges


def test_colours_become_one_rgb_picture_and_come_back(taken, facts):
    assert facts["colour"]["bits"] == 24
    red, green, blue = COLOUR.pixels.astype(int).transpose(1, 0, 2, 3)
    packed = red * 65536 + green * 256 + blue
    np.testing.assert_array_equal(np.squeeze(facts["colour"]["values"]), packed)
    back = pickle.loads((taken / "colour.pickle").read_bytes())
    assert back.rgb
    assert back.axes == COLOUR.axes
    np.testing.assert_array_equal(back.pixels, COLOUR.pixels)


# What the calibration makes of a stored pixel.
CALIBRATED = {
    "signed": lambda stored: stored - 32768.0,
    "density": lambda stored: stored * 0.01,
}


@pytest.mark.parametrize("name", ["signed", "density", "optical"])
def test_calibrated_levels_are_refused_alike_by_all_ways(facts, taken, name, tmp_path):
    (tmp_path / "image.tif").write_bytes((taken / f"{name}.tif").read_bytes())
    shim = Request({}, tmp_path, name, -1, (), virtual=False, headless=False)
    with pytest.raises(FijiError) as by_shim:
        shim.active()
    with pytest.raises(ImageError) as by_file:
        open_image(taken / f"{name}.tif")
    assert facts[name] == str(by_shim.value)
    head, tail = facts[name].split(" has calibrated grey levels ")
    assert head == f'"{name}"'
    assert "Image > Type > 32-bit" in tail
    assert str(by_file.value) == f"{taken / name}.tif has calibrated grey levels {tail}"


@pytest.mark.parametrize("name", CALIBRATED)
def test_applied_calibration_is_what_is_restored(facts, taken, name):
    stored = tifffile.imread(taken / f"{name}.tif").astype(float)
    applied = open_image(taken / f"{name} applied.tif").pixels
    np.testing.assert_allclose(applied, CALIBRATED[name](stored), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(facts[f"{name} applied"], applied[0])
