"""What is written, as tifffile reads it, and that nothing half-written is left."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.images import (
    Calibration,
    Display,
    Image,
    Storage,
    create_image,
    open_image,
    write_image,
)

RNG = np.random.default_rng(0)
RED, GREEN = (
    np.arange(256)[:, None] * np.array(color) // 255 for color in ([255, 0, 0], [0, 255, 0])
)


def stack(dtype="uint16", **fields):
    """2 channels, 3 slices, 4 frames, in an order that no file stores."""
    pixels = RNG.integers(0, 200, (2, 4, 3, 8, 9)).astype(dtype)
    described = {
        "calibration": Calibration({"Z": 0.3, "Y": 0.0645, "X": 0.0645}, "µm", 2.5),
        "display": Display(
            luts=(RED.astype(np.uint8), GREEN.astype(np.uint8)),
            ranges=((0.0, 100.0), (5.0, 150.5)),
            channel_names=("DAPI", "GFP"),
            mode="color",
        ),
        "history": ("denoised", "at 20 °C"),
    }
    return Image(pixels, Axes("CTZYX"), **(described | fields))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_imagej_hyperstack(tmp_path, dtype):
    image = stack(dtype)
    path = tmp_path / "out.tif"
    write_image(image, path)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        assert tif.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(tif.asarray(), image.pixels.transpose(1, 2, 0, 3, 4))
        metadata = tif.imagej_metadata
        number, per = tif.pages.first.tags["XResolution"].value
        # "um" or an escaped micron sign is all that ImageJ takes
        assert "unit=\\u00B5m" in tif.pages.first.description
    assert tif.series[0].dtype == dtype
    assert (metadata["channels"], metadata["slices"], metadata["frames"]) == (2, 3, 4)
    assert (metadata["spacing"], metadata["finterval"], metadata["mode"]) == (0.3, 2.5, "color")
    assert per / number == pytest.approx(0.0645, rel=1e-8)
    assert metadata["Info"] == "denoised\nat 20 °C"
    assert metadata["Labels"] == ["DAPI", "GFP"] * 12
    assert metadata["Ranges"] == (0.0, 100.0, 5.0, 150.5)
    np.testing.assert_array_equal(metadata["LUTs"][1], GREEN.T)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_ome_tiff(tmp_path, dtype):
    image = stack(dtype)
    path = tmp_path / "out.ome.tif"
    write_image(image, path)
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].kind == "ome"
        assert tif.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(tif.asarray(), image.pixels.transpose(1, 2, 0, 3, 4))
        ome = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
    pixels = ome["Pixels"]
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.0645, "µm")
    assert (pixels["PhysicalSizeZ"], pixels["PhysicalSizeZUnit"]) == (0.3, "µm")
    assert (pixels["TimeIncrement"], pixels["TimeIncrementUnit"]) == (2.5, "s")
    assert [channel["Name"] for channel in pixels["Channel"]] == ["DAPI", "GFP"]
    # opaque red and green as signed 32-bit numbers
    assert [channel["Color"] for channel in pixels["Channel"]] == [-16776961, 16711935]
    assert ome["Description"] == "denoised\nat 20 °C"


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
@pytest.mark.parametrize(
    ("axes", "shape", "rgb"),
    [
        ("YX", (8, 9), False),
        ("YX", (1, 1), False),
        ("YX", (2048, 3), False),
        ("YX", (3, 4), False),
        ("ZYX", (3, 8, 9), False),
        ("CYX", (3, 8, 9), False),
        ("CYX", (4, 8, 9), False),
        ("TYX", (5, 8, 9), False),
        ("YXC", (8, 9, 3), False),
        ("YXC", (8, 9, 3), True),
        ("CYX", (3, 8, 9), True),
        ("TZYXC", (2, 4, 8, 9, 3), True),
        ("TZCYX", (2, 3, 4, 8, 9), False),
        ("SCYX", (1, 2, 8, 9), False),
    ],
)
def test_pixels_and_axes_come_back(tmp_path, name, axes, shape, rgb):
    image = Image(RNG.integers(0, 255, shape).astype(np.uint8), Axes(axes), rgb=rgb)
    path = tmp_path / name
    write_image(image, path)
    back = open_image(path)
    assert back.rgb == rgb
    assert back.container == ("ome" if ".ome" in name else "imagej")
    np.testing.assert_array_equal(
        back.axes.to(back.pixels, "TZCYX"), image.axes.to(image.pixels, "TZCYX")
    )


def test_a_lookup_table_of_one_channel_comes_back(tmp_path):
    for dtype in ("uint8", "uint16", "float32"):
        display = Display(luts=(GREEN.astype(np.uint8),), ranges=((3.0, 77.0),))
        image = Image(np.ones((3, 8, 9), dtype), Axes("ZYX"), display=display)
        write_image(image, tmp_path / f"{dtype}.tif")
        back = open_image(tmp_path / f"{dtype}.tif")
        np.testing.assert_array_equal(back.display.luts[0], GREEN)
        assert back.display.ranges == ((3.0, 77.0),)
        assert back.pixels.dtype == dtype
        with tifffile.TiffFile(tmp_path / f"{dtype}.tif") as tif:
            assert (tif.pages.first.colormap[1] >> 8 == np.arange(256)).all()


def test_a_colour_picture_of_other_than_8_bits_becomes_channels(tmp_path):
    image = Image(np.ones((8, 9, 3), np.float32), Axes("YXC"), rgb=True)
    write_image(image, tmp_path / "out.tif")
    back = open_image(tmp_path / "out.tif")
    assert (back.axes, back.rgb) == ("CYX", False)


def test_container_is_kept_and_the_name_may_choose_it(tmp_path):
    write_image(stack(container="ome"), tmp_path / "kept.tif")
    write_image(stack(container="plain"), tmp_path / "plain.tif")
    write_image(stack(container="plain"), tmp_path / "named.ome.tiff")
    kinds = {path.name: open_image(path).container for path in tmp_path.iterdir()}
    assert kinds == {"kept.tif": "ome", "plain.tif": "imagej", "named.ome.tiff": "ome"}


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
def test_everything_comes_back_and_again_gives_the_same_bytes(tmp_path, name):
    first, second = tmp_path / "a" / name, tmp_path / "b" / name
    first.parent.mkdir()
    second.parent.mkdir()
    write_image(stack(), first)
    image = open_image(first)
    assert image.history == ("denoised", "at 20 °C")
    assert image.calibration.unit == "µm"
    assert image.calibration.frame_interval == 2.5
    assert image.calibration.voxel_size == pytest.approx({"Z": 0.3, "Y": 0.0645, "X": 0.0645})
    assert image.display.channel_names == ("DAPI", "GFP")
    np.testing.assert_array_equal(image.display.luts[0], RED)
    write_image(image, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"pixels": np.zeros((8, 9), np.float64)}, "type float64", id="float64"),
        pytest.param({"pixels": np.zeros((8, 9), np.int16)}, "type int16", id="int16"),
        pytest.param({"pixels": np.zeros((0, 9), np.uint8)}, "without pixels", id="no pixels"),
        pytest.param(
            {"pixels": np.zeros((2, 8, 9), np.uint8), "axes": Axes("SYX")}, "samples", id="samples"
        ),
        pytest.param({"rgb": True}, "3 channels", id="colours without channels"),
    ],
)
def test_images_that_no_tiff_holds(tmp_path, changes, expected):
    image = Image(np.zeros((8, 9), np.uint8), Axes("YX")).replace(**changes)
    with pytest.raises(ImageError, match=expected):
        write_image(image, tmp_path / "out.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("taken.tif", "exists already"),
        ("folder.tif", "is a folder"),
        ("taken.tif/out.tif", "cannot be written"),
        ("out.png", "end the name in .tif"),
        (f"{'x' * 300}.tif", "cannot be written"),
    ],
)
def test_names_that_cannot_be_written(tmp_path, name, expected):
    (tmp_path / "taken.tif").write_text("old")
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(ImageError, match=expected):
        write_image(stack(), tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tif", "taken.tif"]
    assert (tmp_path / "taken.tif").read_text() == "old"


def test_missing_folders_are_made(tmp_path):
    write_image(stack(), tmp_path / "day1" / "deep" / "out.tif")
    assert open_image(tmp_path / "day1" / "deep" / "out.tif").sizes == stack().sizes


def test_overwriting(tmp_path):
    path = tmp_path / "out.tif"
    path.write_text("old")
    image = stack()
    write_image(image, path, overwrite=True)
    assert open_image(path).sizes == image.sizes
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_program_has_open_is_told_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / "out.tif"
    path.write_text("old")
    opened = Path.open

    def as_windows_refuses(self, mode="r", *arguments, **more):
        if self == path and "+" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, *arguments, **more)

    monkeypatch.setattr(Path, "open", as_windows_refuses)
    with (
        pytest.raises(ImageError, match="open in another program or read-only"),
        create_image(stack().info, path, Storage(overwrite=True)),
    ):
        pytest.fail("this is where the work would begin")
    assert path.read_text() == "old"


@pytest.fixture
def read_only_folder():
    """A folder that this process may not write to, even where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        as_root = os.geteuid() == 0
        if as_root:
            os.seteuid(65534)
        yield folder
        if as_root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_read_only_folder(read_only_folder):
    with pytest.raises(ImageError, match="Permission denied"):
        write_image(stack(), read_only_folder / "out.tif")
    assert not list(read_only_folder.iterdir())


