"""Recording of light, against the photon transfer curve and hand-made sampling."""

from __future__ import annotations

import numpy as np
import pytest

from care_bridge.simulation.acquisition import Sensor, hot_pixels, sample, upsample
from care_bridge.simulation.camera import Camera
from care_bridge.simulation.recipe import SamplingRecipe

CAMERA = Camera(gain=2.2, offset=100.0, read_noise=1.6)
SIDE = 1200
DARK = np.zeros((SIDE, SIDE), np.float32)


@pytest.mark.parametrize("photons", [2.0, 10.0, 100.0])
@pytest.mark.parametrize("average", [1, 4])
def test_a_flat_scene_has_the_cameras_mean_and_variance(photons: float, average: int) -> None:
    """mean offset + gain p, variance (gain^2 (p + read_noise^2) + 1/12) / exposures."""
    light = np.full((SIDE, SIDE), photons, np.float32)
    image = Sensor(CAMERA, DARK).record(light, average, np.random.default_rng(3))
    assert image.dtype == (np.uint16 if average == 1 else np.float32)
    assert image.mean() == pytest.approx(100 + 2.2 * photons, rel=0.001)
    expected = (2.2**2 * (photons + 1.6**2) + 1 / 12) / average
    assert image.var(dtype=np.float64) == pytest.approx(expected, rel=0.01)


def test_hot_pixels_are_as_many_and_as_bright_as_asked_and_stay_where_they_are() -> None:
    rng = np.random.default_rng(0)
    hot = hot_pixels((SIDE, SIDE), 0.01, np.full(SIDE * SIDE, 50.0), rng)
    assert (hot > 0).mean() == pytest.approx(0.01, rel=0.05)
    assert set(np.unique(hot)) == {0.0, 50.0}
    sensor = Sensor(CAMERA, hot)
    frames = [sensor.record(DARK, 1, rng).astype(float) for _ in range(2)]
    bright = frames[0] > 160
    assert frames[1][bright].mean() == pytest.approx(100 + 2.2 * 50, rel=0.02)
    assert frames[1][~bright].mean() == pytest.approx(100, rel=0.01)


def test_bins_add_up_and_cut_off_what_fills_no_bin() -> None:
    light = np.arange(5 * 6, dtype=np.float32).reshape(5, 6)
    binned = sample(light, SamplingRecipe(binning=2))
    np.testing.assert_array_equal(
        binned,
        [
            [0 + 1 + 6 + 7, 2 + 3 + 8 + 9, 4 + 5 + 10 + 11],
            [12 + 13 + 18 + 19, 14 + 15 + 20 + 21, 16 + 17 + 22 + 23],
        ],
    )


@pytest.mark.parametrize(
    ("factor", "slices"),
    [
        pytest.param(2.0, [0, 2, 4, 6, 8], id="whole"),
        pytest.param(2.5, [0, 2.5, 5, 7.5], id="between"),
        pytest.param(10.2, [0], id="one-slice-is-left"),
    ],
)
def test_slices_lie_a_factor_apart(factor: float, slices: list[float]) -> None:
    ramp = np.broadcast_to(np.arange(10, dtype=np.float32)[:, None, None], (10, 3, 4))
    taken = sample(ramp, SamplingRecipe(z_factor=factor))
    np.testing.assert_allclose(taken[:, 0, 0], slices)


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param(SamplingRecipe(binning=3), id="binned"),
        pytest.param(SamplingRecipe(z_factor=2.5), id="slices"),
        pytest.param(SamplingRecipe(binning=2, z_factor=4), id="both"),
    ],
)
def test_what_is_brought_back_lies_where_it_was(sampling: SamplingRecipe) -> None:
    """A plane of light, which linear interpolation gives back exactly away from the borders."""
    z, y, x = np.indices((21, 24, 30), np.float32)
    light = 5 + 3 * z + 0.5 * y + 2 * x
    back = upsample(sample(light, sampling), light.shape, sampling) / sampling.binning**2
    inside = (slice(0, 21), slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(back[inside], light[inside], rtol=1e-5)
