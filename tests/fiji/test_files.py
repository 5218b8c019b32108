"""Files that care_bridge writes box by box, as the real ImageJ opens them."""

import pickle

import numpy as np
import pytest

from care_bridge.axes import CANONICAL
from care_bridge.images import Storage, create_image
from care_bridge.images.source import boxes_of, whole
from tests.fiji.conftest import run_child
from tests.fiji.image_cases import CASES, COLOUR

pytestmark = pytest.mark.fiji
IMAGES = {**CASES, "colour": COLOUR}
# how a file is stored: "large" is ImageJ's way above 4 GB
KINDS = {"plain": Storage("imagej"), "zlib": Storage("imagej", "zlib"), "large": Storage("imagej")}


def write_by_boxes(image, path, storage):
    pixels = image.axes.to(image.pixels, CANONICAL)
    with create_image(image.info, path, storage) as sink:
        for box in boxes_of(whole(image.info), (1, 1, 1, 1, 2, 3), 6):
            sink.write(box, pixels[box])


@pytest.fixture(scope="module")
def opened(installation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    for kind, storage in KINDS.items():
        with pytest.MonkeyPatch.context() as patch:
            if kind == "large":
                patch.setattr("care_bridge.images.tiff_tables._CLASSIC_BYTES", 200)
            for name, image in IMAGES.items():
                write_by_boxes(image, folder / f"{name}-{kind}.tif", storage)
    child = run_child("open_files.py", installation, folder)
    assert child.returncode == 0, child.stderr
    return pickle.loads((folder / "opened.pickle").read_bytes())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", IMAGES)
def test_imagej_opens_what_was_written(opened, name, kind):
    image = IMAGES[name]
    dimensions, back = opened[f"{name}-{kind}"]
    sizes = {"C": 1, "Z": 1, "T": 1} | image.sizes | ({"C": 1} if image.rgb else {})
    assert dimensions == tuple(sizes[axis] for axis in "XYCZT")
    np.testing.assert_array_equal(
        back.axes.to(back.pixels, "TZCYX"), image.axes.to(image.pixels, "TZCYX")
    )
    assert back.pixels.dtype == image.pixels.dtype
    assert back.rgb == image.rgb
    assert back.calibration.unit == image.calibration.unit
    assert back.calibration.frame_interval == image.calibration.frame_interval
    assert back.calibration.voxel_size == pytest.approx(image.calibration.voxel_size)
    assert back.history == image.history


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_imagej_shows_it_as_it_was(opened, name, kind):
    _, back = opened[f"{name}-{kind}"]
    display = CASES[name].display
    np.testing.assert_array_equal(back.display.luts, display.luts)
    assert back.display.ranges == display.ranges
    assert back.display.mode == display.mode
    if kind != "zlib":  # ImageJ itself leaves out the labels of compressed stacks
        assert back.display.channel_names == display.channel_names
