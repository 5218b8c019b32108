"""Files that cannot be worked with: each is one line that says what to do."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from care_bridge.errors import CareBridgeError, ImageError
from care_bridge.images import open_image

PIXELS = np.random.default_rng(0).integers(1, 60000, (3, 2, 16, 17), dtype=np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"imagej": True, "metadata": {"axes": "ZCYX", "Info": "i" * 50}}, id="imagej"),
        pytest.param({"imagej": True, "metadata": {"axes": "ZCYX"}, "truncate": True}, id="4GB"),
        pytest.param({"ome": True, "metadata": {"axes": "ZCYX"}}, id="ome"),
        pytest.param(
            {"ome": True, "metadata": {"axes": "ZCYX"}, "compression": "zlib"}, id="ome zlib"
        ),
        pytest.param({"metadata": {"axes": "ZCYX"}}, id="plain"),
        pytest.param({"metadata": {"axes": "ZCYX"}, "compression": "zlib"}, id="zlib"),
        pytest.param({"metadata": {"axes": "ZCYX"}, "tile": (16, 16)}, id="tiles"),
        pytest.param({"metadata": {"axes": "ZCYX"}, "rowsperstrip": 5}, id="strips"),
        pytest.param({"metadata": {"axes": "ZCYX"}, "bigtiff": True}, id="bigtiff"),
    ],
)
def test_a_file_cut_anywhere_is_refused_or_read_whole(tmp_path, options):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack", **options)
    whole = path.read_bytes()
    refusals = []
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        try:
            pixels = open_image(path).pixels
        except ImageError as error:
            refusals.append(str(error))
        else:
            # only the padding behind the last table can be missing without harm
            np.testing.assert_array_equal(pixels, PIXELS)
            assert length > len(whole) - 32
    assert len(refusals) > 50
    assert "\n" not in "".join(refusals)


def write_text(path):
    path.write_text("x y z\n1 2 3\n")


def write_nothing(path):
    path.touch()


def make_folder(path):
    path.mkdir()


def write_two_sizes(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((8, 9), np.uint8))
        writer.write(np.zeros((4, 5), np.uint8))


def write_corrupt_compression(path):
    tifffile.imwrite(path, PIXELS[0, 0], compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset + 100 : offset + 200] = bytes(100)
    path.write_bytes(data)


def write_ome_that_promises_more(path):
    tifffile.imwrite(path, PIXELS[:, 0], ome=True, metadata={"axes": "ZYX"})
    path.write_bytes(path.read_bytes().replace(b'SizeZ="3"', b'SizeZ="9"'))


def write_imagej_that_promises_more(path):
    tifffile.imwrite(path, PIXELS[:, 0], imagej=True, metadata={"axes": "ZYX"})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"images=3", b"images=9").replace(b"slices=3", b"slices=9"))


def write_one_of_several_ome_files(path):
    tifffile.imwrite(path, PIXELS[:2, 0], ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        whole = '<TiffData IFD="0" PlaneCount="2"/>'
        parts = "".join(
            f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
            f'<UUID FileName="{z}.ome.tif">urn:uuid:{z}</UUID></TiffData>'
            for z in range(2)
        )
        xml = tif.ome_metadata.replace(whole, parts)
        assert parts in xml
    tifffile.imwrite(path, PIXELS[:2, 0], description=xml, metadata=None, photometric="minisblack")


def write_circle(path):
    tifffile.imwrite(path, PIXELS[:2, 0], metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[1].offset
    content = bytearray(path.read_bytes())
    entries = int.from_bytes(content[last : last + 2], "little")
    link = last + 2 + 12 * entries
    content[link : link + 4] = first.to_bytes(4, "little")
    path.write_bytes(content)


def write_palette(path):
    table = np.random.default_rng(0).integers(0, 65535, (3, 256), dtype=np.uint16)
    tifffile.imwrite(path, PIXELS[0, 0].astype(np.uint8), photometric="palette", colormap=table)


def write_transparent(path):
    tifffile.imwrite(path, np.zeros((8, 9, 4), np.uint8), photometric="rgb", extrasamples=[2])


def write_inks(path):
    tifffile.imwrite(path, np.zeros((8, 9, 4), np.uint8), photometric="separated")


def write_too_large_numbers(path):
    tifffile.imwrite(path, np.full((8, 9), 1e39))


def writer_of(dtype):
    return lambda path: tifffile.imwrite(path, np.zeros((8, 9), dtype))


BAD_FILES = {
    "missing": (lambda path: None, "does not exist"),
    "folder": (make_folder, "is a folder"),
    "empty": (write_nothing, "is empty"),
    "text": (write_text, "no TIFF file"),
    "header only": (lambda path: path.write_bytes(b"II*\0"), "truncated"),
    "no page": (lambda path: path.write_bytes(b"II*\0\0\0\0\0"), "no page"),
    "pages in a circle": (
        lambda path: path.write_bytes(b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"),
        "no pixel data|circle",
    ),
    "two images": (write_two_sizes, "holds 2 images"),
    "corrupt compression": (write_corrupt_compression, "cannot be read as TIFF"),
    "ome promises more": (write_ome_that_promises_more, "lacks pages"),
    "imagej promises more": (write_imagej_that_promises_more, "less than its ImageJ metadata"),
    "one of several files": (write_one_of_several_ome_files, "several OME-TIFF files"),
    "palette": (write_palette, "palette"),
    "transparency": (write_transparent, "alpha"),
    "inks": (write_inks, "SEPARATED"),
    "too large": (write_too_large_numbers, "float32 cannot hold"),
    "bool": (writer_of(bool), "type bool.*32-bit"),
    "uint32": (writer_of("uint32"), "type uint32.*32-bit"),
    "int32": (writer_of("int32"), "type int32.*32-bit"),
    "complex": (writer_of("complex64"), "type complex64"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(tmp_path, case):
    write, expected = BAD_FILES[case]
    path = tmp_path / "image.tif"
    write(path)
    with pytest.raises(ImageError, match=expected) as caught:
        open_image(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


LZW = PIXELS[0, 0].astype(np.uint8)


def test_compression_that_needs_the_extra(tmp_path):
    path = tmp_path / "image.tif"
    Image.fromarray(LZW).save(path, compression="tiff_lzw")
    code = (
        "import pathlib, sys\n"
        "sys.modules['imagecodecs'] = None\n"  # as where it is not installed
        "from care_bridge.errors import MissingExtraError\n"
        "from care_bridge.images import open_image\n"
        "try: open_image(pathlib.Path(sys.argv[1]))\n"
        "except MissingExtraError as error: print(error.extra, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"formats {path} is compressed by LZW, which needs the extra")


def test_lzw_is_read_with_the_extra(tmp_path):
    pytest.importorskip("imagecodecs")
    Image.fromarray(LZW).save(tmp_path / "image.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(open_image(tmp_path / "image.tif").pixels, LZW)


def test_damage_is_said_once_and_by_the_error_alone(tmp_path):
    """tifffile's own log would reach standard error in a process without logging set up."""
    for number, (write, _) in enumerate(BAD_FILES.values()):
        write(tmp_path / f"{number}.tif")
    code = (
        "import sys, pathlib\n"
        "from care_bridge.errors import CareBridgeError\n"
        "from care_bridge.images import open_image\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: open_image(path)\n"
        "    except CareBridgeError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == len(BAD_FILES) - 1  # the missing one


def test_a_page_whose_pixels_are_fewer_than_its_size_says(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, PIXELS[0, 0])
    with tifffile.TiffFile(path) as tif:
        length = tif.pages.first.tags["ImageLength"].valueoffset
    content = bytearray(path.read_bytes())
    content[length : length + 4] = (20).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(CareBridgeError, match="expected 680"):
        open_image(path)
