"""Slices made to look like planes across Z: blurred, sampled more coarsely, interpolated back."""

from __future__ import annotations

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

# Of the lateral transfer function's square: what it falls below is noise rather than signal.
_REGULARIZATION = 1e-3
_MOST_SLICES = 1024


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


def slice_kernel(
    config: IsotropicConfig, calibration: Calibration, name: str
) -> NDArray[np.float32] | None:
    """What slices are blurred with, along Y as the microscope blurs along Z; None: nothing.

    ConfigError or TrainingError where the point spread function cannot be had.
    """
    if config.psf:
        psf_file = open_image(Path(config.psf))
        if psf_file.axes == "YX":
            return read_psf(Path(config.psf), 2)
        pixels = read_psf(Path(config.psf), 3)
        return axial_kernel(_with_pixels(pixels, psf_file.calibration, config.psf))
    if config.numerical_aperture is None or config.wavelength is None:
        return None
    pixel = convert_length(
        calibration.voxel_size.get("X", 0.0), calibration.unit or "micron", "micron"
    )
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


def _with_pixels(
    psf: NDArray[np.float32], calibration: Calibration, name: str
) -> NDArray[np.float32]:
    """The stack with slices as far apart as its pixels, by linear interpolation."""
    voxel = calibration.voxel_size
    if not {"Z", "X"} <= set(voxel):
        raise ConfigError(
            f"the point spread function {name} does not say its voxel size along Z and X: "
            "calibrate it, or give a plane"
        )
    step = voxel["X"] / voxel["Z"]
    middle = psf.shape[0] // 2
    reach = int(min(middle, psf.shape[0] - 1 - middle) / step)
    return np.asarray(interpolate(psf, 0, middle + np.arange(-reach, reach + 1) * step), np.float32)


def _padded(section: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The section, scaled to sum 1, in the middle of a square of `size` (odd) pixels."""
    section = section[tuple(slice(0, edge - (edge + 1) % 2) for edge in section.shape)]
    missing = [((size - edge) // 2,) * 2 for edge in section.shape]
    return np.asarray(np.pad(section / section.sum(), missing), np.float32)
