"""Slices made to look like planes across Z, against numpy, scipy and what is known of Gaussians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

from care_bridge.errors import CareBridgeError, ConfigError, TrainingError
from care_bridge.images.image import Calibration
from care_bridge.training.config import load_config
from care_bridge.training.sampling_config import IsotropicConfig
from care_bridge.training.slices import axial_kernel, degraded, slice_kernel, zoom_factor

VOXEL = Calibration({"Z": 1.0, "Y": 0.3, "X": 0.3}, "micron")


def gaussian_psf(axial: float, lateral: float, step: float = 1.0, reach: int = 24) -> np.ndarray:
    """(Z, Y, X); sigmas in pixels, slices `step` pixels apart."""
    z = np.arange(-reach, reach + 1)[:, None, None] * step
    y, x = np.arange(-reach, reach + 1)[:, None], np.arange(-reach, reach + 1)
    return np.exp(-(z**2) / (2 * axial**2) - (y**2 + x**2) / (2 * lateral**2)).astype(np.float32)


def spread(kernel: np.ndarray) -> list[float]:
    """Standard deviation along each axis, in pixels."""
    found = []
    for axis, size in enumerate(kernel.shape):
        profile = kernel.sum(axis=1 - axis)
        places = np.arange(size) - size // 2
        found.append(float(np.sqrt((profile * places**2).sum() / profile.sum())))
    return found


def test_the_kernel_of_a_gaussian_function_has_the_difference_of_the_variances() -> None:
    function = gaussian_psf(4.0, 1.2)
    kernel = axial_kernel(function)
    along, _ = spread(kernel)
    assert along == pytest.approx(np.sqrt(4.0**2 - 1.2**2), rel=0.05)
    lateral, axial = function[24], function[:, 24]
    blurred = fftconvolve(lateral, kernel, mode="same") / lateral.sum()
    assert np.abs(blurred - axial / axial.sum()).max() < 0.03 * axial.max() / axial.sum()


def test_a_function_from_a_file_is_brought_to_cubes(tmp_path: Path) -> None:
    function = gaussian_psf(4.0, 1.2, step=2.0)
    tifffile.imwrite(
        tmp_path / "psf.tif",
        function,
        imagej=True,
        resolution=(5, 5),
        metadata={"axes": "ZYX", "spacing": 0.4, "unit": "micron"},
    )
    kernel = slice_kernel(IsotropicConfig(psf=str(tmp_path / "psf.tif")), VOXEL, "a.tif")
    assert kernel is not None
    assert spread(kernel)[0] == pytest.approx(np.sqrt(4.0**2 - 1.2**2), rel=0.05)


def test_a_plane_from_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    plane = np.zeros((5, 3), np.float32)
    plane[:, 1] = 1, 2, 3, 2, 1
    tifffile.imwrite(tmp_path / "psf.tif", plane, imagej=True)
    kernel = slice_kernel(IsotropicConfig(psf=str(tmp_path / "psf.tif")), VOXEL, "a.tif")
    assert kernel is not None
    np.testing.assert_allclose(kernel, plane / 9, rtol=1e-6)


def test_optics_blur_along_the_first_axis_more_than_along_the_second() -> None:
    config = IsotropicConfig(numerical_aperture=0.8, wavelength=0.52, refractive_index=1.33)
    kernel = slice_kernel(config, VOXEL, "a.tif")
    assert kernel is not None
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    middle = kernel.shape[0] // 2
    half = kernel[middle, middle] / 2
    assert (kernel[:, middle] > half).sum() > 2 * (kernel[middle] > half).sum()


def test_degrading_is_blur_samples_and_lines_between_them() -> None:
    image = np.random.default_rng(0).uniform(-50, 900, (2, 41, 17)).astype(np.float32)
    kernel = np.zeros((13, 13), np.float32)
    kernel[:, 6] = gaussian_filter1d(np.eye(13)[6], 1.5)
    kernel /= kernel.sum()
    found = degraded(image, kernel, 4.0, 0.0, np.random.default_rng(0))
    blurred = gaussian_filter1d(image.astype(float), 1.5, axis=1, mode="reflect", radius=6)
    expected = np.apply_along_axis(
        lambda line: np.interp(np.arange(41), np.arange(0, 41, 4), line[::4]), 1, blurred
    )
    assert np.abs(found - expected).max() < 1e-2


@pytest.mark.parametrize("factor", [2.5, 3.7, 4.0])
def test_what_is_straight_along_y_stays_where_it_is(factor: float) -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None], (1, 64, 8))
    found = degraded(ramp, None, factor, 0.0, np.random.default_rng(0))
    last = int(63 / factor) * factor
    inside = np.arange(64) <= last
    np.testing.assert_allclose(found[0, inside], ramp[0, inside], atol=1e-4)
    np.testing.assert_allclose(found[0, ~inside], last, atol=1e-4)


def test_noise_is_added_after_the_blur() -> None:
    flat = np.full((1, 400, 400), 100, np.float32)
    kernel = np.full((5, 5), 0.04, np.float32)
    found = degraded(flat, kernel, 4.0, 7.0, np.random.default_rng(0))
    assert found[:, ::4].std() == pytest.approx(7.0, rel=0.02)


def test_the_factor_is_that_of_the_voxels_unless_it_is_given() -> None:
    assert zoom_factor(IsotropicConfig(), VOXEL, "a.tif") == pytest.approx(10 / 3)
    assert zoom_factor(IsotropicConfig(factor=2.5), VOXEL, "a.tif") == 2.5


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (Calibration(), "does not say its voxel size"),
        (Calibration({"Z": 0.2, "Y": 0.3, "X": 0.3}, "micron"), "need no isotropic"),
    ],
)
def test_a_factor_that_nobody_knows_is_refused(calibration: Calibration, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        zoom_factor(IsotropicConfig(), calibration, "a.tif")


def test_optics_need_the_pixel_size() -> None:
    config = IsotropicConfig(numerical_aperture=0.8, wavelength=0.5, factor=3)
    with pytest.raises(TrainingError, match="pixel size"):
        slice_kernel(config, Calibration(), "a.tif")


@pytest.mark.parametrize(
    "setting",
    [
        "isotropic.numerical_aperture=0.8",
        "isotropic.factor=1",
        "isotropic.combination=median",
        "data.target=GT",
        "preset=denoise",
    ],
)
def test_what_does_not_suit_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        load_config(None, ["task=isotropic", setting])


def test_errors_are_ours() -> None:
    with pytest.raises(CareBridgeError, match="numerical_aperture 1.4 must lie below"):
        load_config(
            None,
            [
                "task=isotropic",
                "isotropic.numerical_aperture=1.4",
                "isotropic.wavelength=0.5",
            ],
        )


@pytest.mark.parametrize("factor", [2.5, 4.0])
def test_slices_have_the_whole_noise_also_between_pixels(factor: float) -> None:
    """Row 2 lies between the first two slices: the linear mean of two independent noises."""
    flat = np.zeros((1, 41, 4000), np.float32)
    rows = degraded(flat, None, factor, 10.0, np.random.default_rng(1))[0]
    far = 2 / factor
    assert rows[0].std() == pytest.approx(10, rel=0.05)
    assert rows[2].std() == pytest.approx(10 * np.hypot(1 - far, far), rel=0.05)
