"""From light to recorded images: sampling, exposures, averages, hot pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.resampling import interpolate
from care_bridge.simulation.camera import Camera
from care_bridge.simulation.recipe import SamplingRecipe

Light = NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """A camera with its hot pixels.

    hot: electrons that each pixel (YX) gathers in an exposure without light.
    """

    camera: Camera
    hot: Light

    def record(self, light: Light, average: int, rng: np.random.Generator) -> NDArray[np.generic]:
        """`average` exposures of `light` (expected photons, …YX) as one image: uint16 for a single
        exposure, the mean as float32 for several."""
        electrons = light + self.hot
        if average == 1:
            return self.camera.expose(electrons, rng)
        total = np.zeros(light.shape)
        for _ in range(average):
            total += self.camera.expose(electrons, rng)
        return (total / average).astype(np.float32)


def hot_pixels(
    shape: tuple[int, int], share: float, electrons: NDArray[np.float64], rng: np.random.Generator
) -> Light:
    """Electrons by pixel (YX): those of `electrons` (one for each pixel) in a random `share` of
    the pixels, 0 in the others."""
    hot = rng.uniform(0, 1, shape) < share
    return np.where(hot, electrons.reshape(shape), 0).astype(np.float32)


def sample(light: Light, sampling: SamplingRecipe) -> Light:
    """`light` (…YX, or …ZYX where slices are left out) as the coarser grid takes it in.

    Pixels of a bin add up; pixels that fill no bin are cut off. Slices lie z_factor apart,
    interpolated where that is between two.
    """
    if sampling.z_factor > 1:
        light = _light(interpolate(light, light.ndim - 3, slice_positions(light, sampling)))
    bins = sampling.binning
    if bins > 1:
        height, width = (size // bins for size in light.shape[-2:])
        cut = light[..., : height * bins, : width * bins]
        light = _light(cut.reshape(*light.shape[:-2], height, bins, width, bins).sum(axis=(-3, -1)))
    return light


def slice_positions(light: Light, sampling: SamplingRecipe) -> NDArray[np.floating]:
    """Where the coarser slices lie, in slices of the finer stack."""
    count = int((light.shape[-3] - 1) / sampling.z_factor + 1e-9) + 1
    return np.arange(count) * sampling.z_factor


def upsample(
    image: NDArray[np.generic], shape: tuple[int, ...], sampling: SamplingRecipe
) -> NDArray[np.generic]:
    """A sampled image brought back to `shape` of the finer grid, linear, as float32."""
    pixels = image.astype(np.float32)
    if sampling.z_factor > 1:
        pixels = _light(
            interpolate(pixels, pixels.ndim - 3, np.arange(shape[-3]) / sampling.z_factor)
        )
    if sampling.binning > 1:
        for axis in (-2, -1):
            # The centre of a bin lies between its pixels.
            positions = (np.arange(shape[axis]) + 0.5) / sampling.binning - 0.5
            pixels = _light(interpolate(pixels, pixels.ndim + axis, positions))
    return pixels


def _light(pixels: NDArray[np.floating]) -> Light:
    return np.asarray(pixels, np.float32)
