import math
import tracemalloc

import numpy as np
import pytest

from care_bridge.levels import measure, passes

RANDOM = np.random.default_rng(0)
PERCENTS = (0.0, 2.0, 50.0, 99.8, 100.0)
NORMAL = RANDOM.normal(0, 5, 5001)
BITS = RANDOM.integers(0, 1 << 32, 4000, dtype=np.uint32).view(np.float32)


def measured(blocks, percents=PERCENTS, ignore_zeros=False):
    """The levels of blocks of one group."""
    (levels,) = measure(
        lambda: ((0, block) for block in blocks),
        1,
        blocks[0].dtype,
        percents,
        ignore_zeros=ignore_zeros,
    )
    return levels


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(RANDOM.integers(0, 256, 4001, np.uint8), id="uint8"),
        pytest.param(RANDOM.integers(0, 1 << 16, 4001, np.uint16), id="uint16"),
        pytest.param(NORMAL.astype(np.float32), id="float32-both-signs"),
        pytest.param(-np.abs(NORMAL).astype(np.float32) - 1, id="float32-negative"),
        pytest.param(RANDOM.poisson(300, 4001).astype(np.float32), id="float32-ties"),
        pytest.param(np.full(100, np.float32(0.1)), id="float32-constant"),
        pytest.param(BITS[np.isfinite(BITS)], id="float32-all-bits"),
        pytest.param(np.array([0.0, -0.0, 1e-45, -1e-45], np.float32), id="float32-around-zero"),
        pytest.param(NORMAL, id="float64"),
        pytest.param(NORMAL - NORMAL.max() - 1, id="float64-negative"),
        pytest.param(np.array([3.5], np.float32), id="one"),
        pytest.param(RANDOM.integers(0, 1 << 16, 4001, np.uint16).astype(">u2"), id="big-endian"),
        pytest.param(NORMAL.astype(">f4"), id="big-endian-float32"),
    ],
)
def test_percentiles_are_numpys_to_the_last_bit(pixels):
    expected = np.percentile(pixels.astype(np.float64), PERCENTS)
    for parts in (1, 7):
        blocks = [part for part in np.array_split(pixels, parts) if part.size]
        assert measured(blocks).percentiles == tuple(expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("count", [1, 4, 997])
def test_percentiles_that_are_pixels_are_numpys(dtype, count):
    pixels = RANDOM.poisson(90, count).astype(dtype)
    percents = (0.0, 5.0, 25.0, 50.0, 90.0, 100.0)
    (levels,) = measure(
        lambda: [(0, pixels)], 1, pixels.dtype, percents, ignore_zeros=False, interpolated=False
    )
    expected = np.percentile(pixels, percents, method="inverted_cdf")
    assert levels.percentiles == tuple(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sign", [1, -1])
def test_percentiles_of_many_alike_are_numpys(dtype, sign):
    """More pixels with the same leading digits than are kept to be sorted."""
    pixels = (sign * (1000 + RANDOM.normal(0, 0.01, 400_000))).astype(dtype)
    assert measured([pixels]).percentiles == tuple(np.percentile(pixels.astype(float), PERCENTS))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_groups_are_measured_by_themselves(dtype):
    groups = [RANDOM.poisson(40 + 50 * group, (20, 30)).astype(dtype) for group in range(3)]

    def read():
        for row in range(0, 20, 7):
            for group, pixels in enumerate(groups):
                yield group, pixels[row : row + 7, ::-2]

    found = measure(read, 3, np.dtype(dtype), PERCENTS, ignore_zeros=False)
    for levels, pixels in zip(found, groups, strict=True):
        assert levels.percentiles == tuple(np.percentile(pixels[:, ::-2].astype(float), PERCENTS))
        assert levels.counted == 20 * 15


@pytest.mark.parametrize(("dtype", "expected"), [("uint8", 1), ("uint16", 1), ("float32", 2)])
def test_pixels_are_read_as_often_as_is_said(dtype, expected):
    calls = []

    def read():
        calls.append(1)
        yield 0, np.arange(100, dtype=dtype)

    measure(read, 1, np.dtype(dtype), PERCENTS, ignore_zeros=False)
    assert len(calls) == passes(np.dtype(dtype), PERCENTS) == expected


def test_more_than_two_to_the_31_pixels_are_counted():
    base = RANDOM.integers(0, 251, 1 << 20, np.uint8)
    base[0] = 255
    repeats = 2100
    total = base.size * repeats
    assert total > 1 << 31
    block = np.broadcast_to(base, (300, base.size))
    levels = measured([block] * (repeats // 300), (0.00001, 37.0, 99.8, 99.99999))
    ordered = np.sort(base).astype(float)
    for percent, found in zip((0.00001, 37.0, 99.8, 99.99999), levels.percentiles, strict=True):
        rank = percent / 100 * (total - 1)
        below, above = (ordered[r // repeats] for r in (math.floor(rank), math.ceil(rank)))
        assert found == pytest.approx(below + (above - below) * (rank % 1), abs=1e-6)
    assert levels.counted == total


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_zeros_can_be_left_out(dtype):
    pixels = RANDOM.poisson(30, 5000).astype(dtype) + 5
    pixels[:3000] = 0
    levels = measured([pixels], ignore_zeros=True)
    assert levels.percentiles == tuple(np.percentile(pixels[3000:].astype(float), PERCENTS))
    assert levels.counted == 2000


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_of_nothing_all_levels_are_zero(dtype):
    levels = measured([np.zeros((5, 5), dtype)], ignore_zeros=True)
    assert (levels.percentiles, levels.counted) == ((0.0,) * 5, 0)


def test_what_is_not_finite_is_counted_and_left_out():
    pixels = NORMAL.astype(np.float32)
    finite = pixels[6:].astype(float)
    payload = np.array([0x7FC12345, 0xFF800001], np.uint32).view(np.float32)  # two other NaNs
    pixels[:6] = np.nan, np.inf, -np.inf, -np.nan, *payload
    levels = measured(np.array_split(pixels, 3))
    assert (levels.nonfinite, levels.counted) == (6, finite.size)
    assert levels.percentiles == tuple(np.percentile(finite, PERCENTS))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_memory_does_not_grow_with_the_pixels(dtype):
    pixels = RANDOM.normal(300, 40, (2000, 4000)).astype(dtype)
    tracemalloc.start()
    try:
        measured([pixels], (2, 99.8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
