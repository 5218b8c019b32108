"""Writing OME-Zarr: what ngff-zarr, another implementation, reads of it; whole or not at all."""

import itertools
import subprocess
import sys
from pathlib import Path

import ngff_zarr
import numpy as np
import pytest

from care_bridge.atomic import remove_leftovers
from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.images import (
    Calibration,
    Display,
    Image,
    ImageInfo,
    Storage,
    create_image,
    open_image,
    write_image,
    zarr_chunks,
)
from care_bridge.images.source import ImageInMemory
from care_bridge.images.zarr_folder import begin, commit, recover
from care_bridge.images.zarr_layout import chunk_shape, level_factors
from care_bridge.images.zarr_sink import finish_zarr, prepare_zarr

RNG = np.random.default_rng(0)
PLAIN = Storage()
CONTAINERS = ("zarr0.4", "zarr0.5")
RED, GREEN = (
    (np.arange(256)[:, None] * np.array(color) // 255).astype(np.uint8)
    for color in ([255, 0, 0], [0, 255, 0])
)


def stack(dtype="uint16", shape=(2, 4, 3, 40, 50), axes="CTZYX", **fields):
    described = {
        "calibration": Calibration({"Z": 0.3, "Y": 0.0645, "X": 0.0645}, "µm", 2.5),
        "display": Display(
            (RED, GREEN), ((0.0, 100.0), (5.0, 150.5)), ("DAPI", "GFP"), "grayscale"
        ),
        "history": ("denoised", "at 20 °C"),
    }
    pixels = RNG.integers(0, 200, shape).astype(dtype)
    return Image(pixels, Axes(axes), **(described | fields))


def boxes(shape, steps):
    """Boxes of `steps` that cover `shape`, in reading order."""
    cuts = [
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(shape, steps, strict=True)
    ]
    return list(itertools.product(*cuts))


def write_boxes(image, path, steps, storage=PLAIN, order=lambda all_boxes: all_boxes):
    source = ImageInMemory(image)
    with create_image(image.info, path, storage) as sink:
        for box in order(boxes(image.info.canonical_shape, steps)):
            sink.write(box, source.read(box))


def contents(folder: Path):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_ngff_zarr_reads_it(tmp_path, container, compression, dtype):
    image = stack(dtype, container=container)
    path = tmp_path / "stack.ome.zarr"
    write_boxes(image, path, (1, 4, 2, 3, 40, 50), Storage(compression=compression))
    version = container.removeprefix("zarr")
    assert (path / "zarr.json").exists() == (version == "0.5")
    read = ngff_zarr.from_ngff_zarr(str(path), validate=True, version=version)
    full = read.images[0]
    assert full.dims == ("t", "c", "z", "y", "x")
    assert full.data.dtype == dtype
    np.testing.assert_array_equal(full.data, image.pixels.swapaxes(0, 1))
    assert full.scale == {"t": 2.5, "c": 1.0, "z": 0.3, "y": 0.0645, "x": 0.0645}
    assert {full.axes_units[axis] for axis in "zyx"} == {"micrometer"}
    assert full.axes_units["t"] == "second"
    channels = read.metadata.omero.channels
    assert [channel.label for channel in channels] == ["DAPI", "GFP"]
    assert [channel.color for channel in channels] == ["FF0000", "00FF00"]
    assert [(channel.window.start, channel.window.end) for channel in channels] == [
        (0, 100),
        (5, 150.5),
    ]


@pytest.mark.parametrize("container", CONTAINERS)
def test_it_comes_back(tmp_path, container):
    image = stack(container=container)
    write_image(image, tmp_path / "a.zarr")
    read = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read.axes.to(read.pixels, "CTZYX"), image.pixels)
    assert read.calibration == image.calibration
    assert read.history == image.history
    assert read.container == container
    assert read.display.channel_names == image.display.channel_names
    assert read.display.ranges == image.display.ranges
    assert read.display.mode == "grayscale"
    np.testing.assert_array_equal(read.display.luts, image.display.luts)


def test_what_came_as_tiff_becomes_0_4(tmp_path):
    write_image(stack(container="imagej"), tmp_path / "a.zarr")
    assert open_image(tmp_path / "a.zarr").container == "zarr0.4"


