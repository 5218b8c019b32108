"""Intensity normalization: fit on a whole image, apply, invert.

    normalized = (x - lo) / (hi - lo + eps)          scale_range of the bioimage.io spec
    x          = normalized * (hi - lo + eps) + lo   its exact inverse

`lo` and `hi` are percentiles with numpy's linear interpolation (Weigert et al. 2018, Methods).
They are always taken over the whole image, before padding and tiling: per-tile statistics make
seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ConfigError, ImageError

_HISTOGRAM_CHUNK = 1 << 20


@dataclass(frozen=True)
class Scale:
    """An affine map to the normalised range: (x - offset) / gain."""

    gain: float
    offset: float

    @property
    def span(self) -> float:
        """Grey levels that the image's contrast takes, about: a gain of dataset statistics is a
        standard deviation, and four of them hold most of an image."""
        return 4 * self.gain

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """`pixels` (any shape, grey levels) in the normalised range; computed in float64."""
        return ((pixels.astype(np.float64) - self.offset) / self.gain).astype(np.float32)

    def invert(self, normalized: NDArray[np.float32]) -> NDArray[np.float64]:
        """Back to grey levels."""
        return normalized.astype(np.float64) * self.gain + self.offset


UNCHANGED = Scale(gain=1.0, offset=0.0)


@dataclass(frozen=True)
class ScaleRange(Scale):
    """A scale fitted to an image's percentiles; `lo` and `hi` are their grey levels."""

    lo: float
    hi: float

    @property
    def span(self) -> float:
        """hi - lo in grey levels; 0 for a blank image, which nothing can be normalised by."""
        return self.hi - self.lo

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """As Scale's; zeros for a blank image, whose few other pixels would become huge."""
        return super().apply(pixels) if self.span else np.zeros(pixels.shape, np.float32)


@dataclass(frozen=True)
class Percentiles:
    """Per-image normalization: percentile `low` goes to 0, `high` to 1; no clipping.

    Percentiles in percent, 0 <= low < high <= 100; eps in grey levels. They have no defaults: the
    package says what it was trained with. inverted: the result is scaled back to grey levels;
    foreign packages do not ask for it, their result stays normalised.
    """

    low: float
    high: float
    eps: float
    inverted: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ConfigError(
                f"percentiles {self.low:g} and {self.high:g} do not satisfy 0 <= low < high <= 100"
            )

    def fit(self, pixels: NDArray[np.generic]) -> ScaleRange:
        """The scale of `pixels` (any shape, all counted). ImageError on NaN or infinity."""
        lo, hi = percentiles(pixels, (self.low, self.high))
        return ScaleRange(gain=hi - lo + self.eps, offset=lo, lo=lo, hi=hi)


@dataclass(frozen=True)
class FixedScale:
    """Fixed normalization by dataset statistics: for every image the same scales, `before` the
    network for each input channel and `after` it for each output channel."""

    before: tuple[Scale, ...]
    after: tuple[Scale, ...]


def percentiles(pixels: NDArray[np.generic], percents: tuple[float, ...]) -> tuple[float, ...]:
    """Exact percentiles, equal to `numpy.percentile(..., method="linear")` in float64.

    uint8 and uint16 are counted in a histogram: no sorted copy is made.
    """
    if pixels.size == 0:
        raise ImageError("the image has no pixels")
    if pixels.dtype in (np.uint8, np.uint16):
        return _from_histogram(_histogram(pixels), percents)
    if np.issubdtype(pixels.dtype, np.floating):
        bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
        if bad:
            raise ImageError(
                f"the image has {bad} pixels that are NaN or infinite: replace them first"
            )
    return _from_ranks(pixels, percents)


def _histogram(pixels: NDArray[np.generic]) -> NDArray[np.int64]:
    levels = 1 << (8 * pixels.itemsize)
    counts = np.zeros(levels, np.int64)
    flat = pixels.reshape(-1)
    for start in range(0, flat.size, _HISTOGRAM_CHUNK):
        counts += np.bincount(flat[start : start + _HISTOGRAM_CHUNK], minlength=levels)
    return counts


def _from_ranks(pixels: NDArray[np.generic], percents: tuple[float, ...]) -> tuple[float, ...]:
    """By selection in one copy of the pixels, in their own type."""
    last = pixels.size - 1
    ranks = [percent / 100 * last for percent in percents]
    ends = [(int(rank), min(int(rank) + 1, last)) for rank in ranks]
    chosen = np.partition(pixels.reshape(-1), sorted({end for pair in ends for end in pair}))
    return tuple(
        float(chosen[below]) + (float(chosen[above]) - float(chosen[below])) * (rank - below)
        for rank, (below, above) in zip(ranks, ends, strict=True)
    )


def _from_histogram(counts: NDArray[np.int64], percents: tuple[float, ...]) -> tuple[float, ...]:
    cumulative = np.cumsum(counts)
    found = []
    for percent in percents:
        rank = percent / 100 * (int(cumulative[-1]) - 1)
        below = int(np.searchsorted(cumulative, int(rank), side="right"))
        above = int(
            np.searchsorted(cumulative, min(int(rank) + 1, int(cumulative[-1]) - 1), side="right")
        )
        found.append(below + (above - below) * (rank - int(rank)))
    return tuple(found)
