"""One pair of a recipe: the specimen, its light, and what the camera makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.images.image import Calibration, Image
from care_bridge.simulation.acquisition import Light, Sensor, hot_pixels, sample, upsample
from care_bridge.simulation.blur import blur, read_psf
from care_bridge.simulation.camera import Camera
from care_bridge.simulation.fields import random_field
from care_bridge.simulation.grid import Grid
from care_bridge.simulation.psf import MODES, Optics, psf_plane, psf_volume
from care_bridge.simulation.ranges import draw, draw_many
from care_bridge.simulation.recipe import Recipe
from care_bridge.simulation.specimens.drawing import Points, directions


@dataclass(frozen=True)
class SimulatedPair:
    """A scene as it was taken and as it should be.

    sources: one image, or one for each exposure where they go into folders of their own. target:
    float32. drawn: the values that were drawn from the recipe's ranges.
    """

    sources: tuple[Image, ...]
    target: Image
    drawn: dict[str, Any]


def simulate_pair(recipe: Recipe, index: int) -> SimulatedPair:
    """Pair number `index`, a function of the recipe (with its seed) and the number alone."""
    streams = np.random.SeedSequence([recipe.seed, index]).spawn(5)
    optics_rng, scene_rng, motion_rng, light_rng, camera_rng = map(np.random.default_rng, streams)
    optics = _optics(recipe, optics_rng)
    grid = Grid(recipe.size, _spacing(recipe, optics))
    frames = _frames(recipe, grid, scene_rng, motion_rng)
    blurred = _blurred(frames, _psf(recipe, optics))
    photons = draw(recipe.exposure, "photons", light_rng)
    scale = photons / max(_brightest(blurred[0]), 1e-12)
    background = photons * _background(recipe, grid, light_rng)
    decay = _decay(recipe, light_rng, len(frames))
    light = decay * (np.float32(scale) * blurred + background)
    camera = Camera(
        gain=draw(recipe.camera, "gain", camera_rng),
        offset=draw(recipe.camera, "offset", camera_rng),
        read_noise=draw(recipe.camera, "read_noise", camera_rng),
    )
    average = round(draw(recipe.exposure, "average", camera_rng))
    taken = sample(light, recipe.sampling)
    sensor = Sensor(camera, _hot(recipe, taken.shape[-2:], camera_rng))
    exposures = [
        sensor.record(np.float32(dose) * taken, average, camera_rng)
        for dose in recipe.exposure.doses
    ]
    if recipe.exposure.average[1] > 1:
        exposures = [exposure.astype(np.float32) for exposure in exposures]
    if recipe.target.image == "average":
        dark = Sensor(camera, np.zeros(grid.shape[-2:], np.float32))
        wanted = dark.record(light, recipe.target.average, camera_rng).astype(np.float32)
    else:
        match recipe.target.image:
            case "expected":
                clean = blurred
            case "ideal":
                clean = _blurred(frames, _computed_psf(recipe, optics.ideal))
            case "structure":
                clean = frames
        kept = background if recipe.target.background else np.float32(0)
        wanted = camera.mean(decay * (np.float32(scale) * clean + kept))
    bin_area = recipe.sampling.binning**2
    if bin_area > 1:
        # A bin adds up the light of its pixels: the target is in the source's grey levels.
        wanted = np.asarray(camera.offset + bin_area * (wanted - camera.offset), np.float32)
    return SimulatedPair(
        _source_images(recipe, optics, exposures, light.shape),
        _target_image(recipe, optics, wanted),
        {
            "photons": photons,
            "average": average,
            "optics": asdict(optics),
            "camera": asdict(camera),
        },
    )


def _optics(recipe: Recipe, rng: np.random.Generator) -> Optics:
    names = [
        name for name in Optics.__dataclass_fields__ if name not in ("confocal", "aberrations")
    ]
    return Optics(
        **{name: draw(recipe.optics, name, rng) for name in names},
        confocal=recipe.optics.confocal,
        aberrations=tuple(draw(recipe.aberrations, mode, rng) for mode in MODES),
    )


def _frames(
    recipe: Recipe, grid: Grid, scene_rng: np.random.Generator, motion_rng: np.random.Generator
) -> Light:
    """The specimen's brightness, T[Z]YX."""
    placed = recipe.specimen.place(grid, scene_rng)
    movie = recipe.movie
    step = np.sqrt(2 * draw(movie, "diffusion", motion_rng) * movie.interval)
    speed = draw(movie, "speed", motion_rng)
    velocity = speed * movie.interval * directions(placed.count, grid.dimensions, motion_rng)
    shifts: Points = np.zeros((placed.count, grid.dimensions))
    frames = []
    for _ in range(movie.frames):
        frames.append(placed.render(shifts))
        shifts = shifts + velocity + step * motion_rng.standard_normal(shifts.shape)
    return np.stack(frames)


