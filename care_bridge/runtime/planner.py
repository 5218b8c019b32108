"""Which tile: the one that computes the fewest pixels and fits the memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from care_bridge.errors import OutOfMemoryError
from care_bridge.tiling import AxisLimits, TileGrid

# CARE's default networks need 735 bytes a pixel in 2D and 550 in 3D (measured); a package that
# does not say is taken for somewhat more.
UNKNOWN_MEMORY_PER_PIXEL = 1000.0

GIB = 1 << 30
# Larger tiles gain next to nothing (8192 x 8192 at 4 GiB: 6 % above the useful pixels) and make
# progress coarse.
_LARGEST_BUDGET = 4 * GIB
_GPU_BUDGET = 2 * GIB


def memory_budget(device: str) -> int:
    """Bytes that the engine may use on `device`: on a CPU half of what is free, so that the
    user's other programs go on; on a GPU, whose free memory is not known, a cautious constant."""
    if device != "cpu":
        return _GPU_BUDGET
    import psutil

    return min(psutil.virtual_memory().available // 2, _LARGEST_BUDGET)


def plan_tiles(
    sizes: Mapping[str, int],
    limits: Mapping[str, AxisLimits],
    memory_per_pixel: float,
    budget: int,
) -> TileGrid:
    """The grid of equal tiles with the fewest computed pixels whose tile needs at most `budget`
    bytes; Z is cut only where no cut of Y and X is enough.

    sizes, limits: in pixels by axis. memory_per_pixel: bytes for each pixel of a tile. Raises
    OutOfMemoryError where even the smallest tile needs more.
    """
    largest_pixels = budget / memory_per_pixel
    z_tiles = _tile_sizes(sizes["Z"], limits["Z"]) if "Z" in limits else iter([None])
    smallest: TileGrid | None = None
    for z_tile in z_tiles:
        grids = [
            TileGrid.fit(sizes, limits, largest)
            for largest in _planes(sizes, limits, z_tile, largest_pixels)
        ]
        if grids:
            return min(grids, key=lambda grid: (grid.computed_share, len(grid)))
        smallest = TileGrid.fit(
            sizes,
            limits,
            {axis: limits[axis].smallest_tile for axis in "YX"} | _only_z(z_tile),
        )
    assert smallest is not None
    needed = math.prod(smallest.tile.values()) * memory_per_pixel
    raise OutOfMemoryError(
        f"the smallest tile {smallest.tile} needs {needed / GIB:.2f} GiB, but only "
        f"{budget / GIB:.2f} GiB may be used: free some memory",
        smallest.tile,
    )


def _planes(
    sizes: Mapping[str, int],
    limits: Mapping[str, AxisLimits],
    z_tile: int | None,
    largest_pixels: float,
) -> Iterator[dict[str, int]]:
    """For each height of a tile the widest one that fits."""
    depth = z_tile or 1
    widths = list(_tile_sizes(sizes["X"], limits["X"]))
    for height in _tile_sizes(sizes["Y"], limits["Y"]):
        for width in widths:
            if depth * height * width <= largest_pixels:
                yield {"Y": height, "X": width} | _only_z(z_tile)
                break


def _tile_sizes(size: int, limits: AxisLimits) -> Iterator[int]:
    """The tile sizes of 1, 2, 3, … equal tiles along an axis, largest first."""
    tile = limits.padded(size)
    yield tile
    while tile > limits.smallest_tile:
        tile = TileGrid.fit({"": size}, {"": limits}, {"": tile - limits.step}).tile[""]
        yield tile


def _only_z(z_tile: int | None) -> dict[str, int]:
    return {} if z_tile is None else {"Z": z_tile}
