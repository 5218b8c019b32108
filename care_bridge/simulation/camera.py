"""A camera: photons in, grey levels out, with the noise of low light.

    electrons   = Poisson(photons) + Normal(0, read_noise)
    grey levels = round(offset + gain * electrons), kept within 0 … 65535

so a flat scene of p photons has mean offset + gain*p and variance gain^2 (p + read_noise^2), plus
1/12 for the rounding (the photon transfer curve; Janesick, Photon Transfer, 2007). Needs numpy
only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING_VARIANCE = 1 / 12
_BRIGHTEST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Camera:
    """A scientific camera read out as uint16.

    gain: grey levels for each photo-electron. offset: grey level without light. read_noise:
    electrons, root mean square. "Photons" are detected ones, that is photo-electrons: the
    quantum efficiency is in them.
    """

    gain: float
    offset: float
    read_noise: float

    def mean(self, photons: NDArray[np.floating]) -> NDArray[np.float32]:
        """The grey levels that an endless average of exposures tends to: the truth.

        photons: expected photons in each pixel, any shape. Clipping is not counted in.
        """
        return (self.offset + self.gain * photons).astype(np.float32)

    def variance(self, photons: NDArray[np.floating]) -> NDArray[np.float32]:
        """The variance of one exposure, in grey levels squared; clipping is not counted in."""
        electrons = photons + self.read_noise**2
        return (self.gain**2 * electrons + _ROUNDING_VARIANCE).astype(np.float32)

    def expose(self, photons: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint16]:
        """One exposure of `photons` (expected photons in each pixel, any shape)."""
        electrons = rng.poisson(photons) + rng.normal(0, self.read_noise, photons.shape)
        grey_levels = np.rint(self.offset + self.gain * electrons)
        return np.clip(grey_levels, 0, _BRIGHTEST).astype(np.uint16)
