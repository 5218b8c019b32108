import itertools
import math
import re

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.errors import OutOfMemoryError
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.package.package import load_package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.planner import GIB, MIB, Before, plan_tiles, tile_memory
from care_bridge.runtime.restorer import Restorer
from care_bridge.tiling import AxisLimits, TileGrid

CARE_2D = {"Y": AxisLimits(4, 4, 40), "X": AxisLimits(4, 4, 40)}
CARE_3D = {axis: AxisLimits(4, 4, 22) for axis in "ZYX"}


@pytest.mark.parametrize(
    ("gib", "share"), [(0.25, 1.32), (1, 1.13), (4, 1.06)], ids=["0.25GiB", "1GiB", "4GiB"]
)
def test_computed_share_of_a_large_image_is_the_measured_one(gib, share):
    grid = plan_tiles({"Y": 8192, "X": 8192}, CARE_2D, 735, int(gib * GIB))
    assert grid.computed_share <= share + 0.005
    assert math.prod(grid.tile.values()) * 735 <= gib * GIB


@pytest.mark.parametrize("budget", [60_000, 100_000, 200_000])
def test_no_other_tile_computes_less(budget):
    sizes = {"Y": 517, "X": 643}
    planned = plan_tiles(sizes, CARE_2D, 1, budget)
    tried = [
        TileGrid.fit(sizes, CARE_2D, {"Y": y, "X": x})
        for y, x in itertools.product(range(84, 524, 4), range(84, 648, 4))
    ]
    fitting = [grid for grid in tried if math.prod(grid.tile.values()) <= budget]
    assert planned.computed_share == min(grid.computed_share for grid in fitting)


def test_z_is_cut_only_where_it_must_be():
    sizes = {"Z": 100, "Y": 512, "X": 512}
    assert plan_tiles(sizes, CARE_3D, 550, GIB).tile["Z"] == 100
    assert plan_tiles(sizes, CARE_3D, 550, GIB // 8).tile["Z"] < 100


def test_memory_below_the_smallest_tile_is_an_error_that_says_what_is_needed():
    with pytest.raises(OutOfMemoryError, match=r"at least (\d+) MiB .*Y=84, X=84") as caught:
        plan_tiles({"Y": 1000, "X": 1000}, CARE_2D, 735, 1 << 20, base=200 * MIB)
    # 84 x 84 x 735 bytes are 5 MiB
    assert 205 < int(re.findall(r"\d+", str(caught.value))[0]) < 205 + 32
    assert caught.value.tile == {"Y": 84, "X": 84}


@pytest.mark.parametrize(
    ("told", "visible", "device", "budget"),
    [
        pytest.param("7000", "", "cuda:1", 3500 * MIB, id="free"),
        pytest.param("7000", "3,1", "cuda:1", 3500 * MIB, id="by its own number"),
        pytest.param("7000", "1", "cuda:0", 3500 * MIB, id="the only visible one"),
        pytest.param("80000", "", "cuda:1", 4 * GIB, id="more than tiles gain from"),
        pytest.param("[N/A]", "", "cuda:1", 2 * GIB, id="not told"),
        pytest.param("", "", "cuda:1", 2 * GIB, id="nothing"),
        pytest.param("7000", "", "cuda:0", 2 * GIB, id="another one"),
    ],
)
def test_on_a_gpu_half_of_what_its_driver_says_is_free(
    tmp_path, monkeypatch, told, visible, device, budget
):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$4" = 1 ] && echo "{told}"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    before = Before.now(device, 1.0)
    tool.unlink()  # asked once: what the engine keeps is not free any more, but its own
    spec = load_package("denoise-2d").spec
    source = ImageInMemory(Image(np.zeros((9, 9), np.uint8), Axes("YX")))
    assert tile_memory(spec, before, None, source, source.info, 0, 0).budget == budget
    assert tile_memory(spec, before, GIB, source, source.info, 0, 0).budget == GIB


def test_an_engine_that_needs_more_gets_smaller_tiles():
    spec = load_package("denoise-2d").spec
    source = ImageInMemory(Image(np.zeros((9, 9), np.uint8), Axes("YX")))
    costs = [
        tile_memory(spec, Before("cpu", factor, 0, 0), GIB, source, source.info, 0, 0).per_pixel
        for factor in (1.0, 1.35)
    ]
    assert costs[1] - costs[0] == pytest.approx(0.35 * spec.memory_per_pixel)


def test_images_in_memory_count():
    """What a program holds anyway leaves less for tiles."""
    pixels = np.zeros((4096, 4096), np.float32)
    source = ImageInMemory(Image(pixels, Axes("YX")))
    restorer = Restorer("denoise-2d", RestoreOptions(memory=GIB // 2, device="cpu"))
    in_memory, to_disk = restorer.plan(source), restorer.plan(source, sink=0)
    assert in_memory.memory >= 2 * pixels.nbytes
    tiles = [math.prod(plan.grid.tile.values()) for plan in (in_memory, to_disk)]
    assert tiles[0] < tiles[1]
