"""Reading OME-Zarr: files written here byte by byte, without a Zarr library, and by ngff-zarr."""

import json
from pathlib import Path

import ngff_zarr
import numpy as np
import pytest

from care_bridge.errors import AxesError, ImageError, MissingExtraError
from care_bridge.images import open_image, zarr_library
from care_bridge.images.source import boxes_of, whole
from care_bridge.images.zarr_source import open_zarr
from care_bridge.runtime.jobs import Output, find_jobs
from care_bridge.runtime.manifest import Records
from care_bridge.runtime.options import RestoreOptions

PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 3, 5, 20, 30)).astype("<u2")
CHUNKS = (1, 1, 2, 16, 16)
VERSIONS = ("0.4", "0.5")
KINDS = {"t": "time", "c": "channel"}


def axis(name, unit=None):
    return {"name": name, "type": KINDS.get(name, "space")} | ({"unit": unit} if unit else {})


MICRONS = [axis("t", "millisecond"), axis("c"), *(axis(name, "micrometer") for name in "zyx")]


def scaled(*scale):
    return [{"type": "scale", "scale": list(scale)}]


def multiscale(axes, transformations, **more):
    dataset = {"path": "full", "coordinateTransformations": transformations}
    return {"axes": axes, "datasets": [dataset], "name": "hand-written"} | more


def write_array(folder: Path, pixels, chunks, version: str):
    """An uncompressed array, whose chunks are stored whole also where the array ends in them."""
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        described = {
            "zarr_format": 2,
            "shape": pixels.shape,
            "chunks": chunks,
            "dtype": pixels.dtype.str,
            "compressor": None,
            "filters": None,
            "fill_value": 7,
            "order": "C",
            "dimension_separator": "/",
        }
        (folder / ".zarray").write_text(json.dumps(described))
    else:
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        described = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": pixels.shape,
            "data_type": pixels.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
            "chunk_key_encoding": {"name": "default"},
            "fill_value": 7,
            "codecs": [little],
        }
        (folder / "zarr.json").write_text(json.dumps(described))
    counts = [-(-size // chunk) for size, chunk in zip(pixels.shape, chunks, strict=True)]
    for index in np.ndindex(*counts):
        start = np.multiply(index, chunks)
        part = pixels[tuple(map(slice, start, start + chunks))]
        filled = np.full(chunks, 7, pixels.dtype)
        filled[tuple(map(slice, part.shape))] = part
        chunk = folder.joinpath(*(["c"] if version == "0.5" else []), *map(str, index))
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(filled.tobytes())


def write_group(folder: Path, ome, version: str, **attributes):
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(ome | attributes))
    else:
        attributes = {"ome": {"version": "0.5"} | ome} | attributes if ome else attributes
        described = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (folder / "zarr.json").write_text(json.dumps(described))


def write_image(folder, axes, transformations, version, pixels=PIXELS, more=None, **attributes):
    ome = {"multiscales": [multiscale(axes, transformations, **(more or {}))]} | attributes
    write_group(folder, ome, version)
    write_array(folder / "full", pixels, CHUNKS[-pixels.ndim :], version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_full_resolution_with_its_calibration(tmp_path, version):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(250, 1, 0.5, 0.1, 0.2), version)
    image = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.pixels, PIXELS)
    assert image.axes == "TCZYX"
    assert image.container == f"zarr{version}"
    assert image.calibration.unit == "µm"
    assert image.calibration.voxel_size == {"Z": 0.5, "Y": 0.1, "X": 0.2}
    assert image.calibration.frame_interval == 0.25


