"""Overlapping tiles blended into each other: for networks whose output depends on a whole tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from care_bridge.tiling import Tile, TileGrid


class Blender:
    """Adds up the outputs of the tiles of one block, each weighted by ramps towards its neighbours
    (`ramps`), and gives out what no later tile touches.

    Tiles come in the grid's order. What a tile keeps ends where the next one begins, so all that
    covers it came before. Held are the sums of one row of tiles along the grid's first axis.
    """

    def __init__(self, grid: TileGrid, axes: str, channels: int) -> None:
        """axes: of the outputs, C first; axes that the grid does not tile have length 1."""
        self._axes = axes[1:]
        self._weights = {axis: ramps(grid, axis) for axis in grid.limits}
        tiles = list(grid)
        self._first = next(iter(grid.limits))
        self._origin = {axis: tiles[0].spans[axis].start for axis in grid.limits}
        lengths = {axis: tiles[-1].spans[axis].stop - self._origin[axis] for axis in grid.limits}
        lengths[self._first] = grid.tile[self._first]
        shape = [lengths.get(axis, 1) for axis in self._axes]
        self._sums = np.zeros((channels, *shape), np.float32)
        self._row = self._origin[self._first]

    def add(self, tile: Tile, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add a tile's whole output (C, …); what the tile keeps, complete."""
        self._move_to(tile.spans[self._first].start)
        weighted = output
        for dimension, axis in enumerate(self._axes, 1):
            if axis in tile.spans:
                weights = self._weights[axis][tile.spans[axis].start]
                along = [1] * output.ndim
                along[dimension] = -1
                weighted = weighted * weights.reshape(along)
        self._sums[self._place(tile, "read")] += weighted
        return self._sums[self._place(tile, "keep")].copy()

    def _move_to(self, row: int) -> None:
        """Forget the rows before `row`."""
        if self._row == row:
            return
        dimension = 1 + self._axes.index(self._first)
        moved = np.moveaxis(self._sums, dimension, 0)
        done = min(row - self._row, len(moved))
        moved[: len(moved) - done] = moved[done:].copy()
        moved[len(moved) - done :] = 0
        self._row = row

    def _place(self, tile: Tile, which: str) -> tuple[slice, ...]:
        place = [slice(None)]
        for axis in self._axes:
            if axis not in tile.spans:
                place.append(slice(None))
                continue
            span: slice = getattr(tile.spans[axis], which)
            origin = self._row if axis == self._first else self._origin[axis]
            place.append(slice(span.start - origin, span.stop - origin))
        return tuple(place)


def ramps(grid: TileGrid, axis: str) -> dict[int, NDArray[np.float32]]:
    """For each tile along an axis, by its start, its pixels' weights: rising linearly over the
    grid's blend from a border that another tile overlaps, and together 1 at each pixel."""
    starts, tile = grid.starts(axis), grid.tile[axis]
    inside = np.arange(tile)
    total = np.zeros(starts[-1] + tile)
    raw = {}
    for start in starts:
        weights = np.ones(tile)
        if start > starts[0]:
            weights = np.minimum(weights, (inside + 1) / (grid.blend[axis] + 1))
        if start < starts[-1]:
            weights = np.minimum(weights, (tile - inside) / (grid.blend[axis] + 1))
        raw[start] = weights
        total[start : start + tile] += weights
    return {
        start: (weights / total[start : start + tile]).astype(np.float32)
        for start, weights in raw.items()
    }
