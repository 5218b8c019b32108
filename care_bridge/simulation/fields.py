"""Random fields with a given spectrum: uneven background, and the texture inside of cells."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from care_bridge.resampling import interpolate
from care_bridge.simulation.grid import Grid

_SAMPLES_A_SCALE = 32


def random_field(
    grid: Grid, scale: float, exponent: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A Gaussian random field on `grid`, with expected mean 0 and, over all pixels, variance 1.

    Its power at spatial frequency f (cycles a micrometre) is proportional to
    (1 + (f scale)^2)^(-exponent/2): flat for features larger than `scale` micrometres, falling as
    f^-exponent below it. In the plane, exponent 4 falls as octaves of Perlin noise do of which
    each has half the size and half the amplitude of the one before. Features smaller than 1/16 of
    the scale are left out.
    """
    # Coarse where the grid is finer than the field needs; a scale longer than the grid, so that
    # opposite borders, which are neighbours to the Fourier transform, have nothing in common.
    steps = [max(spacing, scale / _SAMPLES_A_SCALE) for spacing in grid.spacing]
    shape = tuple(
        fft.next_fast_len(int(np.ceil(((size - 1) * spacing + scale) / step)) + 2, real=True)
        for size, spacing, step in zip(grid.shape, grid.spacing, steps, strict=True)
    )
    along = np.meshgrid(*_frequencies(shape, steps), indexing="ij", sparse=True)
    square = sum(f**2 for f in along)
    amplitude = (1 + square * scale**2) ** (-exponent / 4)
    amplitude[(0,) * len(shape)] = 0
    # Between two samples, at shares t and 1 - t, linear interpolation leaves
    # 1 - 2 t (1 - t) (1 - cos 2 pi f step) of the power at f.
    kept = [
        1 - 2 * _between(size, spacing / step) * (1 - np.cos(2 * np.pi * f * step))
        for f, step, size, spacing in zip(along, steps, grid.shape, grid.spacing, strict=True)
    ]
    # Columns between the first and the Nyquist column stand for two frequencies of the field.
    both = np.full(amplitude.shape[-1], 2.0)
    both[0] = 1
    if shape[-1] % 2 == 0:
        both[-1] = 1
    power = amplitude**2 * both * math.prod(kept)
    amplitude *= np.sqrt(np.prod(shape) / power.sum())
    noise = rng.standard_normal(shape, np.float32)
    field = fft.irfftn(fft.rfftn(noise) * amplitude.astype(np.float32), shape)
    for axis, (size, spacing, step) in enumerate(zip(grid.shape, grid.spacing, steps, strict=True)):
        # The field's points are the grid's where it is as fine.
        field = (
            field.take(np.arange(size), axis)
            if step == spacing
            else interpolate(field, axis, np.arange(size) * spacing / step)
        )
    return np.asarray(field, np.float32)


def _between(size: int, step: float) -> float:
    """The mean of t (1 - t) over `size` pixels that lie `step` samples apart."""
    share = np.arange(size) * step % 1
    return float(np.mean(share * (1 - share)))


def _frequencies(shape: tuple[int, ...], steps: list[float]) -> list[NDArray[np.floating]]:
    """Cycles a micrometre along each axis, in the order of `rfftn`."""
    *outer, last = zip(shape, steps, strict=True)
    return [np.fft.fftfreq(*axis) for axis in outer] + [np.fft.rfftfreq(*last)]