CALIBRATIONS = {
    "scales multiply": (
        [axis(name, "micrometer") for name in "zyx"],
        scaled(2, 1, 1),
        {"coordinateTransformations": scaled(0.5, 0.1, 0.1)},
        ({"Z": 1.0, "Y": 0.1, "X": 0.1}, "µm"),
    ),
    "a translation is no scale": (
        [axis(name, "nanometer") for name in "zyx"],
        [*scaled(300, 100, 100), {"type": "translation", "translation": [5, 6, 7]}],
        {},
        ({"Z": 300.0, "Y": 100.0, "X": 100.0}, "nm"),
    ),
    "units that differ": (
        [axis("z", "micrometer"), axis("y", "nanometer"), axis("x", "nanometer")],
        scaled(0.5, 100, 100),
        {},
        ({"Z": 500.0, "Y": 100.0, "X": 100.0}, "nm"),
    ),
    "no units, scale 1": ([axis(name) for name in "zyx"], scaled(1, 1, 1), {}, ({}, "")),
    "no units, a scale": (
        [axis(name) for name in "zyx"],
        scaled(3, 1, 1),
        {},
        ({"Z": 3.0, "Y": 1.0, "X": 1.0}, ""),
    ),
    "no types": (
        [{"name": name, "unit": "micrometer"} for name in "zyx"],
        scaled(1, 1, 1),
        {},
        ({"Z": 1.0, "Y": 1.0, "X": 1.0}, "µm"),
    ),
}


@pytest.mark.parametrize("case", CALIBRATIONS)
def test_voxel_sizes(tmp_path, case):
    axes, transformations, more, (voxel_size, unit) = CALIBRATIONS[case]
    write_image(tmp_path / "a.zarr", axes, transformations, "0.4", PIXELS[0, 0], more)
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == "ZYX"
    assert image.calibration.voxel_size == pytest.approx(voxel_size)
    assert image.calibration.unit == unit


@pytest.mark.parametrize("version", VERSIONS)
def test_display_and_history(tmp_path, version):
    channels = [
        {"label": name, "color": color, "window": {"start": low, "end": 900, "min": 0, "max": 4000}}
        for name, color, low in (("DAPI", "0000FF", 3), ("GFP", "#00ff00", 5), ("Cy5", "FF0000", 0))
    ]
    omero = {"channels": channels, "rdefs": {"model": "color"}}
    path = tmp_path / "a.zarr"
    scale = scaled(1, 1, 1, 1, 1)
    write_image(path, MICRONS, scale, version, omero=omero)
    display = open_image(path).display
    assert display.channel_names == ("DAPI", "GFP", "Cy5")
    assert display.ranges == ((3, 900), (5, 900), (0, 900))
    assert display.mode == "composite"
    assert [lut[255].tolist() for lut in display.luts] == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]
    assert display.luts[0][100].tolist() == [0, 0, 100]


def test_what_is_missing_in_the_display_is_left_out(tmp_path):
    omero = {"channels": [{"color": "red"}, {"label": "GFP"}, {"window": {"start": 0, "end": 0}}]}
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4", omero=omero)
    display = open_image(tmp_path / "a.zarr").display
    assert (display.luts, display.ranges, display.channel_names) == ((), (), ())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("most", [700, 5000, 10**6])
def test_boxes_are_parts_of_the_whole(tmp_path, version, most):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), version)
    with open_zarr(tmp_path / "a.zarr", None) as source:
        assert source.pieces == (1, *CHUNKS)
        for box in boxes_of(whole(source.info), (1, 1, 1, 1, 7, 11), most):
            np.testing.assert_array_equal(source.read(box)[0], PIXELS[box[1:]])


