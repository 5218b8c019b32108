"""The microscope's blur against the Airy pattern written with Bessel functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import j1

from care_bridge.simulation.optics import Microscope


@pytest.mark.parametrize(
    "microscope",
    [
        pytest.param(Microscope(1.4, 0.52, 0.05), id="oil-63x"),
        pytest.param(Microscope(0.4, 0.6, 0.15), id="air-10x"),
    ],
)
def test_a_point_becomes_the_airy_pattern(microscope: Microscope) -> None:
    scene = np.zeros((256, 256))
    scene[128, 128] = 1.0
    image = microscope.blur(scene)
    y, x = np.indices(scene.shape) - 128
    radius = np.hypot(y, x) * microscope.pixel_size
    v = 2 * np.pi * microscope.numerical_aperture * radius / microscope.wavelength
    v[128, 128] = 1e-9
    airy = (2 * j1(v) / v) ** 2
    np.testing.assert_allclose(image / image[128, 128], airy, atol=2e-3)


def test_a_flat_scene_stays_flat_and_light_is_kept() -> None:
    microscope = Microscope(0.8, 0.55, 0.2)
    np.testing.assert_allclose(microscope.blur(np.full((31, 50), 7.0)), 7.0, rtol=1e-12)
    scene = np.random.default_rng(0).uniform(0, 10, (40, 64))
    assert microscope.blur(scene).sum() == pytest.approx(scene.sum(), rel=1e-9)


def test_detail_beyond_the_cutoff_is_gone() -> None:
    microscope = Microscope(0.5, 0.6, 0.1)
    cutoff_period = 0.6 / (2 * 0.5) / 0.1
    x = np.arange(240) + 0.5
    fine = np.tile(1 + np.cos(2 * np.pi * x / (cutoff_period * 0.8)), (16, 1))
    coarse = np.tile(1 + np.cos(2 * np.pi * x / (cutoff_period * 4)), (16, 1))
    assert np.ptp(microscope.blur(fine)) < 0.05
    # At a quarter of the cutoff: 2/pi (acos(1/4) - 1/4 sqrt(15/16)) of the contrast.
    assert np.ptp(microscope.blur(coarse)) == pytest.approx(2 * 0.685, abs=0.03)
