"""What is known of an image's intensities: measured once, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TrainingError
from care_bridge.levels import measure
from care_bridge.training.patch_config import NormalizationConfig
from care_bridge.training.pixels import Pixels

FOREGROUND_PERCENTILE = 99.9
BLACK_PERCENTILE = 2.0
"""What is black where most pixels lie below zero."""
_TABLE_STEPS = 16
_LARGEST = 1e18
"""Of larger ones the squares, which networks sum up, are no float32 numbers."""
_HOT = 256
"""Spans of the percentiles that a hot pixel lies from them: one of 65535 in an image with 256 grey
levels of contrast costs a denoiser 4 dB."""
_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Statistics:
    """What is known of an image's intensities, one entry a channel, over all its frames.

    percents: ascending, in percent. levels: (channels, percents) grey levels of these percentiles.
    lowest, highest: the pixels farthest out. mean, square: means of the pixels and of their
    squares. pixels: their number.
    """

    percents: NDArray[np.float64]
    levels: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    pixels: int

    def level(self, percent: float) -> NDArray[np.float64]:
        """The percentile of each channel; between tabulated percents by linear interpolation."""
        return np.array([np.interp(percent, self.percents, row) for row in self.levels])


def statistics_of(
    pixels: Pixels, path: Path, normalization: NormalizationConfig
) -> list[Statistics]:
    """Of each sample of `pixels` (STCZYX). TrainingError, naming `path`, where there are NaN,
    infinities or numbers near them."""
    percents = _percents(normalization)
    samples, _, channels, *_ = pixels.shape
    found = []
    for sample in range(samples):
        parts = [_part(pixels, sample, channel) for channel in range(channels)]
        levels = measure(
            partial(_numbered, parts),
            channels,
            pixels.dtype,
            percents.tolist(),
            ignore_zeros=False,
        )
        strange = sum(each.nonfinite for each in levels)
        if strange:
            raise TrainingError(
                f"{path}: the image has {strange} pixels that are NaN or infinite: replace them "
                "first"
            )
        lowest, highest, mean, square = np.array([_moments(part) for part in parts]).T
        largest = max(*lowest, *highest, key=abs)
        if abs(largest) > _LARGEST:
            raise TrainingError(
                f"{path}: the image has a pixel of {largest:.4g}, at most {_LARGEST:g} can be "
                "learned from: replace such pixels first, e.g. by the median of their neighbours"
            )
        found.append(
            Statistics(
                percents,
                np.array([each.percentiles for each in levels]),
                lowest,
                highest,
                mean,
                square,
                parts[0].size,
            )
        )
    return found


def check_contrast(
    samples: Sequence[Statistics], path: Path, normalization: NormalizationConfig
) -> None:
    """TrainingError where percentiles that scale patches are one grey level."""
    low = max(normalization.low, normalization.train_low[1])
    high = min(normalization.high, normalization.train_high[0])
    for statistics in samples:
        flat = statistics.level(low) >= statistics.level(high)
        if flat.any():
            raise TrainingError(
                f"{path} has no contrast: its percentiles {low:g} and {high:g} are both "
                f"{statistics.level(low)[flat][0]:g}; leave it out, or set normalization.mode=fixed"
            )


def hot_pixel(statistics: Statistics, normalization: NormalizationConfig) -> str:
    """What is said of the pixel that lies farthest from the percentiles that scale its image; ""
    where none lies so far out that it would outweigh many others in what is learned."""
    low, high = statistics.level(normalization.low), statistics.level(normalization.high)
    below, above = low - statistics.lowest, statistics.highest - high
    spans = np.maximum(below, above) / np.where(high > low, high - low, np.inf)
    channel = int(spans.argmax())
    if spans[channel] <= _HOT:
        return ""
    side = statistics.lowest if below[channel] > above[channel] else statistics.highest
    return (
        f"a pixel of {side[channel]:.4g}, {spans[channel]:.3g} times as far out as the percentiles "
        f"{normalization.low:g} and {normalization.high:g} ({low[channel]:.4g} and "
        f"{high[channel]:.4g}) lie apart"
    )


def _percents(normalization: NormalizationConfig) -> NDArray[np.float64]:
    """The percents worth knowing: those of prediction and of the background, and a fine table of
    the ranges from which training draws."""
    return np.unique(
        [
            normalization.low,
            normalization.high,
            FOREGROUND_PERCENTILE,
            BLACK_PERCENTILE,
            *np.linspace(*normalization.train_low, _TABLE_STEPS + 1),
            *np.linspace(*normalization.train_high, _TABLE_STEPS + 1),
        ]
    )


def _part(pixels: Pixels, sample: int, channel: int) -> Pixels:
    every = slice(None)
    one = slice(sample, sample + 1), every, slice(channel, channel + 1), every, every, every
    return pixels.part(one)


def _numbered(parts: Sequence[Pixels]) -> Iterator[tuple[int, NDArray[np.generic]]]:
    for number, part in enumerate(parts):
        for block in part.blocks():
            yield number, block


def _moments(pixels: Pixels) -> tuple[float, float, float, float]:
    """The lowest and the highest pixel, the means of all and of their squares, in float64."""
    lowest, highest, total, square = np.inf, -np.inf, 0.0, 0.0
    for block in pixels.blocks():
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        flat = block.ravel()
        for start in range(0, flat.size, _AT_ONCE):
            values = flat[start : start + _AT_ONCE].astype(np.float64)
            total += float(values.sum())
            square += float(np.vdot(values, values))
    return lowest, highest, total / pixels.size, square / pixels.size
