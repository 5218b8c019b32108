"""Slices made to look like planes across Z: blurred, sampled more coarsely, interpolated back."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import CubicSpline

from care_bridge.errors import ConfigError, TrainingError
from care_bridge.images import open_image
from care_bridge.images.image import Calibration
from care_bridge.images.units import convert_length
from care_bridge.resampling import interpolate, zoom_positions
from care_bridge.simulation.blur import blur, read_psf
from care_bridge.simulation.psf import Optics, psf_volume
from care_bridge.training.sampling_config import IsotropicConfig

log = logging.getLogger(__name__)

# Of the lateral transfer function's square: what it falls below is noise rather than signal.
_REGULARIZATION = 1e-3
_MOST_SLICES = 1024
_SAME_SIZE = 0.01
_MOST_VOXELS = 1 << 26


def zoom_factor(config: IsotropicConfig, calibration: Calibration, name: str) -> float:
    """The z step over the pixel size: as configured, or by the voxel size of the file `name`.

    TrainingError where neither says it, or the slices are not farther apart than the pixels.
    """
    if config.factor is not None:
        return config.factor
    voxel = calibration.voxel_size
    if not {"Z", "X"} <= set(voxel):
        raise TrainingError(
            f"{name} does not say its voxel size along Z and X: set isotropic.factor to the z step "
            "over the pixel size"
        )
    factor = voxel["Z"] / voxel["X"]
    if factor <= 1:
        raise TrainingError(
            f"{name} has a z step of {voxel['Z']:g} and pixels of {voxel['X']:g}: slices nearer "
            "than pixels need no isotropic restoration; set isotropic.factor if that is wrong"
        )
    return factor


def pixel_size(calibration: Calibration) -> float | None:
    """Micrometres along X; None where they are not known. A size without a unit is in them."""
    size = calibration.voxel_size.get("X")
    return convert_length(size, calibration.unit or "micron", "micron") if size else None


def slice_kernel(
    config: IsotropicConfig, pixel: float | None, name: str
) -> NDArray[np.float32] | None:
    """What slices are blurred with, along Y as the microscope blurs along Z; None: nothing.

    pixel: that of the images, micrometres, None where they do not tell it. name: of one of them.
    ConfigError or TrainingError where the point spread function cannot be had.
    """
    if config.psf:
        psf = _of_file(Path(config.psf), pixel)
        return psf if psf.ndim == 2 else axial_kernel(psf)
    if config.numerical_aperture is None or config.wavelength is None:
        return None
    if not pixel:
        raise TrainingError(
            f"{name} does not say its pixel size in a unit of length, which the optics need: "
            "calibrate the images, or give isotropic.psf"
        )
    optics = Optics(
        numerical_aperture=config.numerical_aperture,
        wavelength=config.wavelength,
        refractive_index=config.refractive_index,
        sample_index=config.refractive_index,
        depth=0.0,
        pixel_size=pixel,
        z_step=pixel,
        confocal=config.confocal,
    )
    return axial_kernel(psf_volume(optics, _MOST_SLICES))


def axial_kernel(psf: NDArray[np.float32]) -> NDArray[np.float32]:
    """What turns the blur of a slice (Y, X) into that of a plane (Z, X), of odd sizes and sum 1.

    psf: (Z, Y, X), of odd sizes, its voxels cubes, its centre in the middle. A point in the slice
    shows its section (Y, X), in the plane its section (Z, X); the kernel is the quotient of the
    two sections' Fourier transforms, regularised (Wiener). For a Gaussian function that is exact:
    a Gaussian along Z of the difference of the variances.
    """
    middle = [size // 2 for size in psf.shape]
    axial, lateral = psf[:, middle[1], :], psf[middle[0]]
    size = max(*axial.shape, *lateral.shape) // 2 * 2 + 1
    across, along = (fft.rfft2(fft.ifftshift(_padded(s, size))) for s in (lateral, axial))
    quotient = along * across.conj() / (np.abs(across) ** 2 + _REGULARIZATION)
    kernel = fft.fftshift(fft.irfft2(quotient, (size, size)))
    return np.asarray(kernel / kernel.sum(), np.float32)


def degraded(
    image: NDArray[np.generic],
    kernel: NDArray[np.float32] | None,
    factor: float,
    noise: float,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """`image` (C, Y, X) as if Y were Z: blurred, sampled every `factor` pixels from the first on
    (between pixels by a cubic spline), with noise, and brought back by linear interpolation, as
    restoring does it. Its last rows, beyond the last sample, go on unchanged."""
    pixels = image.astype(np.float32)
    if kernel is not None:
        # The blur takes light, which stays positive; grey levels and the kernel need not.
        lift = np.ptp(pixels) - pixels.min()
        pixels = np.stack([blur(channel + lift, kernel) for channel in pixels]) - lift
    rows = pixels.shape[1]
    samples = np.arange(int((rows - 1) / factor) + 1) * factor
    spline = CubicSpline(np.arange(rows), pixels, axis=1)
    coarse = np.asarray(spline(samples), np.float32)
    if noise:
        coarse += generator.normal(0, noise, coarse.shape).astype(np.float32)
    return np.asarray(interpolate(coarse, 1, zoom_positions("Z", 0, rows, factor)), np.float32)


def _of_file(path: Path, pixel: float | None) -> NDArray[np.float32]:
    """The point spread function of a file, of sum 1: a stack in cubes, or a plane in squares of the
    images' `pixel` (micrometres). Where that, or the file's own, is not known, its pixels are taken
    to be as large, and a line says so."""
    image = open_image(path)
    axes = "YX" if image.axes == "YX" else "ZYX"
    psf = read_psf(path, len(axes))
    voxel, own = image.calibration.voxel_size, pixel_size(image.calibration)
    if axes == "ZYX" and not {"Z", "X"} <= set(voxel):
        raise ConfigError(
            f"the point spread function {path} does not say its voxel size along Z and X: "
            "calibrate it, or give a plane"
        )
    if pixel is None or own is None:
        log.warning(
            "the pixels of the point spread function %s are taken to be as large as the images', "
            "since %s not say in a unit of length how large they are",
            path,
            "the images do" if pixel is None else "it does",
        )
        own = pixel = voxel.get("X", 1.0)
        if axes == "YX":
            return psf
    across = voxel["X"]
    steps = [own / pixel * voxel.get(axis, across) / across for axis in axes]
    if all(abs(step - 1) <= _SAME_SIZE for step in steps[-2:]):
        return psf if axes == "YX" else _resampled(psf, steps, path)
    log.info(
        "the point spread function %s, of pixels of %.4g micrometres, is brought to those of the "
        "images, of %.4g",
        path,
        own,
        pixel,
    )
    return _resampled(psf, steps, path)


def _resampled(psf: NDArray[np.float32], steps: Sequence[float], path: Path) -> NDArray[np.float32]:
    """`psf` in pixels of size 1, as many on either side of its middle pixel, with sum 1.

    steps: between its own pixels, by axis. It goes on between them, and to nothing beyond them, as
    a cubic spline, whose light each new pixel takes from edge to edge: coarser ones do not alias.
    """
    ends = [min(size // 2 + 1, size - size // 2) for size in psf.shape]
    reaches = [int(end * step - 0.5) for end, step in zip(ends, steps, strict=True)]
    if min(reaches) < 1 or math.prod(2 * reach + 1 for reach in reaches) > _MOST_VOXELS:
        told = " x ".join(str(2 * reach + 1) for reach in reaches)
        raise ConfigError(
            f"the point spread function {path} covers {told} of the images' pixels, expected are "
            f"three or more along each axis and at most {_MOST_VOXELS} in all: check the pixel "
            "sizes of both, or crop it around its centre"
        )
    light = np.pad(psf, 1)
    for axis, (step, reach) in enumerate(zip(steps, reaches, strict=True)):
        size = light.shape[axis]
        places = (np.arange(size) - (psf.shape[axis] // 2 + 1)) * step
        edges = np.arange(-reach, reach + 2) - 0.5
        up_to = CubicSpline(places, light, axis=axis).antiderivative()
        light = np.diff(up_to(edges), axis=axis).astype(np.float32)
    return np.asarray(light / light.sum(), np.float32)


def _padded(section: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The section, scaled to sum 1, in the middle of a square of `size` (odd) pixels."""
    missing = [((size - edge) // 2,) * 2 for edge in section.shape]
    return np.asarray(np.pad(section / section.sum(), missing), np.float32)
