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
from care_bridge.training.slices import (
    axial_kernel,
    degraded,
    pixel_size,
    slice_kernel,
    zoom_factor,
)

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


def write_psf(path: Path, pixels: np.ndarray, pixel: float | None, step: float = 0.0) -> str:
    """An ImageJ TIFF of a plane or a stack with pixels of `pixel` micrometres; None: not told."""
    told: dict[str, object] = {} if pixel is None else {"unit": "micron", "spacing": step}
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(1 / pixel, 1 / pixel) if pixel else None,
        metadata={"axes": "ZYX"[-pixels.ndim :], **told},
    )
    return str(path)


@pytest.mark.parametrize(
    ("own", "step", "pixel", "told"),
    [
        pytest.param(0.1, 0.1, 0.1, "", id="the-images-voxels"),
        pytest.param(0.05, 0.05, 0.1, "brought to those", id="finer"),
        pytest.param(0.02, 0.3, 0.1, "brought to those", id="much-finer-with-thick-slices"),
        pytest.param(0.13, 0.2, 0.1, "brought to those", id="coarser"),
        pytest.param(0.1, 0.3, None, "taken to be as large as", id="images-do-not-tell"),
    ],
)
def test_the_blur_of_a_function_is_that_in_the_images_pixels(
    own: float,
    step: float,
    pixel: float | None,
    told: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Gaussian of 0.3 micrometres along Z and 0.1 across, however it is sampled: what turns one
    section into the other is a Gaussian whose variance is the difference."""
    z = np.arange(-(1.5 // step), 1.5 // step + 1)[:, None, None] * step
    x = np.arange(-24, 25) * own
    pixels = np.exp(-((z / 0.3) ** 2 + (x[:, None] / 0.1) ** 2 + (x / 0.1) ** 2) / 2)
    file = write_psf(tmp_path / "psf.tif", pixels.astype(np.float32), own, step)
    with caplog.at_level("INFO"):
        kernel = slice_kernel(IsotropicConfig(psf=file), pixel, "a.tif")
    assert kernel is not None
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    along, _ = spread(kernel)
    assert along == pytest.approx(np.sqrt(0.3**2 - 0.1**2) / 0.1, rel=0.01)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_a_finer_plane_is_binned_to_the_images_pixels(tmp_path: Path) -> None:
    """A Gaussian plane in pixels of a third: each pixel of the images takes up nine of them."""
    fine = gaussian_psf(1.0, 6.0)[24]
    file = write_psf(tmp_path / "psf.tif", fine, 0.1)
    kernel = slice_kernel(IsotropicConfig(psf=file), 0.3, "a.tif")
    assert kernel is not None
    reach = kernel.shape[0] // 2
    inside = slice(24 - 3 * reach - 1, 24 + 3 * reach + 2)
    sums = fine[inside, inside].reshape(2 * reach + 1, 3, 2 * reach + 1, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(kernel, sums / sums.sum(), atol=2e-2 * kernel.max())


@pytest.mark.parametrize("pixel", [9.0, 1e-4])
def test_a_function_of_quite_other_pixels_is_refused(pixel: float, tmp_path: Path) -> None:
    file = write_psf(tmp_path / "psf.tif", gaussian_psf(4.0, 1.2), 0.1, 0.1)
    with pytest.raises(ConfigError, match="check the pixel sizes"):
        slice_kernel(IsotropicConfig(psf=file), pixel, "a.tif")


@pytest.mark.parametrize(("own", "told"), [(None, "taken to be as large as"), (0.3, "")])
def test_a_plane_of_the_images_pixels_is_taken_as_it_is(
    own: float | None, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plane = np.zeros((5, 3), np.float32)
    plane[:, 1] = 1, 2, 3, 2, 1
    file = write_psf(tmp_path / "psf.tif", plane, own)
    kernel = slice_kernel(IsotropicConfig(psf=file), 0.3, "a.tif")
    assert kernel is not None
    np.testing.assert_allclose(kernel, plane / 9, rtol=1e-6)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_optics_blur_along_the_first_axis_more_than_along_the_second() -> None:
    config = IsotropicConfig(numerical_aperture=0.8, wavelength=0.52, refractive_index=1.33)
    kernel = slice_kernel(config, 0.3, "a.tif")
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
        slice_kernel(config, pixel_size(Calibration()), "a.tif")


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
