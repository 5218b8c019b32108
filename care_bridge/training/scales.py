"""How training patches are scaled: by percentiles of their whole image, or by fixed statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TrainingError
from care_bridge.normalization import Scale
from care_bridge.training.image_statistics import Statistics
from care_bridge.training.patch_config import NormalizationConfig
from care_bridge.training.stacks import Stack


@dataclass(frozen=True)
class Intensities:
    """Mean and standard deviation in grey levels of all training images, channel by channel."""

    source: tuple[Scale, ...]
    target: tuple[Scale, ...]


@dataclass(frozen=True)
class ChannelScales:
    """A scale for each channel of an array whose first axis is the channel."""

    scales: tuple[Scale, ...]

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """`pixels` (C, …), grey levels, as float32 in the normalised range."""
        return np.stack(
            [scale.apply(channel) for scale, channel in zip(self.scales, pixels, strict=True)]
        )


@dataclass(frozen=True)
class Scaling:
    """Chooses the scales of a stack's patches.

    vary: draw the percentiles of each patch from the training ranges (source and target get the
    same percents), else use those of prediction.
    """

    config: NormalizationConfig
    intensities: Intensities
    vary: bool

    def draw(
        self, stack: Stack, generator: np.random.Generator
    ) -> tuple[ChannelScales, ChannelScales]:
        """The scales of a patch's source and target."""
        if self.config.mode == "fixed" or not self.vary:
            return self.of_prediction(stack)
        low = generator.uniform(*self.config.train_low)
        high = generator.uniform(*self.config.train_high)
        return self._scales(stack, low, high)

    def of_prediction(self, stack: Stack) -> tuple[ChannelScales, ChannelScales]:
        """The scales of a stack's source and target when it is restored."""
        return self._scales(stack, self.config.low, self.config.high)

    def _scales(self, stack: Stack, low: float, high: float) -> tuple[ChannelScales, ChannelScales]:
        if self.config.mode == "fixed":
            return ChannelScales(self.intensities.source), ChannelScales(self.intensities.target)
        before = self._percentile_scales(stack.source_statistics, low, high)
        if self.config.target == "source":
            return before, before
        return before, self._percentile_scales(stack.target_statistics, low, high)

    def _percentile_scales(self, statistics: Statistics, low: float, high: float) -> ChannelScales:
        ends = zip(statistics.level(low), statistics.level(high), strict=True)
        return ChannelScales(
            tuple(Scale(float(hi - lo) + self.config.eps, float(lo)) for lo, hi in ends)
        )


def measure_intensities(stacks: Sequence[Stack]) -> Intensities:
    """Mean and standard deviation over all files of `stacks`, every pixel counted once.

    TrainingError where a channel is constant throughout.
    """
    return Intensities(
        _pooled([stack.source_statistics for stack in stacks], "source"),
        _pooled([stack.target_statistics for stack in stacks], "target"),
    )


def _pooled(of_stacks: Sequence[Statistics], side: str) -> tuple[Scale, ...]:
    # The frames of a file share its statistics, the sources of a target the target's.
    statistics = list({id(each): each for each in of_stacks}.values())
    pixels = np.array([entry.pixels for entry in statistics], np.float64)
    mean = np.average([entry.mean for entry in statistics], axis=0, weights=pixels)
    square = np.average([entry.square for entry in statistics], axis=0, weights=pixels)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    if not deviation.all():
        raise TrainingError(f"the {side} images are constant: there is nothing to learn from")
    return tuple(
        Scale(gain=float(gain), offset=float(offset))
        for gain, offset in zip(deviation, mean, strict=True)
    )
