"""Blurring a scene with a point spread function, computed or measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from care_bridge.errors import ConfigError
from care_bridge.images import open_image
from care_bridge.images.image import Calibration
from care_bridge.images.units import convert_length

# Of a file: share of the light below its darkest pixel, pixels between centre and middle, and
# between the voxel sizes.
_MOST_GROUND = 0.1
_MOST_OFF = 1.0
_TOLERANCE = 0.01


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


def read_psf(
    path: Path, dimensions: int, spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """A point spread function from an image file, scaled to sum 1.

    spacing: micrometres between the pixels of the images to be blurred, by axis; a file that says
    others is refused. It must have no background, and its centre in the middle. Raises ConfigError
    where that is not so, where it is of other dimensions or has no light in it.
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
    _check_ground(pixels / total, path)
    _check_centre(pixels / total, path)
    if spacing is not None:
        _check_spacing(image.info.calibration, expected, spacing, path)
    return np.asarray(pixels / total, np.float32)


def _check_ground(shares: NDArray[np.floating], path: Path) -> None:
    ground = float(shares.min()) * shares.size
    if ground > _MOST_GROUND:
        raise ConfigError(
            f"the point spread function {path} lies on a ground of {100 * ground:.0f} % of its "
            "light: subtract the camera's offset and the background"
        )


def _check_centre(shares: NDArray[np.floating], path: Path) -> None:
    """In a plane, the centre is that of the light; along the axis, where every plane holds as much
    light, that of the brightest pixel."""
    plane = shares.sum(axis=0) if shares.ndim == 3 else shares
    found = {
        letter: float((plane.sum(axis=1 - axis) * np.arange(size)).sum()) - size // 2
        for axis, (letter, size) in enumerate(zip("YX", plane.shape, strict=True))
    }
    most = {"Y": _MOST_OFF, "X": _MOST_OFF}
    if shares.ndim == 3:
        slices = len(shares)
        found["Z"] = int(shares.max(axis=(1, 2)).argmax()) - slices // 2
        most["Z"] = max(_MOST_OFF, slices / 10)
    off = {letter: by for letter, by in found.items() if abs(by) > most[letter]}
    if off:
        told = ", ".join(f"{letter} {by:+.1f}" for letter, by in off.items())
        raise ConfigError(
            f"the point spread function {path} has its centre {told} pixels off its middle pixel, "
            "and would shift the images: cut it out around its centre"
        )


def _check_spacing(
    calibration: Calibration, axes: str, spacing: Sequence[float], path: Path
) -> None:
    for axis, wanted in zip(axes, spacing, strict=True):
        size = calibration.voxel_size.get(axis)
        said = convert_length(size, calibration.unit or "", "micron") if size else None
        if said and abs(said / wanted - 1) > _TOLERANCE:
            raise ConfigError(
                f"the point spread function {path} has pixels of {said:.4g} micrometres along "
                f"{axis}, the images of {wanted:.4g}: resample it, or set optics.pixel_size and "
                "optics.z_step to its own"
            )
