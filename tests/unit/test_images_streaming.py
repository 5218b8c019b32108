"""Files written box by box: the same bytes as whole, as other readers see them, whole or not at
all."""

import subprocess
import sys
from pathlib import Path

import bioio_ome_tiff
import numpy as np
import pytest
import tifffile
from bioio import BioImage

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import ConfigError, ImageError
from care_bridge.images import (
    Calibration,
    Display,
    Image,
    ImageInfo,
    Storage,
    create_image,
    open_image,
    write_image,
)
from care_bridge.images.source import boxes_of, whole

RNG = np.random.default_rng(3)
NAMES = ["out.tif", "out.ome.tif"]
COMPRESSIONS = ["none", "zlib"]


def image(axes="CTZYX", shape=(2, 4, 3, 50, 37), dtype="uint16", **fields):
    described = {
        "calibration": Calibration({"Z": 0.3, "Y": 0.0645, "X": 0.0645}, "µm", 2.5),
        "display": Display(channel_names=("DAPI", "GFP")),
        "history": ("denoised",),
    }
    return Image(RNG.integers(0, 200, shape).astype(dtype), Axes(axes), **(described | fields))


def write_shuffled(picture, path, storage, most_pixels=2000):
    pixels = picture.axes.to(picture.pixels, CANONICAL)
    boxes = list(boxes_of(whole(picture.info), (1, 1, 2, 1, 16, 16), most_pixels))
    with create_image(picture.info, path, storage) as sink:
        for number in RNG.permutation(len(boxes)):
            sink.write(boxes[number], pixels[boxes[number]])


CASES = {
    "stack": image(),
    "float": image(dtype="float32"),
    "plane": image("YX", (70, 81), "uint8"),
    "pixel": image("YX", (1, 1)),
    "colours": image("TZYXC", (2, 3, 40, 50, 3), "uint8", rgb=True),
    "colour planes": image("CYX", (3, 40, 50), "uint8", rgb=True),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_boxes_in_any_order_give_the_bytes_of_the_whole(tmp_path, case, name, compression):
    picture = CASES[case]
    pixels = picture.axes.to(picture.pixels, CANONICAL)
    with create_image(picture.info, tmp_path / name, Storage("auto", compression)) as sink:
        sink.write(whole(picture.info), pixels)
    write_shuffled(picture, tmp_path / "shuffled" / name, Storage("auto", compression))
    written = (tmp_path / name).read_bytes()
    assert (tmp_path / "shuffled" / name).read_bytes() == written
    if compression == "none":
        write_image(picture, tmp_path / "whole" / name)
        assert (tmp_path / "whole" / name).read_bytes() == written
    with tifffile.TiffFile(tmp_path / name) as tif:
        assert tif.pages.first.compression == {"none": 1, "zlib": 8}[compression]
        stored = tif.asarray()
    order = "TZYXC" if picture.rgb else "TZCYX"
    np.testing.assert_array_equal(stored, picture.axes.to(picture.pixels, order).squeeze())


@pytest.mark.filterwarnings("ignore:As of version:DeprecationWarning")
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_independent_reader_of_ome_tiff_sees_the_same(tmp_path, compression):
    picture = image()
    write_shuffled(picture, tmp_path / "out.ome.tif", Storage("ome", compression))
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tif:
        assert tif.series[0].axes == "TZCYX"
    read = BioImage(tmp_path / "out.ome.tif", reader=bioio_ome_tiff.Reader)  # checks the schema
    assert read.dims.order == "TCZYX"
    np.testing.assert_array_equal(read.data, picture.axes.to(picture.pixels, "TCZYX"))
    assert tuple(read.physical_pixel_sizes) == (0.3, 0.0645, 0.0645)
    assert read.channel_names == ["DAPI", "GFP"]


def test_different_pixels_give_ome_files_different_ids(tmp_path):
    ids = set()
    for number in range(3):
        picture = image("YX", (20, 30)).replace(pixels=np.full((20, 30), number, "uint16"))
        write_image(picture, tmp_path / f"{number}.ome.tif")
        xml = tifffile.TiffFile(tmp_path / f"{number}.ome.tif").ome_metadata
        ids.add(xml.split('UUID="')[1][:45])
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("name", "pages", "big"), [("out.tif", 1, False), ("out.ome.tif", 24, True)]
)
def test_above_four_gigabytes(tmp_path, monkeypatch, name, pages, big):
    """With the limit at a few planes: a file of the true size takes too long."""
    monkeypatch.setattr("care_bridge.images.tiff_tables._CLASSIC_BYTES", 10_000)
    picture = image()
    write_shuffled(picture, tmp_path / name, Storage())
    with tifffile.TiffFile(tmp_path / name) as tif:
        assert len(tif.pages) == pages
        assert tif.is_bigtiff == big
        np.testing.assert_array_equal(tif.asarray(), picture.axes.to(picture.pixels, "TZCYX"))
    back = open_image(tmp_path / name)
    np.testing.assert_array_equal(back.pixels, picture.axes.to(picture.pixels, "TZCYX"))


