"""Places of objects, and drawing them onto a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from care_bridge.errors import ConfigError
from care_bridge.simulation.grid import Grid

Scene = NDArray[np.float32]
Points = NDArray[np.float64]

MOST_POINTS = 2e7
"""That memory holds, and that are drawn at once."""
_MOST_OBJECTS = 2e5


@dataclass(frozen=True)
class Placed:
    """Objects with their places, sizes and brightnesses.

    count: how many. render: makes the scene (brightness, no unit, shape of the grid) where each
    object is shifted by micrometres, (count, dimensions).
    """

    count: int
    render: Callable[[Points], Scene]


def few_enough(count: float, what: str, remedy: str, most: float = _MOST_OBJECTS) -> float:
    """`count`, or ConfigError where so many objects are more than can be drawn one by one."""
    if count > most:
        raise ConfigError(
            f"the specimen has {count:.2g} {what}, more than {most:.2g}: enlarge {remedy}, "
            "or make the field smaller"
        )
    return count


def scatter(
    grid: Grid,
    spacing: float,
    margin: float,
    rng: np.random.Generator,
    most: float = _MOST_OBJECTS,
) -> Points:
    """Random places, one for each spacing^dimensions of the field and `margin` around it, all in
    micrometres; at least one. ConfigError where that makes more than `most`."""
    extent = grid.extent + 2 * margin
    field = float(np.prod(extent))
    expected = few_enough(field / spacing**grid.dimensions, "objects", "specimen.spacing", most)
    count = max(int(rng.poisson(expected)), 1)
    return np.asarray(rng.uniform(0, 1, (count, grid.dimensions)) * extent - margin)


def keep_apart(places: Points, distance: float) -> Points:
    """Those places, in order, that are at least `distance` from all kept before them."""
    tree = cKDTree(places)
    kept = np.ones(len(places), bool)
    for number, place in enumerate(places):
        if kept[number]:
            near = tree.query_ball_point(place, np.nextafter(distance, 0))
            kept[near] = False
            kept[number] = True
    return places[kept]


def wrapped(grid: Grid, places: Points, margin: float | NDArray[np.float64]) -> Points:
    """Moved places, where those that have left the field and `margin` around it come in from the
    other side. places: (n, dimensions); margin: one or (n, 1); micrometres. What is inside stays
    exactly where it is."""
    period = grid.extent + 2 * margin
    return np.asarray(places - period * np.floor((places + margin) / period))


def splat(grid: Grid, places: Points, weights: NDArray[np.floating]) -> Scene:
    """Points as an image of their weights, each spread linearly over its nearest pixels; points
    outside are dropped. places: (n, dimensions), micrometres."""
    index = places / np.array(grid.spacing)
    corner = np.floor(index).astype(np.int64)
    fraction = index - corner
    cells, shares = [], []
    for steps in product((0, 1), repeat=grid.dimensions):
        cell = corner + np.array(steps)
        within = ((cell >= 0) & (cell < np.array(grid.shape))).all(axis=1)
        share = np.abs(1 - np.array(steps) - fraction[within]).prod(axis=1)
        cells.append(np.ravel_multi_index(tuple(cell[within].T), grid.shape))
        shares.append(share * weights[within])
    drawn = np.bincount(np.concatenate(cells), np.concatenate(shares), int(np.prod(grid.shape)))
    return drawn.reshape(grid.shape).astype(np.float32)


def window(
    grid: Grid, centre: NDArray[np.float64], reach: float
) -> tuple[tuple[slice, ...], list[NDArray[np.float32]]]:
    """The pixels within `reach` micrometres of `centre` along each axis.

    Returns their slices (possibly empty) and their offsets from the centre in micrometres, an
    array for each axis that broadcasts with the others.
    """
    slices, offsets = [], []
    for axis, (size, spacing) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        first = min(max(int(np.ceil((centre[axis] - reach) / spacing)), 0), size)
        last = min(max(int(np.floor((centre[axis] + reach) / spacing)) + 1, first), size)
        slices.append(slice(first, last))
        along = [1] * grid.dimensions
        along[axis] = -1
        offset = np.arange(first, last) * spacing - centre[axis]
        offsets.append(offset.astype(np.float32).reshape(along))
    return tuple(slices), offsets


def directions(count: int, dimensions: int, rng: np.random.Generator) -> Points:
    """Unit vectors in random directions, (count, dimensions)."""
    vectors = rng.standard_normal((count, dimensions))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
