"""Pixels that stay on disk: what is read of them is right, and memory does not grow with them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr

from care_bridge.axes import Axes
from care_bridge.images import Image, write_image
from care_bridge.images.zarr_chunks import ChunkReader
from care_bridge.training import patches, pixels
from care_bridge.training.config import load_config
from care_bridge.training.dataset import open_dataset
from care_bridge.training.layouts.fields import View
from care_bridge.training.pixels import OpenFiles, Pixels, kept, saved, where_it_lies
from care_bridge.training.stream import stream
from care_bridge.training.views import open_view
from tests.training_pairs import opened_stacks

RNG = np.random.default_rng(12)
STACK = RNG.integers(0, 60_000, (2, 3, 2, 5, 40, 48)).astype(np.uint16)  # STCZYX


@pytest.fixture(params=["scratch", "zarr"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Pixels:
    """STACK[0], of which a box is read."""
    write_image(Image(STACK[0], Axes("TCZYX")), tmp_path / "im.ome.zarr")
    view = View(tmp_path / "im.ome.zarr", "im")
    with open_view(view) as source:
        if request.param == "scratch":
            return kept(source, tmp_path / "pixels")
        return where_it_lies(view, source, OpenFiles())


def test_a_part_is_what_numpy_would_give(on_disk: Pixels) -> None:
    assert (on_disk.shape, on_disk.dtype) == ((1, *STACK.shape[1:]), np.uint16)
    np.testing.assert_array_equal(on_disk.whole(), STACK[:1])
    index = (slice(0, 1), slice(1, 3), slice(1, 2), slice(0, 5), slice(7, 30), slice(None, 9))
    np.testing.assert_array_equal(on_disk[index], STACK[:1][index])
    inner = on_disk.part(index).part((slice(2, 4), slice(3, None), slice(1, 5)))
    expected = STACK[:1][index][..., 2:4, 3:, 1:5]
    assert inner.shape == expected.shape
    np.testing.assert_array_equal(inner.whole(), expected)
    plane = STACK[0, 2, :, 3]
    np.testing.assert_array_equal(_plane(on_disk).whole(), plane)
    turned = _plane(on_disk).turned()
    np.testing.assert_array_equal(turned.whole(), plane.swapaxes(1, 2))
    area = (slice(4, 20), slice(8, 19))
    np.testing.assert_array_equal(turned[area], plane.swapaxes(1, 2)[(slice(None), *area)])


def _plane(stack: Pixels) -> Pixels:
    one = slice(0, 1), slice(2, 3), slice(None), slice(3, 4), slice(None), slice(None)
    part = stack.part(one)
    return Pixels(part.read, part.dtype, part.pieces, part.box, (2, 4, 5))


def test_blocks_hold_every_pixel_once(on_disk: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "BLOCK", 3000)
    part = on_disk.part((slice(1, 4), slice(2, 39), slice(0, 48)))
    found = np.concatenate([block.ravel() for block in part.blocks()])
    expected = STACK[:1, ..., 1:4, 2:39, :].ravel()
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


@pytest.mark.parametrize("box", [700, 2500, 9000, 40_000])
def test_a_copy_is_the_image_whatever_the_boxes(
    box: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of 2 x 3 x 13 x 17 pixels; what a killed run has left is overwritten."""
    array = zarr.create_array(
        tmp_path / "im.zarr", shape=STACK.shape[1:], chunks=(2, 1, 3, 13, 17), dtype="u2"
    )
    array[...] = STACK[0]
    (tmp_path / "pixels").write_bytes(b"left" * 1_000_000)
    monkeypatch.setattr(pixels, "BLOCK", box)
    with open_view(View(tmp_path / "im.zarr", "im", "TCZYX")) as source:
        found = kept(source, tmp_path / "pixels")
    np.testing.assert_array_equal(found.whole()[0], STACK[0])
    assert (tmp_path / "pixels").stat().st_size == STACK[0].nbytes


def test_what_is_saved_is_read_in_its_own_order(tmp_path: Path) -> None:
    plane = RNG.random((2, 7, 9)).astype(np.float32)
    found = saved(plane, "CYX", tmp_path / "plane")
    np.testing.assert_array_equal(found.whole(), plane)
    np.testing.assert_array_equal(found.turned().whole(), plane.swapaxes(1, 2))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param({"channels": (1,)}, STACK[0][:, 1:], id="a-channel"),
        pytest.param({"channels": (1, 0)}, STACK[0][:, ::-1], id="channels-exchanged"),
        pytest.param({"frames": "but last"}, STACK[0][:-1], id="but-last"),
        pytest.param({"frames": "but first", "channels": (0,)}, STACK[0][1:, :1], id="but-first"),
        pytest.param({"frames": "mean"}, STACK[0].mean(0, keepdims=True), id="mean"),
    ],
)
def test_a_view_takes_parts_of_a_file(
    view: dict[str, object], expected: np.ndarray, tmp_path: Path
) -> None:
    write_image(Image(STACK[0], Axes("TCZYX")), tmp_path / "im.tif")
    with open_view(View(tmp_path / "im.tif", "im", **view)) as source:
        found = kept(source, tmp_path / "pixels")
        assert source.info.canonical_shape == (1, *expected.shape)
    np.testing.assert_allclose(found.whole()[0], expected, rtol=1e-6)


