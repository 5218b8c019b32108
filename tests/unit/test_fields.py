"""Random fields against the spectrum that they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from care_bridge.simulation.fields import random_field
from care_bridge.simulation.grid import Grid

PIXEL = 0.25
SIZE = 256


def power(scale: float, exponent: float, fields: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (cycles a micrometre) and mean power in rings, of fields cut out by a window."""
    window = np.hanning(SIZE)[:, None] * np.hanning(SIZE)[None, :]
    spectrum = np.zeros((SIZE, SIZE))
    for seed in range(fields):
        field = random_field(
            Grid((SIZE, SIZE), (PIXEL, PIXEL)), scale, exponent, np.random.default_rng(seed)
        )
        spectrum += np.abs(np.fft.fft2(field * window)) ** 2
    axis = np.fft.fftfreq(SIZE, PIXEL)
    frequency = np.hypot(axis[:, None], axis[None, :])
    rings = np.rint(frequency / axis[1]).astype(int)
    counts = np.bincount(rings.ravel())
    return (
        np.bincount(rings.ravel(), frequency.ravel()) / counts,
        np.bincount(rings.ravel(), spectrum.ravel()) / counts,
    )


@pytest.mark.parametrize(
    ("scale", "exponent"),
    [
        pytest.param(8.0, 4.0, id="octaves-of-half-amplitude"),
        pytest.param(8.0, 3.0, id="rougher"),
        pytest.param(16.0, 4.0, id="larger"),
    ],
)
def test_power_falls_from_the_scale_with_the_exponent(scale: float, exponent: float) -> None:
    frequency, measured = power(scale, exponent)
    steep = (frequency > 2 / scale) & (frequency < 4.5 / scale)
    slope = np.polyfit(np.log(frequency[steep]), np.log(measured[steep]), 1)[0]
    # d ln(1 + x^2)^(-e/2) / d ln x = -e x^2 / (1 + x^2), near the middle of the range
    middle = np.exp(np.log(frequency[steep] * scale).mean()) ** 2
    assert slope == pytest.approx(-exponent * middle / (1 + middle), rel=0.05)


def test_the_knee_lies_at_the_scale() -> None:
    """At frequency 1 / scale the power is 2^-2 of that of the largest features, at half of it
    (5/4)^-2."""
    frequency, measured = power(8.0, 4.0, fields=100)
    knee, half = (np.interp(f, frequency, measured) for f in (1 / 8, 1 / 16))
    assert knee / half == pytest.approx(2.0**-2 / 1.25**-2, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "pixel", "scale", "exponent"),
    [
        pytest.param((96, 80), 0.5, 2.0, 4.0, id="plane"),
        pytest.param((12, 48, 40), 0.5, 2.0, 4.0, id="volume"),
        pytest.param((200, 210), 0.1, 20.0, 2.0, id="rough-coarsely-drawn"),
        pytest.param((200, 210), 0.1, 5.0, 2.0, id="rough"),
        pytest.param((200, 210), 0.1, 6.4, 1.0, id="two-pixels-a-sample"),
        pytest.param((20, 100, 110), 0.1, 5.0, 3.0, id="rough-volume"),
    ],
)
def test_mean_and_variance_are_0_and_1(
    shape: tuple[int, ...], pixel: float, scale: float, exponent: float
) -> None:
    """Of many fields together: one that is smaller than its features has a mean of its own."""
    grid = Grid(shape, (pixel,) * len(shape))
    values = [
        random_field(grid, scale, exponent, np.random.default_rng(seed)) for seed in range(150)
    ]
    assert np.mean(values) == pytest.approx(0, abs=0.1)
    assert np.mean(np.square(values)) == pytest.approx(1, rel=0.05)


def test_features_have_one_size_in_micrometres_whatever_the_pixels() -> None:
    """The correlation between points 3 um apart, along fine and along coarse pixels."""
    found = {0.1: 0.0, 0.5: 0.0, 1.5: 0.0}
    for pixel in found:
        apart = round(3 / pixel)
        fields = [
            random_field(
                Grid((30, round(60 / pixel)), (pixel, pixel)),
                20.0,
                4.0,
                np.random.default_rng(seed),
            )
            for seed in range(60)
        ]
        found[pixel] = float(np.mean([field[:, :-apart] * field[:, apart:] for field in fields]))
    assert found[0.1] == pytest.approx(found[0.5], abs=0.1)
    assert found[1.5] == pytest.approx(found[0.5], abs=0.1)
