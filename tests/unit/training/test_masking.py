"""Blind spots: how many there are, where, and what is shown in their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from care_bridge.training.losses import LOSSES, over_known
from care_bridge.training.masking import Line, Masking, draw_pixels, median_around

SHAPES = {
    "2d": (64, 64),
    "2d-oblong": (32, 100),
    "3d": (16, 64, 64),
    "3d-flat": (8, 40, 40),
}
MASKINGS = {
    "n2v": Masking(1.5, 5),
    "n2v2": Masking(1.5, 5, median=True),
    "structn2v": Masking(1.5, 5, line=Line(-1, 5)),
    "radius-1": Masking(1.5, 1),
    "window-wider-than-the-patch": Masking(0.1, 20, median=True),
}


@pytest.mark.parametrize("percentage", [0.2, 1.5, 5, 10])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_share_of_masked_pixels_is_the_configured_one(
    shape: tuple[int, ...], percentage: float
) -> None:
    generator = np.random.default_rng(0)
    patches = 1 + int(4e5 / (percentage * np.prod(shape)))  # some thousands of masked pixels
    counts = [len(draw_pixels(shape, percentage, generator)) for _ in range(patches)]
    assert 100 * np.mean(counts) / np.prod(shape) == pytest.approx(percentage, rel=0.05)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_pixel_is_masked_equally_often(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    times = np.zeros(shape)
    for _ in range(200):
        times[tuple(draw_pixels(shape, 5, generator).T)] += 1  # no pixel twice
    borders = [np.take(times, index, axis) for axis in range(times.ndim) for index in (0, -1)]
    for part in (times, *borders):
        assert part.mean() == pytest.approx(200 * 0.05, rel=0.1)


def test_masked_pixels_are_spread_more_evenly_than_by_chance() -> None:
    generator = np.random.default_rng(2)
    counts = []
    for _ in range(100):
        masked = np.zeros((64, 64), np.int64)
        masked[tuple(draw_pixels((64, 64), 1.5, generator).T)] = 1
        counts.append(masked.reshape(4, 16, 4, 16).sum((1, 3)))
    # By chance the variance of a quarter's count would be its mean.
    assert np.var(counts) < 0.6 * np.mean(counts)


@pytest.mark.parametrize("masking", MASKINGS.values(), ids=MASKINGS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_masked_pixel_never_keeps_its_own_value(shape: tuple[int, ...], masking: Masking) -> None:
    generator = np.random.default_rng(3)
    for _ in range(10):
        patch = generator.normal(size=(2, *shape)).astype(np.float32)  # no value twice
        shown, hidden = masking.hide(patch, generator)
        masked = np.isfinite(hidden)
        assert masked.any()
        np.testing.assert_array_equal(hidden[masked], patch[masked])
        assert (shown[masked] != patch[masked]).all()
        if not masking.line:
            np.testing.assert_array_equal(shown[~masked], patch[~masked])
        assert not np.array_equal(masked[0], masked[1])  # each channel for itself


def test_a_replacement_is_one_of_the_window_around_and_each_of_them_is_taken() -> None:
    generator = np.random.default_rng(4)
    patch = np.arange(24 * 24, dtype=np.float32).reshape(1, 24, 24)
    found = set()
    for _ in range(400):
        shown, hidden = Masking(1.5, 2).hide(patch, generator)
        for y, x in np.argwhere(np.isfinite(hidden[0])):
            row, column = divmod(int(shown[0, y, x]), 24)
            assert abs(row - y) <= 4
            assert abs(column - x) <= 4  # at the border the window lies inside the patch
            if 2 <= y < 22 and 2 <= x < 22:
                found.add((row - y, column - x))
    expected = {(y, x) for y in range(-2, 3) for x in range(-2, 3)} - {(0, 0)}
    assert {(int(y), int(x)) for y, x in found} == expected


@pytest.mark.parametrize("pixel", [(8, 9), (5, 5), (10, 14)], ids=["middle", "near", "far"])
def test_the_median_is_that_of_the_window_without_its_middle(pixel: tuple[int, int]) -> None:
    image = np.random.default_rng(5).random((16, 20), np.float32)
    y, x = pixel
    window = image[y - 5 : y + 6, x - 5 : x + 6]
    others = [value for value in window.ravel() if value != image[y, x]]
    assert len(others) == 120
    assert median_around(image, np.array([pixel]), 5) == pytest.approx(np.median(others))


@pytest.mark.parametrize(
    ("axis", "shape"), [(-1, (1, 40, 40)), (-2, (1, 40, 40)), (-3, (1, 16, 24, 24))]
)
def test_the_line_along_the_noise_is_hidden_but_not_asked_for(
    axis: int, shape: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(6)
    patch = generator.normal(size=shape).astype(np.float32)
    shown, hidden = Masking(0.2, 5, line=Line(axis, 7)).hide(patch, generator)
    changed, masked = shown != patch, np.isfinite(hidden)
    expected = np.zeros_like(masked)
    for pixel in np.argwhere(masked):
        for step in range(-3, 4):
            beside = pixel.copy()
            beside[axis] += step
            if 0 <= beside[axis] < shape[axis]:
                expected[tuple(beside)] = True
    np.testing.assert_array_equal(changed, expected)
    assert shown.min() >= patch.min()
    assert shown.max() <= patch.max()


def test_the_loss_looks_at_masked_pixels_alone() -> None:
    output = torch.tensor([[1.0, 2.0, 5.0]], requires_grad=True)
    target = torch.tensor([[np.nan, 4.0, 4.0]])
    loss = over_known(LOSSES["mse"])(output, target)
    assert loss.item() == pytest.approx((4 + 1) / 2)
    loss.backward()
    assert output.grad is not None
    assert output.grad.tolist() == [[0.0, -2.0, 1.0]]


def test_the_smallest_patch_has_a_masked_pixel() -> None:
    """At 1.5 percent it would have none in a quarter of the draws."""
    generator = np.random.default_rng(4)
    assert min(len(draw_pixels((8, 8), 1.5, generator)) for _ in range(300)) == 1
