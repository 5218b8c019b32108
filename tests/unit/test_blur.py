"""Blurring against scipy's convolution, and point spread functions from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import convolve

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError
from care_bridge.images import write_image
from care_bridge.images.image import Calibration, Image
from care_bridge.simulation.blur import blur, read_psf


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        pytest.param((30, 41), (5, 7), id="2D"),
        pytest.param((30, 41), (4, 6), id="even-kernel"),
        pytest.param((9, 20, 21), (5, 3, 7), id="3D"),
        pytest.param((6, 20, 21), (9, 3, 3), id="kernel-taller-than-the-stack"),
    ],
)
def test_it_is_a_convolution_with_mirrored_borders(
    shape: tuple[int, ...], kernel: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(2)
    scene, weights = rng.uniform(0, 1, shape), rng.uniform(0, 1, kernel)
    expected = convolve(scene, weights, mode="reflect")
    np.testing.assert_allclose(blur(scene, weights), expected, rtol=1e-4)


def test_a_measured_point_spread_function_is_scaled_to_sum_one(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 900, (5, 7, 7)).astype(np.uint16)
    pixels[2, 3, 3] = 1000
    write_image(Image(pixels, Axes("ZYX")), tmp_path / "psf.tif")
    np.testing.assert_allclose(read_psf(tmp_path / "psf.tif", 3), pixels / pixels.sum(), rtol=1e-5)


def test_a_point_spread_function_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_image(Image(np.ones((5, 7), np.uint16), Axes("YX")), tmp_path / "flat.tif")
    write_image(Image(np.zeros((5, 7), np.uint16), Axes("YX")), tmp_path / "black.tif")
    with pytest.raises(ConfigError, match="axes YX.*axes ZYX"):
        read_psf(tmp_path / "flat.tif", 3)
    with pytest.raises(ConfigError, match="no distribution of light"):
        read_psf(tmp_path / "black.tif", 2)


def spot(shape: tuple[int, ...], off: tuple[int, ...]) -> np.ndarray:
    """A Gaussian of sigma 2, `off` pixels from the middle."""
    places = np.indices(shape)
    square = sum(
        (place - size // 2 - by) ** 2 for place, size, by in zip(places, shape, off, strict=True)
    )
    return (10_000 * np.exp(-np.asarray(square) / 8)).astype(np.uint16)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        pytest.param(spot((31, 41), (3, 0)), r"centre Y \+3\.0 pixels off", id="off-in-the-plane"),
        pytest.param(spot((31, 31), (0, -5)), r"centre X -5\.0 pixels off", id="off-to-the-left"),
        pytest.param(spot((21, 31, 31), (6, 0, 0)), r"centre Z \+6\.0 pixels", id="off-along-z"),
        pytest.param(spot((31, 31), (0, 0)) + 100, "on a ground of", id="camera-offset"),
    ],
)
def test_a_point_spread_function_that_would_shift_or_veil_is_refused(
    pixels: np.ndarray, message: str, tmp_path: Path
) -> None:
    write_image(Image(pixels, Axes("ZYX"[3 - pixels.ndim :])), tmp_path / "psf.tif")
    with pytest.raises(ConfigError, match=message):
        read_psf(tmp_path / "psf.tif", pixels.ndim)


def test_pixels_of_another_size_are_refused_in_any_unit(tmp_path: Path) -> None:
    sizes = Calibration({"Y": 500.0, "X": 500.0}, "nm")
    write_image(Image(spot((31, 31), (0, 0)), Axes("YX"), sizes), tmp_path / "psf.tif")
    assert read_psf(tmp_path / "psf.tif", 2, (0.5, 0.5)).sum() == pytest.approx(1)
    with pytest.raises(ConfigError, match=r"0\.5 micrometres along Y, the images of 0\.1"):
        read_psf(tmp_path / "psf.tif", 2, (0.1, 0.1))