FILL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.images import Image, write_image

image = Image(np.ones((30, 10, 10), np.uint16), Axes("ZYX"))
path = Path(sys.argv[1])
write_image(image, path)
size = path.stat().st_size
for limit in range(size - 1, 0, -97):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_image(image, path, overwrite=True)
    except ImageError as error:
        assert "cannot be written" in str(error)
    else:
        raise SystemExit(f"wrote {size} bytes where only {limit} fit")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size == size
"""


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
def test_a_disk_that_fills_up_leaves_the_old_file_alone(tmp_path, name):
    """Whatever the byte at which writing stops (a limit on file sizes stands for a full disk)."""
    command = [sys.executable, "-c", FILL_DISK, str(tmp_path / name)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_an_inverted_lookup_table_keeps_its_colour(tmp_path, name):
    """Where a format holds one colour, that is none in which nothing is seen."""
    inverted = Display(luts=(RED[::-1].astype(np.uint8), GREEN.astype(np.uint8)))
    pixels = np.zeros((2, 8, 9), np.uint8)
    write_image(Image(pixels, Axes("CYX"), display=inverted), tmp_path / name)
    luts = open_image(tmp_path / name).display.luts
    assert [lut[255].tolist() for lut in luts] == [[255, 0, 0], [0, 255, 0]]
