"""Phantom spheres of known size: beads, filled or stained at their surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from care_bridge.simulation.grid import Grid
from care_bridge.simulation.ranges import Range, draw, draw_many, ranged
from care_bridge.simulation.specimens.drawing import (
    Placed,
    Points,
    Scene,
    keep_apart,
    scatter,
    splat,
    window,
    wrapped,
)

_POINT_SIZE = 2.0


@dataclass(frozen=True)
class Spheres:
    """Balls; lengths in micrometres.

    diameter: of each ball. spacing: one ball for each spacing^2 of a plane, spacing^3 of a volume,
    at most; none lie nearer than the largest diameter. shell: thickness of the stained surface, 0
    for filled balls. brightness_spread: standard deviation of the logarithm of a ball's
    brightness. A plane shows their projection. Balls below two pixels are points of their light.
    """

    diameter: Range = ranged(1.0, least=1e-3, most=1e3, log=True)
    spacing: Range = ranged(3.0, least=1e-2, most=1e5, log=True)
    shell: Range = ranged(0.0, most=1e3)
    brightness_spread: Range = ranged(0.0, most=2)

    def place(self, grid: Grid, rng: np.random.Generator) -> Placed:
        """Balls in random places."""
        spacing = draw(self, "spacing", rng)
        shell = draw(self, "shell", rng)
        spread = draw(self, "brightness_spread", rng)
        largest = self.diameter[1]
        margin = largest / 2
        places = keep_apart(scatter(grid, spacing, margin, rng), largest)
        count = len(places)
        radii = draw_many(self, "diameter", count, rng) / 2
        brightness = rng.lognormal(0, spread, count)
        small = 2 * radii < _POINT_SIZE * max(grid.spacing)
        inner = np.maximum(radii - shell, 0) if shell else np.zeros_like(radii)
        volumes = 4 / 3 * np.pi * (radii**3 - inner**3)
        if grid.dimensions == 2:
            # The projection's light over the brightness of its middle
            volumes /= 2 * radii
        weights = brightness * volumes / np.prod(grid.spacing)

        def render(shifts: Points) -> Scene:
            centres = wrapped(grid, places + shifts, margin)
            scene = splat(grid, centres[small], weights[small])
            for number in np.flatnonzero(~small):
                ball = _ball(grid, centres[number], radii[number], inner[number])
                scene[ball[0]] += np.float32(brightness[number]) * ball[1]
            return scene

        return Placed(count, render)


def _ball(
    grid: Grid, centre: Points, radius: float, inner: float
) -> tuple[tuple[slice, ...], Scene]:
    """Where a ball lies in the grid, and its brightness there."""
    pixel = grid.spacing[-1]
    where, offsets = window(grid, centre, radius + pixel)
    square = np.asarray(sum(offset**2 for offset in offsets))
    if grid.dimensions == 2:
        chord = np.sqrt(np.maximum(radius**2 - square, 0))
        if inner:
            chord = chord - np.sqrt(np.maximum(inner**2 - square, 0))
        return where, np.asarray(chord / np.float32(radius), np.float32)
    distance = np.sqrt(square)
    # The border fades over one pixel.
    filled = np.clip((radius - distance) / pixel + 0.5, 0, 1)
    if inner:
        filled = filled - np.clip((inner - distance) / pixel + 0.5, 0, 1)
    return where, np.asarray(filled, np.float32)
