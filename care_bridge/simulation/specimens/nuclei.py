"""Cell nuclei: ellipsoids with a wavy border, textured chromatin and dark nucleoli."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.simulation.fields import random_field
from care_bridge.simulation.grid import Grid
from care_bridge.simulation.ranges import Range, draw, draw_many, mean, ranged
from care_bridge.simulation.specimens.drawing import (
    Placed,
    Points,
    Scene,
    directions,
    keep_apart,
    scatter,
    window,
    wrapped,
)

_WAVES = 3
_CHROMATIN_SCALE = 2.0
_NUCLEOLUS_SCALE = 4.0
_STEEPEST = 3.5


@dataclass(frozen=True)
class Nuclei:
    """Nuclei; lengths in micrometres.

    diameter: of each nucleus, across its long axis. elongation: length of each over its diameter.
    spacing: one nucleus for each spacing^2 of a plane, spacing^3 of a volume, at most; centres
    lie at least `apart` mean lengths from each other. roughness: of the border, relative to the
    radius. texture: contrast of the chromatin (standard deviation of its logarithm). nucleoli:
    what they lack of the brightness around them, 0 to 1. brightness_spread: standard deviation of
    the logarithm of a nucleus' brightness.
    """

    diameter: Range = ranged(7.0, 10.0, least=1e-2, most=1e3)
    elongation: Range = ranged(1.0, 1.5, least=1.0, most=10)
    spacing: Range = ranged(12.0, least=1e-2, most=1e5, log=True)
    apart: Range = ranged(1.0, most=10)
    roughness: Range = ranged(0.05, most=0.3)
    texture: Range = ranged(0.3, most=2)
    nucleoli: Range = ranged(0.4, most=1.0)
    brightness_spread: Range = ranged(0.3, most=2)

    def place(self, grid: Grid, rng: np.random.Generator) -> Placed:
        """Nuclei in random places and directions."""
        spacing = draw(self, "spacing", rng)
        length = mean(self, "diameter") * mean(self, "elongation")
        distance = draw(self, "apart", rng) * length
        margin = length / 2
        places = keep_apart(scatter(grid, spacing, margin, rng), distance)
        count = len(places)
        radii = draw_many(self, "diameter", count, rng) / 2
        elongations = draw_many(self, "elongation", count, rng)
        brightness = rng.lognormal(0, draw(self, "brightness_spread", rng), count)
        axes = directions(count, grid.dimensions, rng)
        roughness = draw(self, "roughness", rng) * np.sqrt(2 / _WAVES)
        reaches = radii * elongations * (1 + _WAVES * roughness)
        waves = directions(count * _WAVES, grid.dimensions, rng) * rng.uniform(
            2, 5, (count * _WAVES, 1)
        )
        waves = waves.reshape(count, _WAVES, grid.dimensions)
        phases = rng.uniform(0, 2 * np.pi, (count, _WAVES))
        inside = _inside(grid, draw(self, "texture", rng), draw(self, "nucleoli", rng), rng)
        origins = rng.integers(0, grid.shape, (count, grid.dimensions))

        def render(shifts: Points) -> Scene:
            scene = np.zeros(grid.shape, np.float32)
            outside = np.maximum(reaches, margin)[:, None]
            for number, centre in enumerate(wrapped(grid, places + shifts, outside)):
                where, offsets = window(grid, centre, reaches[number])
                if scene[where].size == 0:
                    continue
                shape = _ellipsoid(offsets, radii[number], elongations[number], axes[number])
                border = 1 + roughness * _waves(offsets, waves[number], phases[number])
                filled = np.clip((border - shape) * radii[number] / grid.spacing[-1] + 0.5, 0, 1)
                texture = _moved(inside, origins[number], centre, where, grid)
                drawn = np.float32(brightness[number]) * filled * texture
                np.maximum(scene[where], drawn, out=scene[where])
            return scene

        return Placed(count, render)


def _ellipsoid(
    offsets: list[NDArray[np.float32]],
    radius: float,
    elongation: float,
    axis: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Distance from the centre, 1 at the surface of an ellipsoid elongated along `axis`."""
    square = sum(offset**2 for offset in offsets)
    along = sum(np.float32(part) * offset for part, offset in zip(axis, offsets, strict=True))
    shorter = np.float32(1 / elongation**2 - 1)
    return np.asarray(np.sqrt(np.maximum(square + shorter * along**2, 0)) / np.float32(radius))


def _waves(
    offsets: list[NDArray[np.float32]],
    waves: NDArray[np.float64],
    phases: NDArray[np.float64],
) -> NDArray[np.float32]:
    """A sum of cosines over the direction of the offsets."""
    length = np.sqrt(sum(offset**2 for offset in offsets))
    unit = [offset / np.maximum(length, np.float32(1e-6)) for offset in offsets]
    total = np.zeros(length.shape, np.float32)
    for wave, phase in zip(waves, phases, strict=True):
        angle = sum(np.float32(part) * u for part, u in zip(wave, unit, strict=True))
        total += np.cos(angle + np.float32(phase))
    return total


def _inside(grid: Grid, texture: float, nucleoli: float, rng: np.random.Generator) -> Scene:
    """Chromatin and nucleoli all over the grid, from which nuclei take their pieces."""
    chromatin = np.exp(
        np.float32(texture) * random_field(grid, _CHROMATIN_SCALE, 1.0 + grid.dimensions, rng)
    )
    lumps = random_field(grid, _NUCLEOLUS_SCALE, 4.0 + grid.dimensions, rng)
    holes = 1 / (1 + np.exp(np.float32(-2 * _STEEPEST) * (lumps - np.float32(1.3))))
    return np.asarray(chromatin * (1 - np.float32(nucleoli) * holes), np.float32)


def _moved(
    inside: Scene,
    origin: NDArray[np.int64],
    centre: NDArray[np.float64],
    where: tuple[slice, ...],
    grid: Grid,
) -> Scene:
    """The piece of `inside` that belongs to one nucleus, which takes it along when it moves."""
    shift = origin - np.rint(centre / np.array(grid.spacing)).astype(int)
    picked = [
        (np.arange(part.start, part.stop) + by) % size
        for part, by, size in zip(where, shift, grid.shape, strict=True)
    ]
    return np.asarray(inside[np.ix_(*picked)])
