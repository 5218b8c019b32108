"""Microscope formats through bioio, on a Leica file (LIF) that is written here by hand."""

import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from care_bridge.errors import AxesError, ImageError, MissingExtraError
from care_bridge.images import bioio_source
from care_bridge.images.bioio_source import open_with_bioio
from care_bridge.images.source import read_image

STACK = np.random.default_rng(0).integers(0, 4000, (2, 3, 4, 20, 30)).astype("<u2")  # TZCYX
STEPS = {"X": 0.1e-6, "Y": 0.1e-6, "Z": 0.5e-6, "T": 2.0}  # metres and seconds, as Leica has it
LIF_NUMBERS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "M": 10}


def write_lif(path: Path, images: dict[str, np.ndarray], axes: str = "TZCYX", names="RGBA"):
    """A LIF of version 2: a header of XML, then a block of pixels for each image.

    Each part is 0x70, its length, 0x2A; lengths of texts count characters of UTF-16.
    """
    root = ElementTree.Element("LMSDataContainerHeader", Version="2")
    project = ElementTree.SubElement(root, "Element", Name="project", UniqueID="0")
    children = ElementTree.SubElement(project, "Children")
    blocks = b""
    for number, (name, pixels) in enumerate(images.items()):
        _describe(children, name, f"MemBlock_{number}", pixels, axes, names)
        block_id = f"MemBlock_{number}".encode("utf-16-le")
        part = struct.pack("<BQBI", 0x2A, pixels.nbytes, 0x2A, len(block_id) // 2) + block_id
        blocks += struct.pack("<II", 0x70, len(part)) + part + pixels.tobytes()
    xml = ElementTree.tostring(root, "unicode").encode("utf-16-le")
    header = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    path.write_bytes(header + blocks)


def _describe(children, name, block, pixels, axes, names):
    element = ElementTree.SubElement(children, "Element", Name=name, UniqueID=block)
    ElementTree.SubElement(element, "Memory", Size=str(pixels.nbytes), MemoryBlockID=block)
    data = ElementTree.SubElement(element, "Data")
    image = ElementTree.SubElement(ElementTree.SubElement(data, "Image"), "ImageDescription")
    channels = ElementTree.SubElement(image, "Channels")
    dimensions = ElementTree.SubElement(image, "Dimensions")
    strides = dict(zip(axes, pixels.strides, strict=True))
    sizes = dict(zip(axes, pixels.shape, strict=True))
    for number in range(sizes.get("C", 1)):
        ElementTree.SubElement(
            channels,
            "ChannelDescription",
            DataType="0",
            ChannelTag="0",
            Resolution=str(8 * pixels.itemsize),
            NameOfMeasuredQuantity="",
            Min="0",
            Max="1",
            Unit="",
            LUTName=names[number],
            IsLUTInverted="0",
            BytesInc=str(number * strides.get("C", 0)),
            BitInc="0",
        )
    for axis in "XYZTM":
        if axis in sizes:
            ElementTree.SubElement(
                dimensions,
                "DimensionDescription",
                DimID=str(LIF_NUMBERS[axis]),
                NumberOfElements=str(sizes[axis]),
                Origin="0",
                Length=repr(STEPS.get(axis, 0) * (sizes[axis] - 1)),
                Unit="s" if axis == "T" else "m",
                BitInc="0",
                BytesInc=str(strides[axis]),
            )


@pytest.fixture
def lif(tmp_path):
    path = tmp_path / "stack.lif"
    write_lif(path, {"Series001": STACK})
    return path


def test_a_leica_stack(lif):
    with open_with_bioio(lif, None) as source:
        info = source.info
        image = read_image(source)
        assert source.pieces == (1, 1, 1, 1, 20, 30)
    assert info.axes == "TCZYX"
    assert info.shape == (2, 4, 3, 20, 30)
    np.testing.assert_array_equal(image.pixels, STACK.swapaxes(1, 2))
    assert info.calibration.unit == "µm"
    assert info.calibration.voxel_size == pytest.approx({"Z": 0.5, "Y": 0.1, "X": 0.1})
    assert info.display.channel_names == ("R", "G", "B", "A")


def test_a_box(lif):
    box = (slice(0, 1), slice(1, 2), slice(1, 3), slice(0, 2), slice(5, 20), slice(0, 7))
    with open_with_bioio(lif, None) as source:
        pixels = source.read(box)
    np.testing.assert_array_equal(pixels[0, 0], STACK[1, 0:2, 1:3, 5:20, 0:7].swapaxes(0, 1))


def test_axes_of_length_one_are_left_out(tmp_path):
    write_lif(tmp_path / "plane.lif", {"Series001": STACK[0, 0, :1]}, "CYX")
    with open_with_bioio(tmp_path / "plane.lif", None) as source:
        assert source.info.axes == "YX"
    with open_with_bioio(tmp_path / "plane.lif", "ZYX") as source:
        assert source.info.shape == (1, 20, 30)
        np.testing.assert_array_equal(read_image(source).pixels[0], STACK[0, 0, 0])


def test_several_images_are_named(tmp_path):
    write_lif(tmp_path / "two.lif", {"first": STACK, "second": STACK})
    with (
        pytest.raises(ImageError, match=r"two.lif holds 2 images \(.*first, .*second\)"),
        open_with_bioio(tmp_path / "two.lif", None),
    ):
        pass


def test_a_mosaic_is_refused(tmp_path):
    write_lif(tmp_path / "tiles.lif", {"Series001": STACK[:, 0, 0]}, "MYX")
    with (
        pytest.raises(ImageError, match="mosaic of 2 tiles.*stitch it"),
        open_with_bioio(tmp_path / "tiles.lif", None),
    ):
        pass


def test_axes_that_contradict_the_file(lif):
    with pytest.raises(AxesError, match="says that its axes are TCZYX"):
        open_with_bioio(lif, "ZCTYX").__enter__()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.czi", b"ZISRAWFILE", "install bioio-czi"),
        ("a.ims", b"\x89HDF", "save it as OME-TIFF"),
        ("a.lif", b"", "save it as OME-TIFF"),
        ("a.nd2", b"no ND2", "save it as OME-TIFF"),
        ("a.dv", b"no DV", "save it as OME-TIFF"),
    ],
)
def test_what_no_plugin_reads(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        open_with_bioio(tmp_path / name, None).__enter__()
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_short(lif):
    lif.write_bytes(lif.read_bytes()[:-1000])
    with pytest.raises(ImageError, match="stack.lif"), open_with_bioio(lif, None) as source:
        read_image(source)


def test_without_bioio(lif, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(bioio_source, "import_module", missing)
    with pytest.raises(MissingExtraError, match='"formats"'):
        open_with_bioio(lif, None).__enter__()
