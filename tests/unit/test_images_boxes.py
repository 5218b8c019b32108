"""Files read box by box: the same pixels as whole, only what is needed, in little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import ImageError
from care_bridge.images import open_source
from care_bridge.images.source import boxes_of, whole

RNG = np.random.default_rng(5)
STACK = RNG.integers(0, 250, (2, 3, 4, 50, 37))  # T Z C Y X
COLOURS = RNG.integers(0, 250, (5, 50, 37, 3))  # Z Y X S

GRAY = {"photometric": "minisblack"}
KINDS = {
    "imagej": {"imagej": True},
    "one table": {"imagej": True, "truncate": True},
    "ome": {"ome": True, **GRAY},
    "plain": GRAY,
    "big endian": {"byteorder": ">", **GRAY},
    "bigtiff": {"bigtiff": True, **GRAY},
    "strips": {"rowsperstrip": 7, **GRAY},
    "tiles": {"tile": (16, 32), **GRAY},
    "zlib": {"compression": "zlib", **GRAY},
    "zlib strips big endian": {"compression": "zlib", "rowsperstrip": 7, "byteorder": ">", **GRAY},
    "zlib tiles ome": {"compression": "zlib", "tile": (32, 16), "ome": True, **GRAY},
}


def assert_read_by_boxes(path, pixels):
    """pixels: the whole file in STCZYX order, as another reader has it."""
    with open_source(path) as source:
        assert source.info.canonical_shape == pixels.shape
        assert source.info.dtype == pixels.dtype
        boxes = [*boxes_of(whole(source.info), source.pieces, 4000)]
        boxes += [random_box(pixels.shape) for _ in range(20)]
        for box in boxes:
            part = source.read(box)
            np.testing.assert_array_equal(part, pixels[box])
            part[...] = 0  # the reader's own to change


def random_box(shape):
    edges = [sorted(RNG.choice(size + 1, 2, replace=False)) for size in shape]
    return tuple(slice(int(start), int(stop)) for start, stop in edges)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_box_of_a_stack(tmp_path, kind, dtype):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, STACK.astype(dtype), metadata={"axes": "TZCYX"}, **KINDS[kind])
    assert_read_by_boxes(path, Axes("TZCYX").to(tifffile.imread(path), CANONICAL).astype(dtype))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="contiguous"),
        pytest.param({"byteorder": ">"}, id="big endian"),
        pytest.param({"compression": "zlib", "tile": (16, 16)}, id="tiles"),
        pytest.param({"ome": True, "compression": "zlib", "rowsperstrip": 9}, id="ome strips"),
    ],
)
def test_any_box_of_colour_pictures(tmp_path, options):
    path = tmp_path / "image.tif"
    tifffile.imwrite(
        path, COLOURS.astype("uint8"), photometric="rgb", metadata={"axes": "ZYXS"}, **options
    )
    pixels = tifffile.imread(path)
    assert_read_by_boxes(path, Axes("ZYXC").to(pixels, CANONICAL))


def test_any_box_of_planes_of_colours(tmp_path):
    path = tmp_path / "image.tif"
    planes = np.ascontiguousarray(COLOURS.transpose(0, 3, 1, 2)).astype("uint8")
    tifffile.imwrite(
        path,
        planes,
        photometric="rgb",
        planarconfig="separate",
        compression="zlib",
        ome=True,
        metadata={"axes": "ZSYX"},
    )
    assert_read_by_boxes(path, Axes("ZCYX").to(tifffile.imread(path), CANONICAL))


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}])
def test_float64_becomes_float32_in_every_box(tmp_path, options):
    path = tmp_path / "image.tif"
    pixels = RNG.normal(size=(4, 50, 37))
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"}, photometric="minisblack", **options)
    assert_read_by_boxes(path, Axes("ZYX").to(pixels.astype("float32"), CANONICAL))


def test_pages_of_which_one_is_scattered(tmp_path):
    """tifffile takes all pages for contiguous where the first one is."""
    path = tmp_path / "image.tif"
    pixels = RNG.integers(1, 60000, (3, 40, 30)).astype("uint16")
    options = {"photometric": "minisblack", "metadata": None, "contiguous": False}
    with tifffile.TiffWriter(path) as writer:
        for plane in pixels:
            writer.write(plane, rowsperstrip=10, **options)
    with tifffile.TiffFile(path) as tif:
        strips = tif.pages[1].dataoffsets
        place = tif.pages[1].aspage().tags["StripOffsets"].valueoffset
    content = bytearray(path.read_bytes())
    first, second = (content[start : start + 600] for start in strips[:2])
    content[strips[0] : strips[0] + 1200] = second + first
    content[place : place + 8] = b"".join(n.to_bytes(4, "little") for n in (strips[1], strips[0]))
    path.write_bytes(content)
    with open_source(path, "ZYX") as source:
        np.testing.assert_array_equal(source.read(whole(source.info))[0, 0, 0], pixels)


def bytes_read():
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts the bytes read on Linux")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"compression": "zlib", "rowsperstrip": 64}, id="strips"),
        pytest.param({"compression": "zlib", "tile": (256, 256)}, id="tiles"),
    ],
)
def test_only_what_a_box_touches_is_read_and_once(tmp_path, options):
    path = tmp_path / "image.tif"
    noise = RNG.integers(0, 65536, (4, 1024, 1024)).astype("uint16")  # does not become smaller
    tifffile.imwrite(path, noise, metadata={"axes": "ZYX"}, photometric="minisblack", **options)
    with open_source(path) as source:
        before = bytes_read()
        source.read((slice(0, 1), slice(0, 1), slice(0, 1), slice(2, 3), slice(0, 9), slice(0, 9)))
        assert bytes_read() - before < 1.2 * noise[0].nbytes / 16
        before = bytes_read()
        for z in range(4):
            for y in range(0, 1024, 128):  # tiles of 128 with a halo of 32
                for x in range(0, 1024, 128):
                    rows = slice(max(y - 32, 0), min(y + 160, 1024))
                    columns = slice(max(x - 32, 0), min(x + 160, 1024))
                    box = (slice(0, 1), slice(0, 1), slice(0, 1), slice(z, z + 1), rows, columns)
                    np.testing.assert_array_equal(
                        source.read(box)[0, 0, 0, 0], noise[z, rows, columns]
                    )
        assert bytes_read() - before < 1.05 * noise.nbytes


READ_ALL = """
import sys
from pathlib import Path
import numpy as np
from care_bridge.images import open_source
from care_bridge.images.source import boxes_of, whole

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

