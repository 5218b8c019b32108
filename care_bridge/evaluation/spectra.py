"""Spectral isotropy: does a volume hold as much detail along Z as within its slices?

The energy spectrum of the whole volume (mean removed, Hann window) is averaged over shells of equal
spatial frequency, once within 45 degrees of the Z axis (axial) and once outside of it (lateral). In
a volume of arbitrarily oriented structures, isotropically resolved, the two agree and their ratio
is 1. Needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError

_SHELLS = 16
FEWEST_SLICES = 8
"""That a spectrum is taken of, as well as pixels along Y and X."""


@dataclass(frozen=True)
class Isotropy:
    """frequencies: of the shells' middles, cycles a length unit of `spacing`. axial, lateral: mean
    energy in each shell. ratio: of the axial to the lateral energy, averaged over shells as
    logarithm (a geometric mean)."""

    frequencies: NDArray[np.float64]
    axial: NDArray[np.float64]
    lateral: NDArray[np.float64]
    ratio: float


def spectral_isotropy(
    volume: NDArray[np.generic], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Isotropy:
    """The isotropy of `volume` (Z, Y, X), voxels `spacing` apart (any unit).

    Shells go up to the lowest of the axes' highest frequencies. Raises ImageError for fewer than
    8 slices or a constant volume.
    """
    if volume.ndim != 3 or min(volume.shape) < FEWEST_SLICES:
        raise ImageError(
            f"a volume of shape {volume.shape} is too small for its spectrum: at least "
            f"{FEWEST_SLICES} pixels along Z, Y and X are needed"
        )
    pixels = volume.astype(np.float64) - volume.mean(dtype=np.float64)
    if not pixels.any():
        raise ImageError("the volume is constant: it has no spectrum")
    for axis, size in enumerate(volume.shape):
        window = np.hanning(size + 2)[1:-1]
        pixels *= window.reshape([-1 if at == axis else 1 for at in range(3)])
    energy = np.abs(np.fft.fftn(pixels)) ** 2
    steps = zip(volume.shape, spacing, strict=True)
    along_z, along_y, along_x = np.meshgrid(
        *(np.fft.fftfreq(size, step) for size, step in steps), indexing="ij", sparse=True
    )
    across = np.hypot(along_y, along_x)
    frequency = np.hypot(along_z, across)
    edges = np.linspace(0, 0.5 / max(spacing), _SHELLS + 1)
    shell = np.digitize(frequency, edges) - 1
    near_axis = np.abs(along_z) > across
    kept, axial, lateral = [], [], []
    for index in range(1, _SHELLS):
        inside = shell == index
        if (inside & near_axis).any() and (inside & ~near_axis).any():
            kept.append((edges[index] + edges[index + 1]) / 2)
            axial.append(energy[inside & near_axis].mean())
            lateral.append(energy[inside & ~near_axis].mean())
    logs = np.log(np.array(axial) / np.array(lateral))
    return Isotropy(np.array(kept), np.array(axial), np.array(lateral), float(np.exp(logs.mean())))