def test_what_compressed_imagej_files_cannot_hold_is_said_at_once(tmp_path):
    info = ImageInfo(Axes("ZYX"), (3000, 1000, 1000), np.dtype("uint16"))
    with (
        pytest.raises(ImageError, match="OME-TIFF"),
        create_image(info, tmp_path / "out.tif", Storage(compression="zlib")),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_plane_that_imagej_files_cannot_hold_is_said_at_once(tmp_path):
    info = ImageInfo(Axes("YX"), (2**15, 2**15), np.dtype("float32"))
    with (
        pytest.raises(ImageError, match=r"32768 x 32768 pixels of float32 .* format ome or zarr"),
        create_image(info, tmp_path / "out.tif"),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_too_small_is_found_before_anything_is_computed(tmp_path, name):
    info = ImageInfo(Axes("TYX"), (10**4, 10**4, 10**4), np.dtype("uint16"))
    with (
        pytest.raises(ImageError, match=r"needs 2000000\.0 MB, but only"),
        create_image(info, tmp_path / name),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ImageError])
def test_an_error_on_the_way_leaves_what_was_there(tmp_path, error, compression):
    picture, path = image(), tmp_path / "out.tif"
    path.write_text("old")
    pixels = picture.axes.to(picture.pixels, CANONICAL)

    def write_and_fail():
        with create_image(picture.info, path, Storage("auto", compression, overwrite=True)) as sink:
            sink.write(whole(picture.info), pixels)
            raise error("mine")

    with pytest.raises(error, match="^mine$"):
        write_and_fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_file_that_lacks_pixels_gets_no_name(tmp_path, compression):
    picture = image("YX", (8, 9))
    box = (*[slice(0, 1)] * 4, slice(0, 8), slice(0, 5))
    with (
        pytest.raises(ImageError, match="32 pixels are missing"),
        create_image(picture.info, tmp_path / "out.tif", Storage("auto", compression)) as sink,
    ):
        sink.write(box, picture.axes.to(picture.pixels, CANONICAL)[box])
    assert not list(tmp_path.iterdir())


FILL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.images import ImageInfo, Storage, create_image
from care_bridge.images.source import whole

info = ImageInfo(Axes("ZYX"), (30, 10, 10), np.dtype("u2"))
pixels = np.random.default_rng(0).integers(0, 65536, info.canonical_shape).astype("u2")
path = Path(sys.argv[1])
path.write_text("old")
for limit in range(0, 6000, 97):  # 6000 bytes of pixels
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with create_image(info, path, Storage(compression="zlib", overwrite=True)) as sink:
            sink.write(whole(info), pixels)
    except ImageError as error:
        assert "cannot be written" in str(error)
    else:
        raise SystemExit(f"wrote where only {limit} bytes fit")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "old"
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fills_up_while_compressing(tmp_path, name):
    command = [sys.executable, "-c", FILL_DISK, str(tmp_path / name)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


WRITE_ALL = """
import sys
from pathlib import Path
import numpy as np
from care_bridge.axes import Axes
from care_bridge.images import ImageInfo, Storage, create_image
from care_bridge.images.source import boxes_of, whole

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

info = ImageInfo(Axes("ZYX"), (64, 1024, 1024), np.dtype("u2"))
boxes = list(boxes_of(whole(info), (1, 1, 1, 1, 256, 256), 1 << 22))
pixels = np.zeros([bounds.stop - bounds.start for bounds in boxes[0]], "u2")
path, storage = Path(sys.argv[1]), Storage("ome", sys.argv[2], overwrite=True)
# what is loaded at the first file does not count
with create_image(info.replace(shape=(1, 8, 8)), path, storage) as sink:
    sink.write(whole(sink.info), np.zeros((1, 1, 1, 1, 8, 8), "u2"))
before = peak()
with create_image(info, path, storage) as sink:
    for box in boxes:
        sink.write(box, pixels)
print(peak() - before - sink.memory)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak on Linux")
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_memory_does_not_grow_with_the_file(tmp_path, compression):
    command = [sys.executable, "-c", WRITE_ALL, str(tmp_path / "out.tif"), compression]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 16 << 20
    assert (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(
    ("size", "unit", "stored", "stored_unit"),
    [
        (2.5e-10, "m", 2.5e-4, "µm"),
        (5e12, "nm", 5e6, "mm"),
        (1e-4, "µm", 1e-4, "µm"),
        (6.45e-8, "m", 6.45e-8, "m"),
    ],
)
def test_voxel_sizes_that_no_tiff_can_hold_get_another_unit(
    tmp_path, size, unit, stored, stored_unit
):
    calibration = Calibration({"Z": 2 * size, "Y": size, "X": size}, unit)
    write_image(image(calibration=calibration), tmp_path / "out.tif")
    back = open_image(tmp_path / "out.tif").calibration
    assert back.unit == stored_unit
    assert back.voxel_size == pytest.approx({"Z": 2 * stored, "Y": stored, "X": stored}, rel=1e-6)


def test_voxel_sizes_that_fit_in_no_unit_are_one_line(tmp_path):
    calibration = Calibration({"Y": 1e-20, "X": 1e-20}, "furlong")
    with pytest.raises(ImageError, match="furlong.*correct the calibration") as caught:
        write_image(image(calibration=calibration), tmp_path / "out.tif")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "file_format", "expected"),
    [
        ("a.tif", "auto", "a.tif"),
        ("a.ome.TIFF", "auto", "a.ome.TIFF"),
        ("a.zarr", "auto", "a.zarr"),
        ("a.b.czi", "auto", "a.b.ome.tif"),
        ("a.ome.tif", "imagej", "a.tif"),
        ("a.ome.zarr", "imagej", "a.tif"),
        ("a.tif", "imagej", "a.tif"),
        ("a.tiff", "ome", "a.ome.tif"),
        ("a.nd2", "ome", "a.ome.tif"),
        ("a.tif", "zarr", "a.ome.zarr"),
        ("a.ome.tif", "zarr", "a.ome.zarr"),
        ("a.zarr", "zarr", "a.zarr"),
    ],
)
def test_names_of_results(name, file_format, expected):
    assert Storage(file_format).name(name) == expected


@pytest.mark.parametrize(
    ("name", "file_format", "expected"),
    [
        ("a.tif", "zarr", 'name it "a.ome.zarr"'),
        ("a.zarr", "ome", 'name it "a.ome.tif"'),
        ("a.ome.tif", "imagej", 'name it "a.tif"'),
        ("a.png", "auto", "end the name in .tif"),
        ("a.czi", "ome", "end the name in .tif"),
    ],
)
def test_names_that_contradict_the_format(tmp_path, name, file_format, expected):
    with pytest.raises(ImageError, match=expected):
        create_image(image().info, tmp_path / name, Storage(file_format))


def test_the_format_decides_over_what_the_image_came_in(tmp_path):
    for file_format, kind in (("imagej", "imagej"), ("ome", "ome"), ("auto", "ome")):
        write_shuffled(
            image(container="ome"), tmp_path / "a.tif", Storage(file_format, overwrite=True)
        )
        assert tifffile.TiffFile(tmp_path / "a.tif").series[0].kind == kind


@pytest.mark.parametrize("options", [{"format": "png"}, {"compression": "lzw"}])
def test_unknown_storage_is_refused(options):
    with pytest.raises(ConfigError, match="use one of"):
        Storage(**options)
