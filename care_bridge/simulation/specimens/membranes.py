"""Cell membranes: outlines of a sheet or block of cells, with dimmer insides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.simulation.fields import random_field
from care_bridge.simulation.grid import Grid
from care_bridge.simulation.ranges import Range, draw, ranged
from care_bridge.simulation.specimens.drawing import (
    Placed,
    Points,
    Scene,
    few_enough,
    wrapped,
)

# Cells lie on a lattice and are moved by up to this part of their diameter along each axis.
_JITTER = 0.4
# Of the lattice around the field, in diameters.
_MARGIN = 2.5
# How far from its centre a cell is drawn, in diameters: enough for almost every lattice. Cells that
# have moved leave gaps between them, for which it is widened.
_REACH = 1.6
_WIDER = 1.5
_BITS = 32


@dataclass(frozen=True)
class Membranes:
    """Cells that fill the field, parted by membranes; lengths in micrometres.

    diameter: of the cells, one for an image. thickness: of the membranes, full width at half
    maximum. inside: brightness of the cells' insides, relative to the membranes. waviness: how far
    membranes bend from straight, relative to the diameter. unevenness: standard deviation of the
    logarithm of brightness along the membranes.
    """

    diameter: Range = ranged(10.0, least=1e-2, most=1e4, log=True)
    thickness: Range = ranged(0.4, least=1e-3, most=1e3, log=True)
    inside: Range = ranged(0.1, most=100)
    waviness: Range = ranged(0.05, most=0.3)
    unevenness: Range = ranged(0.3, most=2)

    def place(self, grid: Grid, rng: np.random.Generator) -> Placed:
        """Cells in random places."""
        diameter = draw(self, "diameter", rng)
        thickness = draw(self, "thickness", rng)
        inside = draw(self, "inside", rng)
        waviness = draw(self, "waviness", rng) * diameter
        unevenness = draw(self, "unevenness", rng)
        centres = _lattice(grid, diameter, rng)
        cells = inside * rng.lognormal(0, 0.5, len(centres))
        exponent = 4.0 + grid.dimensions
        bends = [
            np.float32(waviness) * random_field(grid, diameter, exponent, rng) for _ in grid.shape
        ]
        stain = np.exp(np.float32(unevenness) * random_field(grid, 3 * thickness + 2, 4.0, rng))

        def render(shifts: Points) -> Scene:
            moved = wrapped(grid, centres + shifts, _MARGIN * diameter)
            borders = _borders(grid, moved, bends, diameter)
            # A membrane thinner than a voxel across it is one voxel thick and dimmer for it.
            drawn = np.maximum(borders.voxel, np.float32(thickness))
            profile = np.exp(np.float32(-4 * np.log(2)) * (borders.distance / drawn) ** 2)
            membrane = stain * np.float32(thickness) / drawn * profile
            return np.asarray(membrane + cells.astype(np.float32)[borders.nearest], np.float32)

        return Placed(len(centres), render)


@dataclass(frozen=True)
class _Borders:
    """Of each pixel: the distance to the plane between the two nearest centres and the size of a
    voxel across that plane, both in micrometres, and the number of the nearest centre."""

    distance: Scene
    voxel: Scene
    nearest: NDArray[np.int32]


def _lattice(grid: Grid, diameter: float, rng: np.random.Generator) -> Points:
    """A moved lattice of centres, `diameter` apart, in and around the field, micrometres."""
    few_enough(float(np.prod(grid.extent / diameter + 5)), "cells", "specimen.diameter")
    origin = rng.uniform(0, diameter, grid.dimensions)
    axes = [
        np.arange(-3 * diameter + start, extent + 2 * diameter, diameter)
        for start, extent in zip(origin, grid.extent, strict=True)
    ]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, grid.dimensions)
    return np.asarray(lattice + rng.uniform(-_JITTER, _JITTER, lattice.shape) * diameter)


def _borders(grid: Grid, centres: Points, bends: list[Scene], diameter: float) -> _Borders:
    """The cells' borders; bends: by how far each pixel is moved along each axis before it is
    looked up."""
    moved = [
        bend + (np.arange(size) * spacing).astype(np.float32).reshape(_along(grid, axis))
        for axis, (size, spacing, bend) in enumerate(
            zip(grid.shape, grid.spacing, bends, strict=True)
        )
    ]
    bent = max(float(np.abs(bend).max()) for bend in bends)
    reach = _REACH * diameter
    first, second = _two_nearest(grid, centres, moved, reach)
    # A centre beyond the reach of a pixel may be nearer than the second one that was found.
    while np.sqrt(_square(second).max()) + bent > reach:
        reach *= _WIDER
        first, second = _two_nearest(grid, centres, moved, reach)
    nearest, next_nearest = (_number(keys) for keys in (first, second))
    across = np.zeros(grid.shape, np.float32)
    voxel = np.zeros(grid.shape, np.float32)
    for places, spacing in zip(centres.T.astype(np.float32), grid.spacing, strict=True):
        square = (places[nearest] - places[next_nearest]) ** 2
        across += square
        voxel += square * np.float32(spacing**2)
    distance = (_square(second) - _square(first)) / (2 * np.sqrt(across))
    return _Borders(distance, np.sqrt(voxel / across), nearest)


def _two_nearest(
    grid: Grid, centres: Points, moved: list[Scene], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Squared distance and number of the two nearest centres of each pixel at `moved`, among those
    whose pixels lie within `reach` micrometres along each axis.

    A squared distance, as its bits, lies above the number of its centre: floats that are not
    negative sort as their bits do, so that minimum and maximum keep distance and number together.
    """
    lowest = np.ceil((centres - reach) / grid.spacing).clip(0, grid.shape).astype(int)
    behind = (np.floor((centres + reach) / grid.spacing) + 1).clip(0, grid.shape).astype(int)
    first = np.full(grid.shape, int(np.float32(np.inf).view(np.int32)) << _BITS, np.int64)
    second = first.copy()
    for number in np.flatnonzero((behind > lowest).all(axis=1)):
        where = tuple(map(slice, lowest[number], behind[number]))
        square = sum(
            (places[where] - centre) ** 2
            for places, centre in zip(moved, centres[number].astype(np.float32), strict=True)
        )
        keys = np.asarray(square).view(np.int32).astype(np.int64)
        keys <<= _BITS
        keys |= number
        one, two = first[where], second[where]
        np.minimum(two, np.maximum(one, keys), out=two)
        np.minimum(one, keys, out=one)
    return first, second


def _along(grid: Grid, axis: int) -> list[int]:
    """The shape of a line of values along one axis, which broadcasts with the grid."""
    return [-1 if at == axis else 1 for at in range(grid.dimensions)]


def _number(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    return (keys & ((1 << _BITS) - 1)).astype(np.int32)


def _square(keys: NDArray[np.int64]) -> Scene:
    return (keys >> _BITS).astype(np.int32).view(np.float32)
