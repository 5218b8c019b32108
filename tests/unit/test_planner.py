import itertools
import math

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.errors import OutOfMemoryError
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.package.package import load_package
from care_bridge.runtime.planner import GIB, MIB, plan_tiles, tile_memory
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
    with pytest.raises(OutOfMemoryError, match=r"smallest tile .* needs") as caught:
        plan_tiles({"Y": 1000, "X": 1000}, CARE_2D, 735, 1 << 20)
    assert caught.value.tile == {"Y": 84, "X": 84}


@pytest.mark.parametrize(
    ("told", "budget"),
    [("10000", 5000 * MIB), ("[N/A]", 2 * GIB), ("", 2 * GIB)],
    ids=["free", "not told", "nothing"],
)
def test_on_a_gpu_half_of_what_its_driver_says_is_free(tmp_path, monkeypatch, told, budget):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$4" = 1 ] && echo "{told}"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    spec = load_package("denoise-2d").spec
    source = ImageInMemory(Image(np.zeros((9, 9), np.uint8), Axes("YX")))
    memory = tile_memory(spec, "cuda:1", None, source, source.info, 0, 0)
    assert memory.budget == budget
    assert tile_memory(spec, "cuda:1", GIB, source, source.info, 0, 0).budget == GIB
