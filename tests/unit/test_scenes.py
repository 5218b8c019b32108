"""Simulated structures: reproducible, bright enough, and of the same size in micrometres at
every pixel size."""

from __future__ import annotations

import numpy as np
import pytest

from care_bridge.simulation.scenes import SCENES

SHAPE = (96, 128)


@pytest.mark.parametrize("name", SCENES)
def test_scene_is_a_function_of_its_seed(name: str) -> None:
    one, same, other = (SCENES[name](SHAPE, 0.3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == SHAPE
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("pixel_size", [0.08, 0.3, 0.8])
@pytest.mark.parametrize("name", SCENES)
def test_scene_is_light_with_structure_in_it(name: str, pixel_size: float) -> None:
    for seed in range(5):
        scene = SCENES[name](SHAPE, pixel_size, np.random.default_rng(seed))
        assert np.isfinite(scene).all()
        assert scene.min() >= 0
        assert scene.max() > 0.01
        assert scene.std() > 0


def width_in_pixels(scene: np.ndarray) -> float:
    """How far the autocorrelation stays above one half, in pixels (root of the area)."""
    spectrum = np.abs(np.fft.fft2(scene - scene.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    return float(np.sqrt((correlation > correlation[0, 0] / 2).sum()))


@pytest.mark.parametrize("name", ["nuclei", "membranes"])
def test_half_the_pixel_size_shows_structures_twice_as_large(name: str) -> None:
    widths = [
        np.median(
            [
                width_in_pixels(SCENES[name]((256, 256), size, np.random.default_rng(seed)))
                for seed in range(12)
            ]
        )
        for size in (0.5, 0.25)
    ]
    assert 1.5 < widths[1] / widths[0] < 2.7


def test_nuclei_are_as_large_as_they_say() -> None:
    """Alone in the image, a nucleus' area lies within that of ellipses 6 to 14 um long."""
    from scipy.ndimage import label

    areas = []
    for seed in range(20):
        scene = SCENES["nuclei"]((400, 400), 0.25, np.random.default_rng(seed))
        regions, count = label(scene > 0.3 * np.median(scene[scene > 0]))
        inner = set(range(1, count + 1)) - set(
            np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        )
        areas += [float((regions == region).sum()) * 0.25**2 for region in inner]
    median = np.median(areas)
    assert np.pi / 4 * 6 * 6 * 0.5 < median < np.pi / 4 * 14 * 14
