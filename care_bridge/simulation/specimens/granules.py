"""Granules: small round spots of several sizes, such as vesicles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from care_bridge.simulation.grid import Grid
from care_bridge.simulation.ranges import Range, draw, ranged
from care_bridge.simulation.specimens.drawing import (
    MOST_POINTS,
    Placed,
    Points,
    Scene,
    scatter,
    splat,
    wrapped,
)

_SIZES = 4


@dataclass(frozen=True)
class Granules:
    """Spots with a Gaussian profile; lengths in micrometres.

    diameter: full width at half maximum; each spot has one of four sizes, drawn from this range
    for an image. spacing: one spot for each spacing^2 of a plane, spacing^3 of a volume.
    brightness_spread: standard deviation of the logarithm of a spot's brightness.
    """

    diameter: Range = ranged(0.1, 0.5, least=1e-3, most=1e3, log=True)
    spacing: Range = ranged(1.5, least=1e-2, most=1e5, log=True)
    brightness_spread: Range = ranged(0.4, most=2)

    def place(self, grid: Grid, rng: np.random.Generator) -> Placed:
        """Spots in random places."""
        spacing = draw(self, "spacing", rng)
        spread = draw(self, "brightness_spread", rng)
        diameters = [draw(self, "diameter", rng) for _ in range(_SIZES)]
        margin = max(diameters)
        places = scatter(grid, spacing, margin, rng, MOST_POINTS)
        brightness = rng.lognormal(0, spread, len(places))
        sorts = rng.integers(_SIZES, size=len(places))

        def render(shifts: Points) -> Scene:
            scene = np.zeros(grid.shape, np.float32)
            centres = wrapped(grid, places + shifts, margin)
            for sort, diameter in enumerate(diameters):
                chosen = sorts == sort
                sigmas = diameter / 2.355 / np.array(grid.spacing)
                # Peaks of the spots' brightness, and of less where a spot is smaller than a pixel
                weights = brightness[chosen] * np.prod(np.sqrt(2 * np.pi) * sigmas)
                points = splat(grid, centres[chosen], weights)
                scene += gaussian_filter(points, sigmas, mode="constant")
            return scene

        return Placed(len(places), render)
