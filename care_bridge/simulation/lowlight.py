"""A good image, taken again in little light: the acquisition of the demo and the model cards.

Needs numpy only, as the demo runs on the base install.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.simulation.camera import Camera

DEMO_PHOTONS = 2.0
"""Photons in an average pixel of the demo's exposure, background included."""

SCMOS = Camera(gain=2.0, offset=100.0, read_noise=1.6)
"""A common sCMOS camera: 0.5 electrons a grey level, 1.6 electrons of read noise."""


def dim_exposure(
    image: NDArray[np.generic], photons: float, seed: int | Sequence[int], camera: Camera = SCMOS
) -> NDArray[np.uint16]:
    """One exposure of the scene that `image` shows, with `photons` in its average pixel.

    image: any shape, grey levels >= 0; they are taken as proportional to the light, the image's
    own background and noise included.
    """
    light = image.astype(np.float64) / image.mean(dtype=np.float64) * photons
    return camera.expose(light, np.random.default_rng(seed))