def test_a_plain_image_and_a_colour_picture(tmp_path):
    plain = Image(RNG.random((30, 20), np.float32), Axes("XY"))
    write_image(plain, tmp_path / "plain.zarr")
    read = open_image(tmp_path / "plain.zarr")
    np.testing.assert_array_equal(read.pixels, plain.pixels.T)
    assert read.calibration == Calibration()
    low, high = read.display.ranges[0]
    assert plain.pixels.min() <= low < high <= plain.pixels.max()
    rgb = Image(RNG.integers(0, 99, (8, 9, 3), np.uint8), Axes("YXC"), rgb=True)
    write_image(rgb, tmp_path / "rgb.zarr")
    read = open_image(tmp_path / "rgb.zarr")
    assert read.rgb
    assert read.display.ranges == ((0, 255),) * 3
    assert [lut[255].tolist() for lut in read.display.luts] == np.diag([255] * 3).tolist()
    np.testing.assert_array_equal(read.pixels, rgb.pixels.transpose(2, 0, 1))


def test_what_cannot_be_written(tmp_path):
    samples = Image(np.zeros((2, 8, 8), np.uint8), Axes("SYX"))
    with pytest.raises(ImageError, match="has no axis for samples"):
        write_image(samples, tmp_path / "a.zarr")
    with pytest.raises(ImageError, match="pixels of type int16"):
        write_image(Image(np.zeros((8, 8), np.int16), Axes("YX")), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


ORDERS = {
    "reading order": lambda all_boxes: all_boxes,
    "backwards": lambda all_boxes: all_boxes[::-1],
    "shuffled": lambda all_boxes: list(np.random.default_rng(1).permutation(len(all_boxes))),
}


@pytest.mark.parametrize("limit", [1 << 20, 64 << 20], ids=["spilling", "in memory"])
@pytest.mark.parametrize("order", ORDERS)
def test_any_boxes_give_the_same_bytes(tmp_path, monkeypatch, order, limit):
    image = stack("uint16", (2, 19, 700, 600), "TZYX", display=Display())
    storage = Storage(compression="zlib", multiscale=True)
    write_boxes(image, tmp_path / "whole.zarr", image.info.canonical_shape, storage)
    monkeypatch.setattr(zarr_chunks.ChunkWriter, "LIMIT", limit)

    def ordered(all_boxes):
        chosen = ORDERS[order](all_boxes)
        return [all_boxes[n] for n in chosen] if order == "shuffled" else chosen

    write_boxes(image, tmp_path / "tiles.zarr", (1, 1, 1, 5, 200, 300), storage, ordered)
    expected, got = contents(tmp_path / "whole.zarr"), contents(tmp_path / "tiles.zarr")
    expected[".zattrs"] = expected[".zattrs"].replace(b'"whole"', b'"tiles"')
    assert got == expected


def test_each_chunk_is_written_once(tmp_path, monkeypatch):
    from zarr.storage import LocalStore

    written = []
    put = LocalStore.set

    async def counted(self, key, value):
        written.append(key)
        await put(self, key, value)

    monkeypatch.setattr(LocalStore, "set", counted)
    image = stack("uint16", (19, 700, 600), "ZYX")
    write_boxes(image, tmp_path / "a.zarr", (1, 1, 1, 4, 123, 77))
    chunks = [key for key in written if key.startswith("0/") and "/.z" not in key]
    assert len(set(chunks)) == len(chunks) == 3 * 2 * 2


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_smaller_copies(tmp_path, container, dtype):
    image = stack(
        dtype,
        (2, 7, 1101, 600),
        "CZYX",
        container=container,
        calibration=Calibration({"Z": 0.1, "Y": 0.1, "X": 0.1}, "µm"),
    )
    path = tmp_path / "a.ome.zarr"
    write_boxes(image, path, (1, 1, 1, 7, 400, 600), Storage(multiscale=True))
    read = ngff_zarr.from_ngff_zarr(str(path), validate=True)
    shapes = [level.data.shape for level in read.images]
    assert shapes == [(2, 7, 1101, 600), (2, 3, 550, 300), (2, 1, 275, 150)]
    exact = image.pixels.astype(np.float64)
    for level, larger in itertools.pairwise(read.images[::-1]):
        exact = np.asarray(larger.data, np.float64)
        z, y, x = level.data.shape[1:]
        means = exact[:, : 2 * z, : 2 * y, : 2 * x].reshape(2, z, 2, y, 2, x, 2).mean((2, 4, 6))
        tolerance = 1e-4 if dtype == "float32" else 0.5
        np.testing.assert_allclose(level.data, means, rtol=0, atol=tolerance)
    # a voxel of the second copy covers four of the image's: its centre is 1.5 of them on
    for axis in "zyx":
        assert read.images[2].scale[axis] == pytest.approx(0.4)
        assert read.images[2].translation[axis] == pytest.approx(0.15)
        assert read.images[0].translation[axis] == 0


def test_depth_is_halved_where_voxels_are_not_much_deeper_than_high():
    sizes = {"Z": 100, "Y": 2048, "X": 2048}
    assert level_factors(sizes, {"Z": 0.3, "Y": 0.1, "X": 0.1}) == [
        {"Y": 2, "X": 2},  # voxels of 0.3 x 0.2
        {"Y": 2, "X": 2, "Z": 2} if 0.3 < 0.2 * 2**0.5 else {"Y": 2, "X": 2},  # 0.3 x 0.4
    ]
    assert level_factors(sizes, {}) == [{"Y": 2, "X": 2}] * 2
    assert level_factors({"Y": 1, "X": 2000}, {}) == [{"X": 2}] * 2
    assert level_factors({"Y": 512, "X": 512}, {}) == []


@pytest.mark.parametrize(
    ("sizes", "itemsize", "expected"),
    [
        ({"Z": 100, "Y": 1024, "X": 2048}, 2, (8, 512, 512)),
        ({"Z": 100, "Y": 2048, "X": 2048}, 2, (4, 512, 512)),
        ({"Z": 100, "Y": 2048, "X": 2048}, 4, (2, 512, 512)),
        ({"Z": 3, "Y": 2048, "X": 2048}, 1, (3, 512, 512)),
        ({"Z": 100, "Y": 20480, "X": 20480}, 2, (1, 1024, 1024)),
        ({"T": 9, "C": 2, "Y": 4096, "X": 4096}, 4, (1, 1, 1024, 1024)),
        ({"Y": 1030, "X": 100}, 2, (515, 100)),
        ({"Z": 50, "Y": 128, "X": 128}, 4, (50, 128, 128)),
        ({"Z": 10, "Y": 700, "X": 1300}, 2, (5, 350, 434)),
    ],
)
def test_chunks(sizes, itemsize, expected):
    assert chunk_shape(sizes, itemsize) == expected


def test_a_name_that_is_taken(tmp_path):
    first = stack()
    write_image(first, tmp_path / "a.zarr")
    with pytest.raises(ImageError, match="exists already"):
        write_image(stack(), tmp_path / "a.zarr")
    second = stack("float32")
    write_image(second, tmp_path / "a.zarr", overwrite=True)
    assert open_image(tmp_path / "a.zarr").pixels.dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_what_is_no_zarr_is_never_replaced(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("all of it")
    (tmp_path / "b.zarr").write_text("a file")
    for name in ("a.zarr", "b.zarr"):
        with pytest.raises(ImageError, match="is no Zarr: choose another name"):
            write_image(stack(), tmp_path / name, overwrite=True)
    assert (tmp_path / "a.zarr" / "thesis.txt").read_text() == "all of it"


def test_an_error_leaves_what_was_there(tmp_path):
    first = stack()
    write_image(first, tmp_path / "a.zarr")
    before = contents(tmp_path)
    storage = Storage(overwrite=True)
    with pytest.raises(ZeroDivisionError), create_image(first.info, tmp_path / "a.zarr", storage):
        raise ZeroDivisionError
    assert contents(tmp_path) == before


@pytest.mark.parametrize("y", [20, 40], ids=["parts of chunks", "whole chunks"])
def test_pixels_that_were_not_written(tmp_path, y):
    image = stack()
    # of 8 chunks, each with all slices of a channel and frame, 4 are touched
    box = tuple(slice(0, size) for size in (1, 2, 2, 3, y, 50))
    with (
        pytest.raises(ImageError, match="lacks pixels in 4 chunks"),
        create_image(image.info, tmp_path / "a.zarr") as sink,
    ):
        sink.write(box, ImageInMemory(image).read(box))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["between the renames", "before the old one goes"])
def test_what_a_killed_run_was_replacing_comes_back(tmp_path, moment):
    path, old, new = tmp_path / "a.zarr", stack(), stack("float32")
    write_image(old, path)
    write_image(new, tmp_path / "new.zarr")
    path.rename(tmp_path / ".a.zarr.old")
    if moment == "before the old one goes":
        (tmp_path / "new.zarr").rename(path)
    recover(path)
    assert not (tmp_path / ".a.zarr.old").exists()
    expected = new if moment == "before the old one goes" else old
    assert open_image(path).pixels.dtype == expected.pixels.dtype


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from care_bridge.atomic import remove_leftovers
from care_bridge.axes import Axes
from care_bridge.images import ImageInfo, Storage, create_image
info = ImageInfo(Axes("ZYX"), (4, 600, 600), np.dtype("u2"))
with create_image(info, Path(sys.argv[1]), Storage(overwrite=True)) as sink:
    for z in range(3):
        box = (slice(0, 1),) * 3 + (slice(z, z + 1), slice(0, 600), slice(0, 600))
        sink.write(box, np.ones((1, 1, 1, 1, 600, 600), "u2"))
    os._exit(9)
"""


def test_killed_while_writing(tmp_path):
    path = tmp_path / "a.zarr"
    image = stack()
    write_image(image, path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(
        open_image(path).pixels, image.pixels.swapaxes(0, 1), "what was there is as it was"
    )
    write_image(stack("float32"), path, overwrite=True)
    assert remove_leftovers(tmp_path) == 1
    assert [found.name for found in tmp_path.iterdir()] == ["a.zarr"]


def test_two_writers_of_one_name_do_not_meet(tmp_path):
    path = tmp_path / "a.zarr"
    info = ImageInfo(Axes("YX"), (600, 600), np.dtype("u2"))
    halves = [(slice(0, 1),) * 4 + (slice(y, y + 300), slice(0, 600)) for y in (0, 300)]
    ones, twos = (np.full((1, 1, 1, 1, 300, 600), number, "u2") for number in (1, 2))
    later = create_image(info, path)
    sink = later.__enter__()
    with create_image(info, path) as first:
        first.write(halves[0], ones)
        for half in halves:
            sink.write(half, twos)
        first.write(halves[1], ones)
    with pytest.raises(ImageError, match="exists already"):
        later.__exit__(None, None, None)
    np.testing.assert_array_equal(open_image(path).pixels, 1)
    assert [found.name for found in tmp_path.iterdir()] == ["a.zarr"]


def test_a_name_that_cannot_be_given_leaves_what_had_it(tmp_path, monkeypatch):
    path, image = tmp_path / "a.zarr", stack()
    write_image(image, path)
    partial = begin(path, overwrite=True)

    rename = Path.rename

    def refused(self, target):
        if self == partial:
            raise PermissionError(13, "open in another program")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        commit(partial, path, overwrite=True)
    np.testing.assert_array_equal(open_image(path).pixels, image.pixels.swapaxes(0, 1))


REGION = """
import sys
from pathlib import Path
import numpy as np
from care_bridge.images.zarr_sink import open_for_regions
partial, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with open_for_regions(partial, Path("a.zarr")) as sink:
    assert sink.pieces == (1, 1, 1, 8, 300, 300)
    box = (slice(0, 1),) * 3 + (slice(first, last), slice(0, 600), slice(0, 600))
    levels = np.arange(first, last, dtype="u2").reshape(1, 1, 1, -1, 1, 1)
    sink.write(box, np.broadcast_to(levels, (1, 1, 1, last - first, 600, 600)))
"""


def test_several_processes_fill_one_image(tmp_path):
    path = tmp_path / "a.zarr"
    info = ImageInfo(Axes("ZYX"), (16, 600, 600), np.dtype("u2"), history=("in parts",))
    storage = Storage(compression="zlib", multiscale=True)
    partial = prepare_zarr(info, path, storage)
    workers = [
        subprocess.Popen([sys.executable, "-c", REGION, str(partial), *map(str, part)])
        for part in ((0, 8), (8, 16))
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert not path.exists()
    unfinished = partial / "0" / "0.0.1234.partial"  # a killed worker's
    unfinished.write_bytes(b"half")
    finish_zarr(info, partial, path, storage)
    assert not list(path.rglob("*.partial"))
    read = open_image(path)
    np.testing.assert_array_equal(
        read.pixels, np.broadcast_to(np.arange(16)[:, None, None], (16, 600, 600))
    )
    assert read.history == ("in parts",)
    assert (path / "1" / ".zarray").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["a.zarr"]
