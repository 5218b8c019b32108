"""Casting pixels, names of images, listing folders, and what importing costs."""

import subprocess
import sys

import numpy as np
import pytest

from care_bridge.errors import ImageError
from care_bridge.images import cast_pixels, is_image_name, list_images


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("uint16", 65535)])
def test_integers_are_rounded_half_to_even_and_saturated(dtype, most):
    values = [-1e30, -1.0, -0.5, -0.0, 0.5, 1.5, 2.5, 2.51, most - 0.5, most, most + 1, 1e30]
    cast = cast_pixels(np.array(values, np.float32), dtype)
    # Python's own round() is half to even
    assert cast.tolist() == [min(max(round(value), 0), most) for value in values]
    assert cast.dtype == dtype


def test_infinities_saturate():
    assert cast_pixels(np.array([-np.inf, np.inf], np.float32), "uint16").tolist() == [0, 65535]


def test_float32_stays():
    pixels = np.array([0.1, -3.0, 1e30], np.float32)
    np.testing.assert_array_equal(cast_pixels(pixels, "float32"), pixels)


def test_casting_leaves_its_input_alone():
    pixels = np.array([0.4, 300.0], np.float32)
    cast_pixels(pixels, "uint8")
    assert pixels.tolist() == [np.float32(0.4), 300.0]


@pytest.mark.parametrize("dtype", ["int16", "uint32", "float64", "bool"])
def test_other_types_are_refused(dtype):
    with pytest.raises(ImageError, match="uint8, uint16, float32"):
        cast_pixels(np.zeros(3, np.float32), dtype)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", True),
        ("a.TIFF", True),
        ("a.ome.tif", True),
        ("a.tif.txt", False),
        ("a.png", False),
        ("tif", False),
        (".a.tif", False),
        (".a.tif.17.partial", False),
        ("a.ome.zarr", True),
        ("a.CZI", True),
        ("a.nd2", True),
        (".a.zarr", False),
        (".a.zarr.partial", False),
    ],
)
def test_image_names(name, expected):
    assert is_image_name(name) is expected


def test_listing_a_folder(tmp_path):
    names = ["img10.tif", "img2.tif", "IMG1.tif", "b/2.tif", "b/10.tif", "notes.txt"]
    hidden = [".hidden.tif", ".img2.tif.77.partial", ".trash/old.tif", "b/.old.tif"]
    for name in names + hidden:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["IMG1.tif", "img2.tif", "img10.tif"]
    everything = [str(path.relative_to(tmp_path)) for path in list_images(tmp_path, True)]
    assert everything == ["b/2.tif", "b/10.tif", "IMG1.tif", "img2.tif", "img10.tif"]


def test_zarr_folders_are_images_and_not_looked_into(tmp_path):
    for name in ("b.ome.zarr", "day/c.zarr", ".d.zarr.partial", ".e.zarr"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / "0" / "inner.tif").touch()
    for name in ("a.tif", "c.czi", "file.zarr"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.tif", "b.ome.zarr", "c.czi"]
    everything = [str(path.relative_to(tmp_path)) for path in list_images(tmp_path, True)]
    assert everything == ["a.tif", "b.ome.zarr", "c.czi", "day/c.zarr"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("empty", "holds no images"), ("missing", "does not exist"), ("file.tif", "is a file")],
)
def test_folders_that_cannot_be_listed(tmp_path, name, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.tif").touch()
    with pytest.raises(ImageError, match=expected):
        list_images(tmp_path / name)


def test_a_folder_inside_a_hidden_one_is_listed(tmp_path):
    folder = tmp_path / ".cache" / "images"
    folder.mkdir(parents=True)
    (folder / "a.tif").touch()
    assert list_images(folder) == [folder / "a.tif"]


def test_tifffile_is_loaded_only_when_a_file_is_read():
    code = (
        "import sys\n"
        "from care_bridge.images import Image, cast_pixels, open_image, write_image\n"
        "assert 'tifffile' not in sys.modules\n"
        "import care_bridge.images.tiff_reader\n"
        "assert 'tifffile' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
