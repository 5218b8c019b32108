"""The regions of an image that workers restore each for itself. Integers, no pixels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from care_bridge.axes import CANONICAL
from care_bridge.images.image import ImageInfo
from care_bridge.tiling import TileGrid

Region = Mapping[str, slice]


def cut_into_regions(info: ImageInfo, pieces: tuple[int, ...], grid: TileGrid) -> list[Region]:
    """Windows (by axis S, T, Z, Y, X) that cover an image once, all channels in each.

    They end where stored pieces of the shape `pieces` (STCZYX) end, so no two of them write to
    the same piece; and they are about as large as what a tile of the grid keeps.
    """
    shape = dict(zip(CANONICAL, info.canonical_shape, strict=True))
    cuts = {}
    for axis, piece in zip(CANONICAL, pieces, strict=True):
        if axis == "C":
            continue
        step = piece
        if axis in grid.limits:
            kept = grid.tile[axis] - 2 * grid.limits[axis].aligned_halo
            step = max(kept // piece, 1) * piece
        cuts[axis] = [
            slice(start, min(start + step, shape[axis])) for start in range(0, shape[axis], step)
        ]
    return [dict(zip(cuts, bounds, strict=True)) for bounds in itertools.product(*cuts.values())]
