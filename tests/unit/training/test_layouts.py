"""What is paired with what: each layout on disk, read back from the patches that training draws.

Every pixel of a field of view says which it is: its target holds 4000 * field + its place, source e
the same number plus 100 000 * (e + 1). So a patch pair tells its field, its exposure and whether
both sides show the same place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import Axes
from care_bridge.images import Image
from care_bridge.images import write_image as write_any
from care_bridge.training.config import load_config
from care_bridge.training.data_config import DataConfig
from care_bridge.training.dataset import open_dataset
from care_bridge.training.layouts.fields import Field, fingerprints, split_fields
from care_bridge.training.layouts.found import find_fields
from care_bridge.training.patches import PatchSource
from tests.training_pairs import write_image

SIZE = (40, 48)
FIELD, EXPOSURE = 4000, 100_000
SETTINGS = (
    "patches.size=[16,16]",
    "patches.background=0",
    "patches.augment=false",
    "normalization.mode=fixed",
    "training.batch_size=8",
)


def truth(field: int) -> np.ndarray:
    return (FIELD * field + np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)).astype(np.float32)


def seen(field: int, exposure: int = 0) -> np.ndarray:
    return truth(field) + EXPOSURE * (exposure + 1)


def write_sides(root: Path, source: str, target: str, fields: range, exposure: int = 0) -> None:
    for field in fields:
        write_image(root / source / f"im{field}.tif", seen(field, exposure))
        write_image(root / target / f"im{field}.tif", truth(field))


def write_zarr(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_any(Image(pixels, Axes("TZCYX"[-pixels.ndim :])), path)


def two_folders(root: Path) -> None:
    write_sides(root, "source", "GT", range(4))
    (root / "notes").mkdir()


def raw_and_gt(root: Path) -> None:
    write_sides(root, "Raw", "GT", range(4))


def with_validation(root: Path) -> None:
    write_sides(root / "train", "raw", "gt", range(3))
    write_sides(root / "val", "raw", "gt", range(3, 5))


def validation_beside(root: Path) -> None:
    write_sides(root, "source", "GT", range(3))
    write_sides(root / "held_out", "source", "GT", range(3, 5))


def numbered(root: Path) -> None:
    for exposure in range(3):
        write_sides(root, f"source_{exposure + 1}", "GT", range(4), exposure)


def named(root: Path) -> None:
    write_sides(root, "low", "high", range(4), 0)
    write_sides(root, "lower", "high", range(2), 1)


def channels(root: Path) -> None:
    for field in range(4):
        stack = np.stack([seen(field, 0), truth(field), seen(field, 1)])
        write_image(root / f"im{field}.tif", stack, "CYX")


def channels_in_folders(root: Path) -> None:
    for field in range(4):
        write_image(root / "source" / f"im{field}.tif", np.stack([seen(field, 0)] * 2), "CYX")
        write_image(root / "GT" / f"im{field}.tif", np.stack([seen(field), truth(field)]), "CYX")


def frames(root: Path) -> None:
    """Four frames around the truth, whose mean it is; of exposures that tell them apart."""
    for field in range(3):
        offsets = EXPOSURE * np.array([1, 2, -4, 1])
        movie = np.stack([truth(field) + offset for offset in offsets]).astype(np.float32)
        write_image(root / f"im{field}.tif", movie, "TYX")


def next_frames(root: Path) -> None:
    """Each frame one exposure above the one after it."""
    for field in range(3):
        movie = np.stack([truth(field) + EXPOSURE * (3 - frame) for frame in range(4)])
        write_image(root / f"im{field}.tif", movie.astype(np.float32), "TYX")


def one_target_for_all_frames(root: Path) -> None:
    for field in range(3):
        movie = np.stack([seen(field, exposure) for exposure in range(3)])
        write_image(root / "source" / f"im{field}.tif", movie, "TYX")
        write_image(root / "GT" / f"im{field}.tif", truth(field))


def zarr(root: Path) -> None:
    for field in range(4):
        write_zarr(root / "source" / f"im{field}.ome.zarr", seen(field))
        write_image(root / "GT" / f"im{field}.ome.tif", truth(field))
    write_zarr(root / "GT" / "im3.zarr", truth(3))
    (root / "GT" / "im3.ome.tif").unlink()


def listed(root: Path) -> None:
    """Plain TIFFs of channel-first axes, two lines with one target, one field for validation."""
    lines = ["source,target,axes,target_axes,split"]
    for field in range(4):
        for exposure in range(2):
            place = root / "some where" / f"s{field}{exposure}.tif"
            place.parent.mkdir(exist_ok=True)
            tifffile.imwrite(place, seen(field, exposure)[None], photometric="minisblack")
            split = "val" if field == 2 else "train"
            lines.append(f"some where/s{field}{exposure}.tif,t{field}.tif,CYX,YX,{split}")
        tifffile.imwrite(root / f"t{field}.tif", truth(field), photometric="minisblack")
    (root / "pairs.csv").write_text("\n".join(lines) + "\n\n")


def listed_by_a_spreadsheet(root: Path) -> None:
    write_sides(root, "a", "b", range(4))
    lines = [f"a/im{field}.tif;{root}/b/im{field}.tif" for field in range(4)]
    (root / "pairs.csv").write_text("\r\n".join(["Source;Target", *lines]), "utf-8-sig")


LAYOUTS = {
    two_folders: ((), "", "4 pairs: source/ -> GT/, 1 for validation", 4, {1}),
    raw_and_gt: ((), "", "4 pairs: Raw/ -> GT/, 1 for validation", 4, {1}),
    with_validation: (
        (),
        "",
        "5 pairs: train/raw/ -> train/gt/, validation in val/raw/ -> val/gt/, 2 for validation",
        5,
        {1},
    ),
    validation_beside: (
        ("data.validation_folder=held_out",),
        "",
        "5 pairs: source/ -> GT/, validation in held_out/source/ -> held_out/GT/, 2 for validation",
        5,
        {1},
    ),
    numbered: (
        (),
        "",
        "12 pairs: source_1/, source_2/, source_3/ -> GT/, 3 for validation",
        4,
        {1, 2, 3},
    ),
    named: (
        ("data.source=[low, lower]", "data.target=high"),
        "",
        "6 pairs: low/, lower/ -> high/, 1 for validation",
        4,
        {1, 2},
    ),
    channels: (
        ("data.source_channels=[0, 2]", "data.target_channels=[1]"),
        "",
        "8 pairs: data/, channels 0, 2 as sources; channel 1 as target, 2 for validation",
        4,
        {1, 2},
    ),
    channels_in_folders: (
        ("data.source_channels=[1]", "data.target_channels=[1]"),
        "",
        "4 pairs: source/ -> GT/, channel 1 as source; channel 1 as target, 1 for validation",
        4,
        {1},
    ),
    frames: (
        ("data.target_frames=mean",),
        "",
        "3 pairs: data/, the mean of all frames as target, 1 for validation",
        3,
        {1, 2, -4},
    ),
    next_frames: (
        ("data.target_frames=next",),
        "",
        "3 pairs: data/, the next frame as target, 1 for validation",
        3,
        {1},
    ),
    one_target_for_all_frames: (
        (),
        "",
        "3 pairs: source/ -> GT/, 1 for validation",
        3,
        {1, 2, 3},
    ),
    zarr: ((), "", "4 pairs: source/ -> GT/, 1 for validation", 4, {1}),
    listed: ((), "pairs.csv", "8 pairs: pairs.csv, 2 for validation", 4, {1, 2}),
    listed_by_a_spreadsheet: ((), "pairs.csv", "4 pairs: pairs.csv, 1 for validation", 4, {1}),
}


def drawn(patches: PatchSource) -> tuple[set[int], set[int]]:
    """Fields and exposures of the patches of some batches, each pair checked to be of one place."""
    intensities = patches.scaling.intensities
    fields, exposures = set(), set()
    for k in range(12):
        before, after = patches.batch(k)
        source = intensities.source[0].invert(before).astype(np.float64)
        target = intensities.target[0].invert(after).astype(np.float64)
        for shown, wanted in zip(source[:, 0], target[:, 0], strict=True):
            offsets = np.unique((shown - wanted).round(-3))
            assert len(offsets) == 1, "the two sides show different places"
            exposures.add(round(offsets[0] / EXPOSURE))
            fields.update(np.unique((wanted % EXPOSURE) // FIELD).astype(int).tolist())
    return fields, exposures


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_a_layout_pairs_what_belongs_together(make: Callable[[Path], None], tmp_path: Path) -> None:
    settings, data, said, count, exposures = LAYOUTS[make]
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    config = load_config(None, [*SETTINGS, *settings])
    dataset = open_dataset(root / data, config, tmp_path / "scratch")
    assert dataset.said == said
    trained, shown = drawn(dataset.training_patches())
    validated, _ = drawn(dataset.validation_patches())
    assert shown == exposures
    assert trained | validated == set(range(count))
    assert not trained & validated
    if "held_out" in said or "val/" in said:
        assert validated == {3, 4}
    if make is listed:
        assert validated == {2}


@pytest.mark.parametrize("make", [two_folders, with_validation, listed, zarr, frames])
def test_images_alone_are_the_sources_of_any_layout(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    data = root / LAYOUTS[make][1]
    pairing = find_fields(data, load_config(None, ["task=n2v"]).data)
    paired = find_fields(data, load_config(None, LAYOUTS[make][0]).data)
    sources = sorted(view.path for field in pairing.fields for view in field.sources)
    assert sources == sorted(view.path for field in paired.fields for view in field.sources)
    assert all(field.target is None for field in pairing.fields)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(("task=n2v", "data.source=source"), "source/", id="alone"),
        pytest.param(("data.source=.", "data.target_frames=mean"), "data/, the mean", id="frames"),
    ],
)
def test_a_folder_of_two_layouts_is_taken_as_it_is_named(
    settings: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    frames(root)
    write_image(root / "source" / "im9.tif", truth(9))
    pairing = find_fields(root, load_config(None, settings).data)
    assert pairing.said.startswith(expected)
    inside = {view.path.parent for field in pairing.fields for view in field.sources}
    assert inside == {root / "source" if expected == "source/" else root}


def test_a_single_image_is_data(tmp_path: Path) -> None:
    movie = np.stack([truth(0), truth(1)])
    write_zarr(tmp_path / "movie.ome.zarr", movie[:, None, None])
    alone = find_fields(tmp_path / "movie.ome.zarr", load_config(None, ["task=n2v"]).data)
    assert [view.path.name for field in alone.fields for view in field.sources] == [
        "movie.ome.zarr"
    ]
    config = load_config(None, ["data.target_frames=mean"])
    (field,) = find_fields(tmp_path / "movie.ome.zarr", config.data).fields
    assert (field.target.path, field.target.frames) == (tmp_path / "movie.ome.zarr", "mean")


@pytest.mark.parametrize(
    ("count", "share", "validated"), [(2, 0.1, 1), (10, 0.1, 1), (30, 0.1, 3), (3, 0.9, 2)]
)
def test_validation_takes_whole_fields_and_leaves_some(
    count: int, share: float, validated: int, tmp_path: Path
) -> None:
    for number in range(count):
        write_image(tmp_path / f"{number}.tif", truth(0))
    fields = find_fields(tmp_path, load_config(None, ["task=n2v"]).data).fields
    training, validation = split_fields(fields, share, seed=0)
    assert len(validation) == validated
    assert sorted(map(names, training + validation)) == sorted(map(names, fields))
    assert split_fields(fields, share, seed=0) == (training, validation)


def names(field: Field) -> list[str]:
    return [view.name for view in field.sources]


def test_a_changed_byte_changes_the_fingerprints(tmp_path: Path) -> None:
    zarr(tmp_path / "data")
    config = DataConfig()
    before = fingerprints(find_fields(tmp_path / "data", config))
    assert len(before) == 8
    chunk = max(
        (file for file in (tmp_path / "data/source/im2.ome.zarr").rglob("*") if file.is_file()),
        key=lambda file: file.stat().st_size,
    )
    changed = bytearray(chunk.read_bytes())
    changed[-1] ^= 1
    chunk.write_bytes(changed)
    after = fingerprints(find_fields(tmp_path / "data", config))
    assert {key for key in before if before[key] != after[key]} == {"source im2.ome.zarr"}


def test_every_layout_of_the_documentation_is_here() -> None:
    """The keys that choose a layout are in the data section of the page."""
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text("utf-8")
    section = page.split("## Data\n")[1].split("\n## ")[0]
    for key in ("source", "target", "source_channels", "target_channels", "target_frames"):
        assert re.search(rf"data\.{key}\b", section), key
    assert "validation_folder" in section
