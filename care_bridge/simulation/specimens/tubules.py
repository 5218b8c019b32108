"""Filaments: persistent random paths, from microtubules to mitochondria."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from care_bridge.simulation.grid import Grid
from care_bridge.simulation.ranges import Range, draw, draw_many, mean, ranged
from care_bridge.simulation.specimens.drawing import (
    MOST_POINTS,
    Placed,
    Points,
    Scene,
    directions,
    few_enough,
    splat,
    wrapped,
)

# A path reaches out of the field on both sides, but one far longer than the field need not.
_LONGEST_MARGIN = 10.0


@dataclass(frozen=True)
class Tubules:
    """Filaments; lengths in micrometres.

    persistence_length: of each filament; the mean cosine between its directions at two points a
    path s apart is exp(-s / persistence_length). diameter: full width at half maximum, one for
    an image. length: of each filament. spacing: mesh size; filaments have a total length of
    area / spacing in a plane and volume / spacing^2 in a volume. brightness_spread: standard
    deviation of the logarithm of a filament's brightness.
    """

    persistence_length: Range = ranged(10.0, least=1e-3, most=1e6, log=True)
    diameter: Range = ranged(0.03, least=1e-3, most=1e3, log=True)
    length: Range = ranged(30.0, least=1e-2, most=1e4, log=True)
    spacing: Range = ranged(2.5, least=1e-2, most=1e5, log=True)
    brightness_spread: Range = ranged(0.3, most=2)

    def place(self, grid: Grid, rng: np.random.Generator) -> Placed:
        """Filaments in random places and directions."""
        diameter = draw(self, "diameter", rng)
        spacing = draw(self, "spacing", rng)
        spread = draw(self, "brightness_spread", rng)
        mean_length = mean(self, "length")
        margin = min(mean_length / 2, _LONGEST_MARGIN)
        extent = grid.extent + 2 * margin
        total = float(np.prod(extent)) / spacing ** (grid.dimensions - 1)
        step = min(grid.spacing) / 2
        points_drawn = max(total, mean_length) / step
        few_enough(points_drawn, "points along filaments", "specimen.spacing", MOST_POINTS)
        expected = total / mean_length
        count = max(int(rng.poisson(expected)), 1)
        lengths = draw_many(self, "length", count, rng)
        persistence = draw_many(self, "persistence_length", count, rng)
        middles = rng.uniform(0, 1, (count, grid.dimensions)) * extent - margin
        paths = persistent_paths(lengths, persistence, step, grid.dimensions, rng)
        centred = [
            middle + path - path[len(path) // 2]
            for middle, path in zip(middles, paths, strict=True)
        ]
        sizes = [len(path) for path in paths]
        points = np.concatenate(centred)
        weights = np.repeat(rng.lognormal(0, spread, count), sizes)
        sigmas = [diameter / 2.355 / step for step in grid.spacing]

        def render(shifts: Points) -> Scene:
            # Point by point: what of a filament leaves on one side comes in on the other.
            moved = wrapped(grid, points + np.repeat(shifts, sizes, axis=0), margin)
            drawn = splat(grid, moved, weights)
            return np.asarray(gaussian_filter(drawn, sigmas, mode="constant"), np.float32)

        return Placed(count, render)


def persistent_paths(
    lengths: NDArray[np.float64],
    persistence_lengths: NDArray[np.float64],
    step: float,
    dimensions: int,
    rng: np.random.Generator,
) -> list[Points]:
    """Paths of the given lengths and persistence lengths (micrometres), with points `step` apart:
    (n, dimensions) each, starting at the origin in a random direction."""
    sizes = np.maximum((lengths / step).astype(int), 2)
    count, longest = len(lengths), int(sizes.max())
    if dimensions == 2:
        # The mean cosine falls by half the variance of the turn: 2 step / persistence.
        turns = (
            rng.standard_normal((count, longest)) * np.sqrt(2 * step / persistence_lengths)[:, None]
        )
        angles = rng.uniform(0, 2 * np.pi, (count, 1)) + np.cumsum(turns, axis=1)
        tangents = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    else:
        tangents = _tangents(count, longest, step / persistence_lengths, dimensions, rng)
    places = np.cumsum(step * tangents, axis=1)
    return [path[:size] for path, size in zip(places, sizes, strict=True)]


def _tangents(
    count: int,
    longest: int,
    variance: NDArray[np.float64],
    dimensions: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Directions that diffuse over the sphere, `variance` a step in each of its two directions."""
    tangents = np.empty((count, longest, dimensions))
    tangents[:, 0] = directions(count, dimensions, rng)
    kicks = rng.standard_normal((count, longest, dimensions)) * np.sqrt(variance)[:, None, None]
    for point in range(1, longest):
        before = tangents[:, point - 1]
        kick = kicks[:, point]
        across = kick - (kick * before).sum(axis=1, keepdims=True) * before
        # Turned by the length of the kick, along a great circle.
        angle = np.linalg.norm(across, axis=1, keepdims=True)
        tangents[:, point] = np.cos(angle) * before + np.sinc(angle / np.pi) * across
    return tangents