def test_slices_with_margins_decode_each_chunk_once(tmp_path, monkeypatch):
    from zarr.storage import LocalStore

    read = []
    get = LocalStore.get

    async def counted(self, key, *arguments, **options):
        read.append(key)
        return await get(self, key, *arguments, **options)

    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4")
    with open_zarr(tmp_path / "a.zarr", None) as source:
        monkeypatch.setattr(LocalStore, "get", counted)
        for z in range(4):
            for y in range(0, 20, 5):
                rows = slice(max(y - 2, 0), min(y + 7, 20))
                box = (slice(0, 1), slice(1, 2), slice(2, 3), slice(z, z + 1), rows, slice(3, 29))
                np.testing.assert_array_equal(source.read(box)[0], PIXELS[box[1:]])
    assert sorted(read) == sorted(
        f"full/1/2/{z}/{y}/{x}" for z in (0, 1) for y in (0, 1) for x in (0, 1)
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_axes_in_another_order_and_of_length_one(tmp_path, version):
    axes = [axis("x"), axis("z"), axis("y"), axis("t"), axis("c")]
    pixels = PIXELS[0, :1]
    write_image(
        tmp_path / "a.zarr",
        axes,
        scaled(1, 1, 1, 1, 1),
        version,
        pixels.transpose(3, 1, 2, 0)[..., np.newaxis],
    )
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == "XZY"
    np.testing.assert_array_equal(image.axes.to(image.pixels, "ZYX"), pixels[0])
    assert open_image(tmp_path / "a.zarr", "TXZY").pixels.shape == (1, 30, 5, 20)


@pytest.mark.parametrize("version", VERSIONS)
def test_missing_chunks_are_the_fill_value(tmp_path, version):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), version)
    prefix = ["c"] if version == "0.5" else []
    (tmp_path / "a.zarr" / "full").joinpath(*prefix, *"11110").unlink()
    expected = PIXELS.copy()
    expected[1, 1, 2:4, 16:, :16] = 7
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").pixels, expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\0" * 5000])
def test_a_chunk_of_the_wrong_length(tmp_path, version, content):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), version)
    prefix = ["c"] if version == "0.5" else []
    (tmp_path / "a.zarr" / "full").joinpath(*prefix, *"11110").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.zarr cannot be read as Zarr") as caught:
        open_image(tmp_path / "a.zarr")
    assert "\n" not in str(caught.value)


TYPES = {
    "uint8": "uint8",
    "uint16": "uint16",
    "float32": "float32",
    "float64": "float32",
    ">u2": "uint16",
    "int16": "float32",
    "float16": "float32",
}


@pytest.mark.parametrize("stored", TYPES)
def test_pixel_types(tmp_path, stored):
    pixels = (PIXELS % 200).astype(stored)
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4", pixels)
    with open_zarr(tmp_path / "a.zarr", None) as source:
        assert source.info.dtype == TYPES[stored]
        read = source.read(whole(source.info))
        assert read.dtype == TYPES[stored]
        assert read.flags.writeable
    np.testing.assert_array_equal(read[0], PIXELS % 200)


@pytest.mark.parametrize("stored", ["uint32", "int64", "bool"])
def test_other_pixel_types_are_refused(tmp_path, stored):
    pixels = (PIXELS % 2).astype(stored)
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4", pixels)
    with pytest.raises(ImageError, match=f"pixels of type {stored}, expected uint8"):
        open_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_array_needs_axes(tmp_path, version):
    path = tmp_path / "plain.zarr"
    write_array(path, PIXELS[0, 0], (5, 20, 30), version)
    with pytest.raises(AxesError, match="does not say what they are: give its axes"):
        open_image(path)
    image = open_image(path, "TYX")
    assert image.sizes == {"T": 5, "Y": 20, "X": 30}
    np.testing.assert_array_equal(image.pixels, PIXELS[0, 0])


def test_an_axis_that_is_none_of_ours(tmp_path):
    axes = [{"name": "phase", "type": "other"}, axis("z"), axis("y"), axis("x")]
    write_image(tmp_path / "a.zarr", axes, scaled(1, 1, 1, 1), "0.4", PIXELS[0])
    with pytest.raises(AxesError, match="give its axes"):
        open_image(tmp_path / "a.zarr")
    assert open_image(tmp_path / "a.zarr", "TZYX").sizes["T"] == 3


def test_axes_that_contradict_the_file(tmp_path):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4")
    with pytest.raises(AxesError, match="says that its axes are TCZYX"):
        open_image(tmp_path / "a.zarr", "CTZYX")


