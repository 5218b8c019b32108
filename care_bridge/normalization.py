"""Intensity normalization: fit on a whole image, apply, invert.

    normalized = (x - lo) / (hi - lo + eps)          scale_range of the bioimage.io spec
    x          = normalized * (hi - lo + eps) + lo   its exact inverse

`lo` and `hi` are percentiles with numpy's linear interpolation (Weigert et al. 2018, Methods).
They are always taken over the whole image, before padding and tiling: per-tile statistics make
seams.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ConfigError, ImageError
from care_bridge.levels import MEASURABLE, measure

# Pixels computed at a time: the float64 numbers of as many stay in the processor's cache.
_CHUNK = 1 << 16


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

    def apply(
        self, pixels: NDArray[np.generic], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """`pixels` (any shape, grey levels) in the normalised range; computed in float64, a chunk
        at a time. They go into `out` (the same shape) where it is given."""
        normalized = np.empty(pixels.shape, np.float32) if out is None else out
        for levels, into in chunks(pixels, normalized):
            numbers = levels.astype(np.float64)
            numbers -= self.offset
            numbers /= self.gain
            into[...] = numbers
        return normalized

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

    def apply(
        self, pixels: NDArray[np.generic], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """As Scale's; zeros for a blank image, whose few other pixels would become huge."""
        if self.span:
            return super().apply(pixels, out)
        normalized = np.empty(pixels.shape, np.float32) if out is None else out
        normalized[...] = 0
        return normalized


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
        check_percentiles(self.low, self.high)

    def scale(self, lo: float, hi: float) -> ScaleRange:
        """The scale that sends grey level `lo` to 0 and `hi` to 1, but for eps."""
        return ScaleRange(gain=hi - lo + self.eps, offset=lo, lo=lo, hi=hi)

    def fit(self, pixels: NDArray[np.generic]) -> ScaleRange:
        """The scale of `pixels` (any shape, all counted). ImageError on NaN or infinity."""
        return self.scale(*percentiles(pixels, (self.low, self.high)))


@dataclass(frozen=True)
class FixedScale:
    """Fixed normalization by dataset statistics: for every image the same scales, `before` the
    network for each input channel and `after` it for each output channel. inverted: the result is
    in grey levels; that of foreign packages is what their steps make of it."""

    before: tuple[Scale, ...]
    after: tuple[Scale, ...]
    inverted: bool = True


def check_percentiles(low: float, high: float) -> None:
    """Raise ConfigError unless 0 <= low < high <= 100."""
    if not 0 <= low < high <= 100:
        raise ConfigError(
            f"percentiles {low:g} and {high:g} do not satisfy 0 <= low < high <= 100: give a lower "
            "low one or a higher high one, e.g. 2 and 99.8"
        )


def percentiles(pixels: NDArray[np.generic], percents: Sequence[float]) -> tuple[float, ...]:
    """Exact percentiles, equal to `numpy.percentile(..., method="linear")` in float64; no sorted
    copy is made. ImageError where there are no pixels, or NaN or infinities among them."""
    if pixels.size == 0:
        raise ImageError("the image has no pixels")
    known = pixels if pixels.dtype.name in MEASURABLE else pixels.astype(np.float64)
    (levels,) = measure(lambda: [(0, known)], 1, known.dtype, percents, ignore_zeros=False)
    if levels.nonfinite:
        raise ImageError(
            f"the image has {levels.nonfinite} pixels that are NaN or infinite: replace them first"
        )
    return levels.percentiles


def chunks(
    pixels: NDArray[np.generic], result: NDArray[np.generic]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Two arrays of one shape in flat chunks, so that a computation from `pixels` into `result`
    needs little memory besides; a chunk is to be used before the next one is asked for."""
    with np.nditer(
        [pixels, result],
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly"], ["writeonly"]],
        buffersize=_CHUNK,
    ) as pairs:
        yield from pairs
