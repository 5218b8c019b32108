import random

import pytest

from care_bridge.errors import TilingError
from care_bridge.tiling import AxisLimits, TileGrid, evenly

CARE_2D = AxisLimits(step=4, min=4, halo=40)


def random_axis(seed):
    rng = random.Random(seed)
    step = rng.choice([1, 2, 4, 8, 16])
    minimum = rng.choice([step, step * rng.randint(1, 8), rng.randint(1, 40)])
    limits = AxisLimits(step, minimum, rng.randint(0, 60))
    size = rng.randint(1, 700)
    return size, limits, limits.smallest_tile + rng.randint(0, 300)


@pytest.mark.parametrize("seed", range(300))
def test_tiles_cover_every_pixel_once_with_the_halo_around_it(seed):
    size, limits, largest = random_axis(seed)
    grid = TileGrid.fit({"X": size}, {"X": limits}, {"X": largest})
    spans = [tile.spans["X"] for tile in grid]
    padded = limits.padded(size)
    kept = [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(size))
    for span in spans:
        assert span.start % limits.step == 0
        assert (
            span.stop - span.start
            == grid.tile["X"]
            <= max(largest, padded if len(grid) == 1 else 0)
        )
        assert span.start >= 0
        assert span.stop <= padded
        assert span.start == 0 or span.keep_start - span.start >= limits.halo
        assert span.stop == padded or span.stop - span.keep_stop >= limits.halo


def test_a_small_image_is_one_padded_tile():
    grid = TileGrid.fit({"Y": 31, "X": 45}, {"Y": CARE_2D, "X": CARE_2D}, {"Y": 256, "X": 256})
    assert len(grid) == 1
    assert grid.tile == {"Y": 32, "X": 48}


def test_equal_tiles_for_a_large_image():
    # By hand: 4096 in 4 tiles of t with 3 overlaps of 80: 4 t = 4096 + 240, t = 1084.
    grid = TileGrid.fit({"X": 4096}, {"X": CARE_2D}, {"X": 1200})
    assert grid.tile == {"X": 1084}
    assert grid.counts == {"X": 4}
    assert grid.computed_share == pytest.approx(4 * 1084 / 4096)


def test_axes_that_the_tile_does_not_name_are_not_cut():
    limits = {"Z": AxisLimits(4, 4, 20), "Y": CARE_2D, "X": CARE_2D}
    grid = TileGrid.fit({"Z": 400, "Y": 400, "X": 400}, limits, {"Y": 200, "X": 200})
    assert grid.tile["Z"] == 400


def test_a_tile_too_small_for_the_halo_is_refused_with_the_smallest_one():
    with pytest.raises(TilingError, match="64 along X is below the smallest .* 84"):
        TileGrid.fit({"X": 500}, {"X": CARE_2D}, {"X": 64})
    assert len(TileGrid.fit({"X": 500}, {"X": CARE_2D}, {"X": 84})) > 1


def test_a_tile_along_an_axis_the_model_lacks_is_refused():
    with pytest.raises(TilingError, match="along Z was asked for"):
        TileGrid.fit({"X": 500}, {"X": CARE_2D}, {"Z": 64})


@pytest.mark.parametrize("seed", range(300))
def test_a_window_is_covered_once_with_the_halo_that_the_whole_image_would_give(seed):
    size, limits, largest = random_axis(seed)
    rng = random.Random(seed)
    start = rng.randrange(size)
    stop = rng.randint(start + 1, size)
    window = {"X": slice(start, stop)}
    grid = TileGrid.fit({"X": size}, {"X": limits}, {"X": largest}, window)
    padded = limits.padded(size)
    spans = [tile.spans["X"] for tile in grid]
    kept = [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(start, stop))
    for span in spans:
        length = span.stop - span.start
        assert length == grid.tile["X"]
        assert length >= limits.min
        assert (length - limits.min) % limits.step == 0
        assert span.start % limits.step == 0
        assert 0 <= span.start < span.stop <= padded
        assert span.start == 0 or span.keep_start - span.start >= limits.halo
        assert span.stop == padded or span.stop - span.keep_stop >= limits.halo


def test_a_window_reads_no_more_than_its_halo():
    # By hand: 100..200 with a halo of 40 a side, on multiples of 4: 60..240.
    grid = TileGrid.fit({"X": 5000}, {"X": CARE_2D}, window={"X": slice(100, 200)})
    (tile,) = grid
    assert (tile.spans["X"].start, tile.spans["X"].stop) == (60, 240)
    assert grid.computed_share == 1.8


def test_two_tiles_are_not_smaller_than_the_smallest():
    # Two equal tiles of 48 would do for 96, but the network takes 64, 80, 96, …
    limits = AxisLimits(step=16, min=64, halo=0)
    grid = TileGrid.fit({"X": 96}, {"X": limits}, {"X": 80})
    assert [span.spans["X"].read for span in grid] == [slice(0, 64), slice(32, 96)]


@pytest.mark.parametrize(
    ("most", "seen"),
    [(None, {10: 64, 64: 64, 65: 80, 200: 208}), (64, {10: 64, 64: 64, 65: 64, 200: 64})],
)
def test_what_a_network_takes_at_once(most, seen):
    """By hand, of sizes 64, 80, 96, … and of 64 alone."""
    limits = AxisLimits(step=16, min=64, halo=0, most=most)
    assert {size: limits.at_once(size) for size in seen} == seen


@pytest.mark.parametrize(
    ("size", "reads"),
    [
        (20, [(0, 64)]),
        (64, [(0, 64)]),
        (65, [(0, 64), (1, 65)]),
        (150, [(0, 64), (54, 118), (86, 150)]),
    ],
)
def test_tiles_of_a_network_of_one_size_have_it(size, reads):
    """By hand: each keeps all but the halo of 5 a side, the last ends where the image does."""
    limits = AxisLimits(step=1, min=64, halo=5, most=64)
    for largest in ({}, {"X": 100}):
        spans = [tile.spans["X"] for tile in TileGrid.fit({"X": size}, {"X": limits}, largest)]
        assert [(span.start, span.stop) for span in spans] == reads
        assert (spans[0].keep_start, spans[-1].keep_stop) == (0, size)


@pytest.mark.parametrize(
    ("count", "most", "numbers"),
    [
        (0, 5, ()),
        (3, 5, (0, 1, 2)),
        (5, 5, (0, 1, 2, 3, 4)),
        (10, 4, (0, 3, 6, 9)),
        (6, 4, (0, 2, 3, 5)),  # of 0, 1.67, 3.33 and 5
        (9, 1, (0,)),
    ],
)
def test_some_of_many_are_chosen_evenly(count, most, numbers):
    """By hand."""
    assert evenly(count, most) == numbers
