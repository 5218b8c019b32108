"""Which tile: the one that computes the fewest pixels and fits the memory."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from care_bridge.axes import by_letter
from care_bridge.errors import OutOfMemoryError
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import ImageSource
from care_bridge.package.spec import ModelSpec
from care_bridge.package.steps import Operations
from care_bridge.tiling import AxisLimits, TileGrid

# CARE's default networks need 735 bytes a pixel in 2D and 550 in 3D (measured); a package that
# does not say is taken for somewhat more.
_UNKNOWN_MEMORY_PER_PIXEL = 1000.0

MIB = 1 << 20
GIB = 1 << 30
# Larger tiles gain next to nothing (8192 x 8192 at 4 GiB: 6 % above the useful pixels) and make
# progress coarse.
_LARGEST_BUDGET = 4 * GIB
_GPU_BUDGET = 2 * GIB
_DRIVER_SECONDS = 10.0
# For what Python and the engine need besides what is counted: threads, small buffers.
_RESERVE = 32 * MIB
# What a program holds differs by a few MiB from run to run: memory that is asked for is to suffice
# the next time.
_ASKED_STEP = 16 * MIB
_FLOAT = 4
# Bytes a pixel that interpolation needs besides its result.
_ZOOMING = 3 * _FLOAT
# Bytes a pixel that a formula needs: float64 before, after and in between.
_FORMULAS = 24


@dataclass(frozen=True)
class TileMemory:
    """What a tile may cost, in bytes: `budget` for all its pixels at `per_pixel` each; `base` is
    what the program uses besides, `blended` what each pixel of a row of tiles that are blended
    needs."""

    per_pixel: float
    budget: int
    base: int
    blended: int = 0

    def needed(self, grid: TileGrid) -> int:
        """What the program will use with these tiles."""
        tile = round(self.per_pixel * math.prod(grid.tile.values()))
        return self.base + tile + self.blended * grid.row


def program_memory() -> int:
    """Bytes that this program holds."""
    import psutil

    return psutil.Process().memory_info().rss


def automatic_memory(kept: int = 0) -> int:
    """Half of the main memory that is free, so that the user's other programs go on, and no more
    than tiles gain from. kept: bytes that this program holds and will use again."""
    import psutil

    return min((psutil.virtual_memory().available + kept) // 2, _LARGEST_BUDGET)


@dataclass(frozen=True)
class Before:
    """A loaded model before its first tile: what the engine keeps later for the next tile is no
    reason to plan that smaller.

    device: where it computes. factor: its engine's memory in parts of the package's
    memory_per_pixel. used: bytes of main memory that the program held. free: bytes that were free
    on an NVIDIA GPU, 0 where nobody knows.
    """

    device: str
    factor: float
    used: int
    free: int

    @classmethod
    def now(cls, device: str, factor: float) -> Before:
        """As it is now."""
        return cls(device, factor, program_memory(), _free_on_gpu(device))


def tile_memory(
    spec: ModelSpec,
    before: Before,
    most: int | None,
    source: ImageSource,
    result: ImageInfo,
    sink: int,
    beside: int,
) -> TileMemory:
    """What a tile may cost, so that the program uses at most `most` bytes of main memory, or of a
    GPU's (None: half of what is free, so that the user's other programs go on; a cautious constant
    on a GPU of which that is not known).

    sink: bytes that the result's sink will hold. beside: bytes of main memory for each pixel
    besides those of input and output.
    """
    engine = (spec.memory_per_pixel or _UNKNOWN_MEMORY_PER_PIXEL) * before.factor
    if spec.procedure.combination:
        engine *= _share_of_a_plane(spec, source.info)
    if spec.projects:
        engine *= source.info.sizes["Z"]
    finer = math.prod(max(place.up / place.down, 1) for place in spec.placement.values())
    engine *= finer
    if before.device != "cpu":
        automatic = min(before.free // 2, _LARGEST_BUDGET) or _GPU_BUDGET
        return TileMemory(engine, most or automatic, 0)
    base = before.used + source.memory + sink + _RESERVE
    # Two tiles are in memory as they are read and normalised, two as they come and are written.
    read = spec.channels_in * (source.info.dtype.itemsize + _FLOAT)
    if spec.projects:
        read *= source.info.sizes["Z"]
    if spec.procedure.zoom:
        read += spec.channels_in * _ZOOMING
    written = finer * (spec.channels_out * (result.dtype.itemsize + _FLOAT) + beside)
    if isinstance(spec.normalization, Operations):
        read += spec.channels_in * _FORMULAS
        written += finer * spec.channels_out * _FORMULAS
    kept = max(program_memory() - before.used, 0)
    budget = automatic_memory(kept) if most is None else most - base
    return TileMemory(engine + read + written, budget, base, spec.channels_out * _FLOAT)


def _share_of_a_plane(spec: ModelSpec, info: ImageInfo) -> float:
    """What of a tile goes through the network at once, at most, where that sees planes of it: one
    over the shortest edge that a tile can have."""
    edges = (
        min(limits.aligned_halo + limits.step, limits.padded(info.sizes[axis]))
        for axis, limits in spec.image_tiling.items()
        if axis != "Z"
    )
    return 1 / min(edges)


def _free_on_gpu(device: str) -> int:
    """Bytes that are free on "cuda:N", as NVIDIA's driver tells; 0 where nobody knows."""
    tool = shutil.which("nvidia-smi") if device.startswith("cuda") else None
    if tool is None:
        return 0
    asked = ["--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    number = device.partition(":")[2]
    # The engine counts the GPUs that it may see, the driver all of them, by number or by UUID.
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    which = visible[int(number)] if int(number) < len(visible) and any(visible) else number
    try:
        told = subprocess.run(
            [tool, *asked, "-i", which],
            capture_output=True,
            text=True,
            check=False,
            timeout=_DRIVER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 0
    return int(told.stdout) * MIB if told.stdout.strip().isdecimal() else 0


def plan_tiles(
    sizes: Mapping[str, int],
    limits: Mapping[str, AxisLimits],
    memory_per_pixel: float,
    budget: int,
    window: Mapping[str, slice] | None = None,
    base: int = 0,
) -> TileGrid:
    """The grid of equal tiles with the fewest computed pixels whose tile needs at most `budget`
    bytes; Z is cut only where no cut of Y and X is enough.

    sizes, limits, window: in pixels by axis, see TileGrid.fit. memory_per_pixel: bytes for each
    pixel of a tile. base: bytes needed besides. Raises OutOfMemoryError, which says how much is
    needed in all, where even the smallest tile needs more than the budget.
    """
    whole = TileGrid.fit(sizes, limits, window=window)
    largest_pixels = budget / memory_per_pixel
    candidates = {axis: list(_tile_sizes(whole, axis)) for axis in limits}
    depths = candidates.pop("Z", [1])
    for depth in depths:
        z_tile = {"Z": depth} if "Z" in limits else {}
        grids = [
            TileGrid.fit(sizes, limits, plane | z_tile, window)
            for plane in _planes(candidates, largest_pixels / depth)
        ]
        if grids:
            return min(grids, key=lambda grid: (grid.computed_share, len(grid)))
    smallest = {axis: limits[axis].smallest_tile for axis in limits}
    tile = {axis: min(size, smallest[axis]) for axis, size in whole.tile.items()}
    needed = base + math.prod(tile.values()) * memory_per_pixel
    asked = (math.ceil(needed / _ASKED_STEP) + 1) * _ASKED_STEP
    raise OutOfMemoryError(
        f"this model and image need at least {asked // MIB} MiB of memory, with the smallest tile "
        f"({by_letter(tile)}): give as much, or free some",
        tile,
    )


def _planes(candidates: Mapping[str, list[int]], largest_pixels: float) -> Iterator[dict[str, int]]:
    """For each height of a tile the widest one that fits."""
    widths = candidates["X"]
    for height in candidates["Y"]:
        fitting = bisect_left(widths, -largest_pixels / height, key=lambda width: -width)
        if fitting < len(widths):
            yield {"Y": height, "X": widths[fitting]}


def _tile_sizes(whole: TileGrid, axis: str) -> Iterator[int]:
    """The tile sizes of 1, 2, 3, … equal tiles along an axis, largest first."""
    limits, size, window = whole.limits[axis], whole.sizes[axis], whole.window[axis]
    tile = whole.tile[axis]
    yield tile
    while tile > limits.smallest_tile:
        only = TileGrid.fit(
            {axis: size}, {axis: limits}, {axis: tile - limits.step}, {axis: window}
        )
        tile = only.tile[axis]
        yield tile
