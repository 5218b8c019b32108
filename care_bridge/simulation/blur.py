"""Blurring a scene with a point spread function, computed or measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from care_bridge.errors import ConfigError
from care_bridge.images import open_image


def blur(scene: NDArray[np.floating], kernel: NDArray[np.floating]) -> NDArray[np.float32]:
    """`scene` convolved with `kernel` (both YX or both ZYX), of the scene's shape.

    The kernel's centre is its middle pixel (size // 2). The scene goes on mirrored beyond its
    borders.
    """
    before = [size // 2 for size in kernel.shape]
    after = [(size - 1) // 2 for size in kernel.shape]
    padded = np.pad(scene, list(zip(after, before, strict=True)), "symmetric")
    # Long enough that nothing of the part that is kept has gone round.
    shape = [fft.next_fast_len(size, real=True) for size in padded.shape]
    spectrum = fft.rfftn(padded.astype(np.float32), shape)
    spectrum *= fft.rfftn(kernel.astype(np.float32), shape)
    blurred = fft.irfftn(spectrum, shape)
    kept = tuple(
        slice(full - 1, full - 1 + size)
        for full, size in zip(kernel.shape, scene.shape, strict=True)
    )
    return np.asarray(np.maximum(blurred[kept], 0), np.float32)


def read_psf(path: Path, dimensions: int) -> NDArray[np.float32]:
    """A point spread function from an image file, scaled to sum 1.

    It must have the simulated images' pixel size and z step, no background, and its centre in the
    middle pixel. Raises ConfigError where it is of other dimensions or has no light in it.
    """
    image = open_image(path)
    pixels = image.pixels.astype(np.float32)
    expected = "ZYX"[3 - dimensions :]
    if image.axes != expected:
        raise ConfigError(
            f"the point spread function {path} has axes {image.axes}: images with axes {expected} "
            f"need one with axes {expected}"
        )
    total = pixels.sum(dtype=np.float64)
    if not np.isfinite(total) or total <= 0 or pixels.min() < 0:
        raise ConfigError(
            f"the point spread function {path} is no distribution of light: give pixels that are "
            "not negative, some of them above 0"
        )
    return np.asarray(pixels / total, np.float32)
