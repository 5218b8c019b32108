"""Blurring against scipy's convolution, and point spread functions from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import convolve

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError
from care_bridge.images import write_image
from care_bridge.images.image import Image
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
    write_image(Image(pixels, Axes("ZYX")), tmp_path / "psf.tif")
    np.testing.assert_allclose(read_psf(tmp_path / "psf.tif", 3), pixels / pixels.sum(), rtol=1e-5)


def test_a_point_spread_function_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_image(Image(np.ones((5, 7), np.uint16), Axes("YX")), tmp_path / "flat.tif")
    write_image(Image(np.zeros((5, 7), np.uint16), Axes("YX")), tmp_path / "black.tif")
    with pytest.raises(ConfigError, match="axes YX.*axes ZYX"):
        read_psf(tmp_path / "flat.tif", 3)
    with pytest.raises(ConfigError, match="no distribution of light"):
        read_psf(tmp_path / "black.tif", 2)