def _spacing(recipe: Recipe, optics: Optics) -> tuple[float, ...]:
    """Micrometres between pixels along [Z,] Y, X."""
    return (optics.z_step, optics.pixel_size, optics.pixel_size)[-len(recipe.size) :]


def shared_psf(recipe: Recipe) -> Image | None:
    """The point spread function of all sources; None where each pair draws its own."""
    drawn = [*vars(recipe.aberrations).values()]
    drawn += [value for value in vars(recipe.optics).values() if isinstance(value, tuple)]
    fixed = all(low == high for low, high in drawn)
    if not (fixed or recipe.optics.psf):
        return None
    optics = _optics(recipe, np.random.default_rng(0))
    axes = Axes("ZYX"[3 - len(recipe.size) :])
    sizes = dict(zip(axes, _spacing(recipe, optics), strict=True)) if fixed else {}
    return Image(_psf(recipe, optics), axes, Calibration(sizes, "micron"))


def _psf(recipe: Recipe, optics: Optics) -> Light:
    if recipe.optics.psf:
        return read_psf(Path(recipe.optics.psf), len(recipe.size), _spacing(recipe, optics))
    return _computed_psf(recipe, optics)


def _computed_psf(recipe: Recipe, optics: Optics) -> Light:
    return psf_plane(optics) if len(recipe.size) == 2 else psf_volume(optics, recipe.size[0])


def _blurred(frames: Light, kernel: Light) -> Light:
    return np.stack([blur(frame, kernel) for frame in frames])


def _brightest(image: Light) -> float:
    """Brightness of the bright structures, however few of the pixels they fill."""
    bright = image[image > 0.1 * image.max()]
    return float(np.percentile(bright, 99)) if bright.size else 0.0


def _background(recipe: Recipe, grid: Grid, rng: np.random.Generator) -> Light:
    """Background as a share of the photons, [Z]YX."""
    section = recipe.background
    level, contrast = draw(section, "level", rng), draw(section, "contrast", rng)
    scale, exponent = draw(section, "scale", rng), draw(section, "exponent", rng)
    uneven = 1 + np.float32(contrast) * random_field(grid, scale, exponent, rng)
    return np.asarray(np.float32(level) * np.maximum(uneven, 0), np.float32)


def _decay(recipe: Recipe, rng: np.random.Generator, frames: int) -> Light:
    """Share of the light that is left in each frame, T[Z]YX with lengths 1 but for T."""
    times = np.arange(frames) * recipe.movie.interval
    left = np.exp(-draw(recipe.movie, "bleaching", rng) * times)
    return np.asarray(left, np.float32).reshape(-1, *[1] * len(recipe.size))


def _hot(recipe: Recipe, shape: tuple[int, ...], rng: np.random.Generator) -> Light:
    height, width = shape
    share = draw(recipe.camera, "hot_pixels", rng)
    if share == 0:
        return np.zeros((height, width), np.float32)
    electrons = draw_many(recipe.camera, "hot_electrons", height * width, rng)
    return hot_pixels((height, width), share, electrons, rng)


def _source_images(
    recipe: Recipe, optics: Optics, exposures: list[NDArray[np.generic]], shape: tuple[int, ...]
) -> tuple[Image, ...]:
    sampling = recipe.sampling
    coarser = sampling.binning > 1 or sampling.z_factor > 1
    factors = (sampling.z_factor, sampling.binning, sampling.binning)
    if coarser and sampling.upsample:
        exposures = [upsample(exposure, shape, sampling) for exposure in exposures]
        factors = (1.0, 1, 1)
    axes = "T" + "ZYX"[3 - len(recipe.size) :]
    if len(exposures) > 1 and recipe.exposure.arrange == "channels":
        exposures = [np.stack(exposures, axis=-3)]
        axes = axes[:-2] + "CYX"
    return tuple(_image(recipe, optics, pixels, axes, factors) for pixels in exposures)


def _target_image(recipe: Recipe, optics: Optics, wanted: Light) -> Image:
    axes = "T" + "ZYX"[3 - len(recipe.size) :]
    if recipe.target.projection != "none":
        along = axes.index("Z")
        wanted = wanted.max(along) if recipe.target.projection == "max" else wanted.mean(along)
        axes = axes.replace("Z", "")
    return _image(recipe, optics, wanted, axes, (1.0, 1, 1))


def _image(
    recipe: Recipe,
    optics: Optics,
    pixels: NDArray[np.generic],
    axes: str,
    factors: tuple[float, float, float],
) -> Image:
    """An image without T where there is one frame; factors: its voxel size over the recipe's."""
    steps = dict(zip("ZYX", (optics.z_step, optics.pixel_size, optics.pixel_size), strict=True))
    sizes = {
        letter: steps[letter] * factor
        for letter, factor in zip("ZYX", factors, strict=True)
        if letter in axes
    }
    movie = recipe.movie
    calibration = Calibration(sizes, "micron", movie.interval if movie.frames > 1 else None)
    if movie.frames == 1:
        pixels, axes = pixels[0], axes[1:]
    return Image(pixels, Axes(axes), calibration)