IMAGE = multiscale(MICRONS, scaled(1, 1, 1, 1, 1))
REFUSED = {
    "plate": ({"plate": {"wells": [{"path": "B/3"}] * 4}}, r"plate of 4 wells.*zarr/B/3/0"),
    "well": ({"well": {"images": [{"path": "0"}, {"path": "1"}]}}, r"2 fields.*zarr/0"),
    "label image": ({"multiscales": [IMAGE], "image-label": {}}, "labels.*the image"),
    "labels": ({"labels": ["nuclei"]}, "labels.*the image"),
    "several": ({"multiscales": [IMAGE, IMAGE]}, "holds 2 images.*axes=ZYX"),
    "nothing": ({}, r"no OME-Zarr metadata.*zarr/full and axes=ZYX"),
    "version 0.3": (
        {
            "multiscales": [
                {"version": "0.3", "axes": list("tczyx"), "datasets": [{"path": "full"}]}
            ]
        },
        "as 0.4 and 0.5 do",
    ),
    "axes too few": ({"multiscales": [multiscale(MICRONS[1:], [])]}, "names 4 axes"),
    "scale too short": ({"multiscales": [multiscale(MICRONS, scaled(1, 2))]}, "cannot be read"),
    "no such array": (
        {"multiscales": [IMAGE | {"datasets": [{"path": "other"}]}]},
        "cannot be read",
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_single_image(tmp_path, case, version):
    ome, message = REFUSED[case]
    write_group(tmp_path / "a.zarr", ome, version)
    write_array(tmp_path / "a.zarr" / "full", PIXELS, CHUNKS, version)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(tmp_path / "a.zarr")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_bioformats2raw_makes(tmp_path, version):
    path = tmp_path / "converted.zarr"
    write_group(path, {"bioformats2raw.layout": 3}, version)
    write_group(path / "OME", {"series": ["0"]}, version)
    write_image(path / "0", MICRONS, scaled(1, 1, 1, 1, 1), version)
    np.testing.assert_array_equal(open_image(path).pixels, PIXELS)
    write_image(path / "1", MICRONS, scaled(1, 1, 1, 1, 1), version)
    with pytest.raises(ImageError, match=r"2 images \(0, 1\).*converted.zarr/0"):
        open_image(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_field_of_a_plate_is_an_image_of_its_own(tmp_path, version):
    field = tmp_path / "plate.zarr" / "A" / "1" / "0"
    write_image(field, MICRONS, scaled(1, 1, 1, 1, 1), version)
    np.testing.assert_array_equal(open_image(field).pixels, PIXELS)
    (job,) = find_jobs([field], Output.of(tmp_path / "out"), RestoreOptions(), Records())
    assert (job.source, job.target) == (field, tmp_path / "out" / "0.ome.zarr")


def test_a_folder_that_is_no_zarr(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(ImageError, match=r"a\.zarr is no folder of Zarr data"):
        open_image(tmp_path / "a.zarr")


def test_damaged_metadata(tmp_path):
    write_image(tmp_path / "a.zarr", MICRONS, scaled(1, 1, 1, 1, 1), "0.4")
    (tmp_path / "a.zarr" / ".zattrs").write_text('{"multiscales": [{"axes"')
    with pytest.raises(ImageError, match="cannot be read as Zarr"):
        open_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_ngff_zarr_writes(tmp_path, version):
    units = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
    image = ngff_zarr.to_ngff_image(
        PIXELS,
        dims=list("tczyx"),
        scale={"t": 2.5, "c": 1.0, "z": 0.5, "y": 0.1, "x": 0.1},
        translation=dict.fromkeys("tczyx", 0.0),
        axes_units=units,
    )
    scales = ngff_zarr.to_multiscales(image, scale_factors=[], chunks=16)
    ngff_zarr.to_ngff_zarr(str(tmp_path / "a.ome.zarr"), scales, version=version)
    read = open_image(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(read.pixels, PIXELS)
    assert read.calibration.voxel_size == {"Z": 0.5, "Y": 0.1, "X": 0.1}
    assert (read.calibration.unit, read.calibration.frame_interval) == ("µm", 2.5)
    assert read.container == f"zarr{version}"


def test_without_zarr(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(zarr_library, "import_module", missing)
    with pytest.raises(MissingExtraError, match='"zarr"'):
        open_zarr(tmp_path, None).__enter__()