def test_percentiles_are_those_of_numpy_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "BLOCK", 1000)
    stack = (RNG.gamma(2, 400, (6, 60, 70)) - 300).astype(np.float32)
    for side in ("source", "GT"):
        (tmp_path / "data" / side).mkdir(parents=True)
        write_image(Image(stack, Axes("ZYX")), tmp_path / "data" / side / "im.ome.zarr")
    (opened,) = opened_stacks(tmp_path / "data", "ZYX", (4, 16, 16))
    statistics = opened.source_statistics
    for percent in (2, 99.8, 99.9):
        assert statistics.level(percent)[0] == pytest.approx(np.percentile(stack, percent))
    assert statistics.mean[0] == pytest.approx(stack.mean(dtype=np.float64))
    assert statistics.square[0] == pytest.approx((stack.astype(np.float64) ** 2).mean())


def _write(folder: Path, slices: int, ending: str) -> Path:
    stack = np.random.default_rng(slices).integers(0, 60_000, (slices, 192, 192)).astype(np.uint16)
    for side in ("source", "GT"):
        (folder / side).mkdir(parents=True)
        write_image(Image(stack, Axes("ZYX")), folder / side / f"im{ending}")
    return folder


@pytest.mark.parametrize("ending", [".ome.zarr", ".tif"])
def test_memory_does_not_grow_with_the_stacks(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From opening to the tenth batch: three times the slices, hardly more memory. They are stored
    in chunks of 56."""
    monkeypatch.setattr(pixels, "BLOCK", 1 << 17)
    monkeypatch.setattr(patches, "_AT_ONCE", 1 << 18)
    monkeypatch.setattr(ChunkReader, "LIMIT", 1 << 20)
    config = load_config(None, ["patches.size=[8,32,32]", "training.batch_size=4"])
    peaks = []
    for slices in (112, 336):
        data = _write(tmp_path / f"data{slices}", slices, ending)
        tracemalloc.start()
        dataset = open_dataset(data, config, tmp_path / f"scratch{slices}")
        source = dataset.training_patches()
        for k in range(10):
            source.batch(k)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 336 * 192 * 192 * 2  # bytes of one of the two stacks


def test_zarr_is_not_copied(tmp_path: Path) -> None:
    data = _write(tmp_path / "data", 8, ".ome.zarr")
    config = load_config(None, ["patches.size=[8,32,32]", "training.batch_size=2"])
    dataset = open_dataset(data, config, tmp_path / "scratch")
    dataset.training_patches().batch(0)
    assert not (tmp_path / "scratch").exists()


def test_threads_read_what_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than are kept open, read by the stream's threads at the same time."""
    monkeypatch.setattr(pixels, "_MOST_OPEN", 1)
    data = _write(tmp_path / "data", 8, ".ome.zarr")
    config = load_config(None, ["patches.size=[8,32,32]", "training.batch_size=4"])
    source = open_dataset(data, config, tmp_path / "scratch").training_patches()
    for k, (before, after) in enumerate(stream(source.batch, 0, 6)):
        expected = source.batch(k)
        np.testing.assert_array_equal(before, expected[0])
        np.testing.assert_array_equal(after, expected[1])


@pytest.mark.parametrize("augment", ["true", "flips"])
def test_patches_of_volumes_are_never_turned_across_z(augment: str, tmp_path: Path) -> None:
    """Each slice has grey levels of its own, that rise with Z: so they do in every patch, while Y
    and X are seen from all sides."""
    z, y, x = np.mgrid[:12, :40, :40]
    volume = (1600 * z + 40 * y + x).astype(np.uint16)
    for side in ("source", "GT"):
        for index in range(2):
            path = tmp_path / "data" / side / f"im{index}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(Image(volume, Axes("ZYX")), path)
    told = ["patches.size=[4,8,8]", "patches.background=0", f"patches.augment={augment}"]
    config = load_config(None, [*told, "normalization.mode=fixed", "training.batch_size=8"])
    dataset = open_dataset(tmp_path / "data", config, tmp_path / "scratch")
    source = dataset.training_patches()
    ways = set()
    for k in range(12):
        levels = dataset.intensities.source[0].invert(source.batch(k)[0])[:, 0].round()
        np.testing.assert_array_equal(np.diff(levels, axis=1), 1600)
        for patch in levels:
            ways.add((patch[0, 1, 0] - patch[0, 0, 0], patch[0, 0, 1] - patch[0, 0, 0]))
    assert ways == (
        {(40, 1), (-40, 1), (40, -1), (-40, -1)}
        | ({(1, 40), (-1, 40), (1, -40), (-1, -40)} if augment == "true" else set())
    )
