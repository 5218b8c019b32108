"""Folders and lists that are wrong: one line says what was found, and what is understood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from care_bridge.errors import CareBridgeError, TrainingError
from care_bridge.training.config import load_config
from care_bridge.training.data_config import DataConfig
from care_bridge.training.dataset import open_dataset
from care_bridge.training.layouts.fields import Field, Pairing, View, fingerprints
from care_bridge.training.layouts.found import find_fields
from tests.training_pairs import write_image
from tests.unit.training.test_layouts import SETTINGS, channels, truth, two_folders, write_sides


def _csv(text: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        write_sides(root, "a", "b", range(2))
        (root / "pairs.csv").write_text(text)
        return root / "pairs.csv"

    return make


def _folders(*couples: tuple[str, str]) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        for source, target in couples:
            write_sides(root, source, target, range(2))
        return root

    return make


def _names(source: str, target: str) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        write_image(root / "source" / source, truth(0))
        write_image(root / "GT" / target, truth(0))
        return root

    return make


def _both_endings(root: Path) -> Path:
    write_image(root / "GT" / "a.ome.tif", truth(0))
    return _names("a.tif", "a.tif")(root)


def _pictures(root: Path) -> Path:
    channels(root)
    return root


def _text_file(root: Path) -> Path:
    (root / "data.txt").write_text("no image")
    return root / "data.txt"


MISTAKES = {
    "nothing-there": (lambda root: root / "no", (), "no does not exist: give a folder with"),
    "nothing-in-it": (lambda root: root, (), "holds nothing: expected .*source and GT or raw and"),
    "no-image": (_text_file, (), "data.txt is no image: give a folder"),
    "other-names": (
        _folders(("a", "b")),
        (),
        "holds a/, b/: expected.*data.source and data.target",
    ),
    "named-otherwise": (_folders(("a", "b")), ("data.source=c",), "a/, b/: .* folders c and GT"),
    "pictures-alone": (_pictures, (), "holds 4 images: expected a folder with the folders source"),
    "two-layouts": (
        _folders(("source", "GT"), ("train/raw", "train/gt")),
        (),
        r"holds source/ -> GT/ and also train/raw/ -> train/gt/: name the folders",
    ),
    "images-and-folders": (
        lambda root: _folders(("source", "GT"))(_pictures(root)),
        ("task=n2v",),
        "holds images and also source/: name the folders with data.source, or give .*/source$",
    ),
    "two-validations": (
        _folders(
            ("source", "GT"), ("val/source", "val/GT"), ("validation/source", "validation/GT")
        ),
        (),
        "holds val/ and validation/: keep one",
    ),
    "empty-validation": (
        _folders(("source", "GT"), ("val/low", "val/high")),
        (),
        "val holds high/, low/: expected a folder with",
    ),
    "no-validation": (
        _folders(("source", "GT")),
        ("data.validation_folder=other",),
        "no folder .*other, which data.validation_folder names",
    ),
    "no-name-in-common": (
        _names("low_1.tif", "high_1.tif"),
        (),
        "low_1.tif …, .*high_1.tif …: no name is on both sides; .* CSV",
    ),
    "endings-alone": (
        lambda root: _names("a.tif", "a.tif")(
            write_image(root / "GT/a.ome.tif", truth(0)).parents[1]
        ),
        (),
        "GT holds a.ome.tif and a.tif, which differ in their endings",
    ),
    "single-image": (
        lambda root: channels(root) or root / "im0.tif",
        (),
        "is a single image: give",
    ),
    "which-channels": (
        _pictures,
        ("data.target_channels=[0]",),
        "say which channels are the sources",
    ),
    "next-of-another-file": (
        _folders(("source", "GT")),
        ("data.target_frames=next",),
        "pairs the frames of one file, but .*source/im0.tif has its target in .*GT/im0.tif",
    ),
    "csv-columns": (
        _csv("low,high\n"),
        (),
        "the first line of .*pairs.csv is 'low,high': expected",
    ),
    "csv-empty": (_csv("source,target\n"), (), "pairs.csv lists no pairs"),
    "csv-values": (_csv("source,target\na/im0.tif\n"), (), "line 2 of .* has 1 values, .* 2 names"),
    "csv-missing": (
        _csv("source,target\na/im0.tif,b/im7.tif\n"),
        (),
        "line 2 of .* names the target b/im7.tif, which does not exist",
    ),
    "csv-no-target": (_csv("source\na/im0.tif\n"), (), "names no target of a/im0.tif"),
    "csv-twice": (
        _csv("source,target\na/im0.tif,b/im0.tif\na/im0.tif,b/im1.tif\n"),
        (),
        "line 3 of .* lists a/im0.tif again, which line 2 does",
    ),
    "csv-split": (_csv("source,target,split\na/im0.tif,b/im0.tif,test\n"), (), 'the split "test"'),
    "csv-two-splits": (
        _csv("source,target,split\na/im0.tif,b/im0.tif,val\na/im1.tif,b/im0.tif,train\n"),
        (),
        "lines 2 and 3 of .* share the target b/im0.tif and differ in their split",
    ),
    "csv-two-splits-written-otherwise": (
        _csv("source,target,split\na/im0.tif,b/im0.tif,val\na/im1.tif,./a/../b/im0.tif,train\n"),
        (),
        "lines 2 and 3 of .* differ in their split",
    ),
    "csv-twice-written-otherwise": (
        _csv("source,target\na/im0.tif,b/im0.tif\n./a/im0.tif,b/im1.tif\n"),
        (),
        "line 3 of .* lists ./a/im0.tif again, which line 2 does",
    ),
    "csv-its-own-target": (
        _csv("source,target\na/im0.tif,b/../a/im0.tif\n"),
        (),
        "a/im0.tif would be its own target",
    ),
    "one-folder-for-both": (
        _folders(("source", "GT")),
        ("data.target=source",),
        "source/im0.tif would be its own target",
    ),
    "one-channel-for-both": (
        _pictures,
        ("data.source_channels=[1,0]", "data.target_channels=[0]"),
        "im0.tif would be its own target",
    ),
    "one-folder-twice": (
        _folders(("source", "GT")),
        ("data.source=[source,source]",),
        "source/im0.tif is a source twice",
    ),
    "one-folder-twice-alone": (
        _folders(("source", "GT")),
        ("task=n2v", "data.source=[source,./source]"),
        "source/im0.tif is a source twice",
    ),
    "csv-of-windows": (
        _csv("source,target\na\\im0.tif,b\\im0.tif\n"),
        (),
        r"a\\im0.tif, which does not exist: .* relative to .*, with / between folders",
    ),
    "csv-name-too-long": (
        _csv(f"source,target\na/{'m' * 300}.tif,b/im0.tif\n"),
        (),
        r"a/m+\.tif cannot be read: File name too long",
    ),
    "csv-all-validation": (
        _csv("source,target,split\na/im0.tif,b/im0.tif,val\n"),
        (),
        "keeps all for validation",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line(name: str, tmp_path: Path) -> None:
    make, settings, expected = MISTAKES[name]
    root = tmp_path / "data"
    root.mkdir()
    data = make(root)
    with pytest.raises(CareBridgeError, match=expected) as caught:
        find_fields(data, load_config(None, settings).data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(["data.source_channels=[7]"], "has no channel 7: it has 3", id="channel"),
        pytest.param([], "no frames .axis T., which data.target_frames", id="frames"),
    ],
)
def test_what_a_file_does_not_hold_is_told(
    settings: list[str], expected: str, tmp_path: Path
) -> None:
    channels(tmp_path / "data")
    way = "data.target_channels=[1]" if settings else "data.target_frames=mean"
    config = load_config(None, [*SETTINGS, *settings, way])
    with pytest.raises(CareBridgeError, match=expected):
        open_dataset(tmp_path / "data", config, tmp_path / "scratch")


@pytest.mark.parametrize("side", ["source", "GT"])
def test_an_image_without_partner_is_named(tmp_path: Path, side: str) -> None:
    two_folders(tmp_path)
    write_image(tmp_path / side / "alone.tif", truth(0))
    other = {"source": "GT", "GT": "source"}[side]
    with pytest.raises(CareBridgeError, match=rf"{side}/alone.tif has no partner.*{other}"):
        find_fields(tmp_path, DataConfig())


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that fails to be read")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Its first bytes are nobody's memory."""
    image = tmp_path / "im0.zarr"
    image.mkdir()
    (image / "zarr.json").symlink_to("/proc/self/mem")
    pairing = Pairing((Field((View(image, image.name),), None),), "one image")
    with pytest.raises(TrainingError, match=r"im0\.zarr/zarr\.json cannot be read: Input/output"):
        fingerprints(pairing)


def test_a_changed_list_changes_the_fingerprints(tmp_path: Path) -> None:
    make = _csv("source,target\na/im0.tif,b/im0.tif\na/im1.tif,b/im1.tif\n")
    before = fingerprints(find_fields(make(tmp_path), DataConfig()))
    crossed = _csv("source,target\na/im0.tif,b/im1.tif\na/im1.tif,b/im0.tif\n")
    after = fingerprints(find_fields(crossed(tmp_path), DataConfig()))
    assert {key for key in before if before[key] != after[key]} == {"list of pairs"}