with open_source(Path(sys.argv[1])) as source:
    before = peak()
    pixels = 0
    for box in boxes_of(whole(source.info), source.pieces, 1 << 22):
        pixels += source.read(box).size
    print(pixels, peak() - before - 2 * (1 << 22) - source.memory)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak on Linux")
@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_memory_does_not_grow_with_the_file(tmp_path, compression):
    path = tmp_path / "image.tif"
    shape = (64, 2048, 2048)  # 512 MiB of zeros
    if compression == "none":
        tifffile.imwrite(path, None, shape=shape, dtype="uint16", imagej=True)
    else:
        tifffile.imwrite(
            path,
            (np.zeros(shape[1:], "uint16") for _ in range(shape[0])),
            shape=shape,
            dtype="uint16",
            compression="zlib",
            photometric="minisblack",
            metadata={"axes": "ZYX"},
        )
    result = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(path)], capture_output=True, text=True, check=True
    )
    pixels, surplus = map(int, result.stdout.split())
    assert pixels == 64 * 2048 * 2048
    assert surplus < 24 << 20


def test_a_movie_of_ten_thousand_pages_opens_at_once(tmp_path):
    path = tmp_path / "movie.ome.tif"
    frames = np.arange(10_000, dtype="uint16")[:, None, None] * np.ones((2, 3), "uint16")
    tifffile.imwrite(path, frames, metadata={"axes": "TYX"}, photometric="minisblack")
    box = (slice(0, 1), slice(7777, 7779), slice(0, 1), slice(0, 1), slice(1, 2), slice(0, 3))
    with open_source(path) as source:
        assert source.read(box).ravel().tolist() == [7777] * 3 + [7778] * 3


def test_a_file_that_gets_shorter_while_it_is_read(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.ones((64, 64), "uint16"))
    with open_source(path) as source:
        with path.open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(ImageError, match="changed while it was read") as caught:
            source.read(whole(source.info))
    assert "\n" not in str(caught.value)


def test_errors_of_whoever_reads_pass_as_they_are(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.ones((8, 9), "uint16"))
    with pytest.raises(KeyError), open_source(path):
        raise KeyError
