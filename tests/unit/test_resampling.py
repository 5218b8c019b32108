"""Zooming along an axis, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import zoom

from care_bridge.resampling import (
    fewest_pixels,
    zoom_positions,
    zoomed,
    zoomed_part,
    zoomed_size,
)

PIXELS = np.random.default_rng(0).random((9, 7, 5))


@pytest.mark.parametrize("factor", [2, 4, 7])
def test_slices_are_samples_whose_ends_stay(factor: int) -> None:
    expected = zoom(PIXELS, ((8 * factor + 1) / 9, 1, 1), order=1)
    np.testing.assert_allclose(zoomed(PIXELS, "ZYX", {"Z": factor}), expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_pixels_are_bins_whose_edges_stay(factor: int) -> None:
    expected = zoom(PIXELS, (1, factor, factor), order=1, grid_mode=True, mode="nearest")
    found = zoomed(PIXELS, "ZYX", {"Y": factor, "X": factor})
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [1.5, 2.3, 10.2])
@pytest.mark.parametrize("axis", "ZYX")
def test_finer_pixels_lie_a_factor_nearer_and_inside(axis: str, factor: float) -> None:
    count = zoomed_size(axis, 9, factor)
    places = zoom_positions(axis, 0, count, factor)
    np.testing.assert_allclose(np.diff(places), 1 / factor)
    # A bin has its middle half a finer pixel inside of the edge, a sample may lie on the end.
    first, last = (0, 8) if axis == "Z" else (-0.5 + 0.5 / factor, 8.5 - 0.5 / factor)
    assert places[0] == pytest.approx(first, abs=1e-9)
    assert places[-1] <= last + 1e-9
    assert places[-1] + 1 / factor > last + 1e-9


@pytest.mark.parametrize(
    ("axis", "part", "factor", "expected"),
    [
        ("Z", slice(2, 5), 4, slice(8, 17)),
        ("Z", slice(0, 1), 2.5, slice(0, 1)),
        ("Z", slice(1, 3), 2.5, slice(3, 6)),
        ("Y", slice(2, 5), 4, slice(8, 20)),
        ("X", slice(0, 3), 2.5, slice(0, 7)),
    ],
)
def test_a_part_of_an_axis_shows_the_same_when_it_is_zoomed(
    axis: str, part: slice, factor: float, expected: slice
) -> None:
    assert zoomed_part(axis, part, factor) == expected


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0, 10.2])
@pytest.mark.parametrize("axis", "ZY")
@pytest.mark.parametrize("wanted", [1, 2, 17, 100])
def test_the_fewest_pixels_are_enough_and_no_fewer_would_be(
    axis: str, factor: float, wanted: int
) -> None:
    size = fewest_pixels(axis, wanted, factor)
    assert zoomed_size(axis, size, factor) >= wanted
    assert size == 1 or zoomed_size(axis, size - 1, factor) < wanted
