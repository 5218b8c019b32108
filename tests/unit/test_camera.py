"""The camera against the photon transfer curve, worked out by hand for each case."""

from __future__ import annotations

import numpy as np
import pytest

from care_bridge.simulation.camera import Camera

SIDE = 600


@pytest.mark.parametrize(
    ("camera", "photons", "mean", "variance"),
    [
        pytest.param(Camera(2.0, 100.0, 1.5), 10.0, 120.0, 49.0 + 1 / 12, id="scmos"),
        pytest.param(Camera(0.5, 200.0, 6.0), 400.0, 400.0, 109.0 + 1 / 12, id="ccd"),
        pytest.param(Camera(8.0, 400.0, 2.0), 0.0, 400.0, 256.0 + 1 / 12, id="dark"),
        pytest.param(Camera(40.0, 500.0, 0.0), 3.0, 620.0, 4800.0, id="shot-noise-only"),
    ],
)
def test_flat_scene_has_the_mean_and_variance_of_the_camera(
    camera: Camera, photons: float, mean: float, variance: float
) -> None:
    flat = np.full((SIDE, SIDE), photons)
    pixels = camera.expose(flat, np.random.default_rng(5)).astype(np.float64)
    assert pixels.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance) / SIDE)
    assert pixels.var() == pytest.approx(variance, rel=5 * np.sqrt(2.5) / SIDE)
    np.testing.assert_allclose(camera.mean(flat), mean, rtol=1e-6)
    # Without read noise and at an integer gain there is nothing to round.
    np.testing.assert_allclose(camera.variance(flat), variance, rtol=1e-3)


def test_bright_light_saturates_and_never_wraps() -> None:
    pixels = Camera(2.0, 100.0, 1.0).expose(np.full((8, 8), 1e6), np.random.default_rng(0))
    assert pixels.dtype == np.uint16
    assert (pixels == 65535).all()


def test_noise_below_black_stays_at_zero() -> None:
    pixels = Camera(1.0, 0.0, 50.0).expose(np.zeros((64, 64)), np.random.default_rng(0))
    assert pixels.max() < 500
    assert 0.3 < (pixels == 0).mean() < 0.7


def test_the_same_generator_gives_the_same_exposure() -> None:
    camera, light = Camera(2.0, 100.0, 1.5), np.linspace(0, 50, 100).reshape(10, 10)
    one, same, other = (camera.expose(light, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
