"""The scales of an image, by sample, frame and channel."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ConfigError, ImageError
from care_bridge.images.pixels import cast_pixels
from care_bridge.images.source import ImageSource
from care_bridge.levels import Levels
from care_bridge.normalization import UNCHANGED, FixedScale, Percentiles, Scale, chunks
from care_bridge.package.spec import ModelSpec
from care_bridge.package.steps import Operations
from care_bridge.runtime.formulas import Around, apply_all
from care_bridge.runtime.image_levels import image_levels
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.result_type import (
    full_type,
    natural_type,
    normalized_type,
    result_type,
)

_EXTREMES = (0.0, 100.0)
_NAMED = 5

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class SampleScales:
    """Scales of what is normalised together: all frames of a sample, or one frame.

    before: from grey levels to the network's range (`apply`), for each channel of the image that
    is restored. after: from the network's range to the result's grey levels (`invert`), for each
    channel of the result. raw: from grey levels to the result's past the network (`invert`), for
    each channel of the image. stays: for each channel of the result, is it blank, so that its
    pixels go past the network? around: what is done instead of scaling where the package names
    operations, for each block of channels that the network sees together; () where it does not.
    """

    before: tuple[Scale, ...]
    after: tuple[Scale, ...]
    raw: tuple[Scale, ...]
    stays: tuple[bool, ...]
    around: tuple[Around, ...] = ()

    def part(self, channels_in: slice, channels_out: slice) -> SampleScales:
        """The scales of some channels that the network sees together."""
        return SampleScales(
            self.before[channels_in],
            self.after[channels_out],
            self.raw[channels_in],
            self.stays[channels_out],
            self.around[channels_in],
        )

    def normalized(
        self, pixels: NDArray[np.generic], z: slice, place: int = 0
    ) -> NDArray[np.float32]:
        """Pixels (CZYX) of the slices `z` of a part's channels, as the network's input number
        `place` gets them."""
        if self.around:
            return apply_all(self.around[0].inputs[place], pixels, z).astype(np.float32)
        normalized = np.empty(pixels.shape, np.float32)
        for channel, scale in enumerate(self.before):
            scale.apply(pixels[channel], normalized[channel])
        return normalized


@dataclass(frozen=True)
class ImageScales:
    """The scales of an image, and its result's type.

    samples: for each sample the scales of its frames: of each one, or one for all. nonfinite:
    pixels that are NaN or infinite.
    """

    dtype: np.dtype[Any]
    samples: tuple[tuple[SampleScales, ...], ...]
    nonfinite: int

    def at(self, sample: int, time: int) -> SampleScales:
        """The scales of a frame."""
        frames = self.samples[sample]
        return frames[time if len(frames) > 1 else 0]

    def all(self) -> tuple[SampleScales, ...]:
        """Those of all frames that have their own, in the order of samples and frames."""
        return tuple(itertools.chain.from_iterable(self.samples))

    @property
    def levels(self) -> tuple[tuple[float, float], ...]:
        """The grey levels that the network takes as 0 and 1: of each channel, in each frame that
        has its own."""
        scales = itertools.chain.from_iterable(
            sample.before for sample in self.all() if not sample.around
        )
        return tuple((scale.offset, scale.offset + scale.gain) for scale in scales)

    @property
    def ends(self) -> tuple[tuple[float, float], ...]:
        """The grey levels that the two ends of the result's integer type stand for in the range
        full: of each channel, in each sample; 0 and 0 where a channel is constant."""
        most = np.iinfo(self.dtype).max
        scales = itertools.chain.from_iterable(frames[0].raw for frames in self.samples)
        return tuple(
            (-scale.offset / scale.gain, (most - scale.offset) / scale.gain)
            if scale.gain
            else (0.0, 0.0)
            for scale in scales
        )


def fit_scales(
    source: ImageSource,
    spec: ModelSpec,
    options: RestoreOptions,
    channels: Sequence[int],
    progress: Progress | None = None,
) -> ImageScales:
    """The scales of the `channels` (from 0) of an image that are restored.

    Percentiles are taken over all slices of a channel, and over all frames unless each is
    normalised by itself. A one-channel network is applied to each channel; where a network turns
    several channels into another number of channels, the first one's scale is inverted for all.
    For what is read, the memory and `progress` see `image_levels`. Raises ConfigError where the
    options do not fit the package or the image, ImageError on NaN or infinity.
    """
    given = source.info.dtype
    full = full_type(options.dtype, given) if options.range == "full" else None
    fit = _Fit(spec, options, chosen_normalization(spec, options), full)
    levels = image_levels(
        source,
        channels,
        fit.percents,
        per_frame=options.normalize == "per-frame",
        ignore_zeros=options.ignore_zeros,
        progress=progress,
    )
    nonfinite = sum(channel.nonfinite for sample in levels for frame in sample for channel in frame)
    if nonfinite and not options.ignore_nonfinite:
        raise ImageError(
            f"the image has {nonfinite} pixels that are NaN or infinite: replace them, or keep "
            "them as they are with ignore_nonfinite"
        )
    if nonfinite:
        log.warning(
            "%d pixels are NaN or infinite: they stay so, in integers as 0 and the ends", nonfinite
        )
    samples = tuple(fit.sample(frames) for frames in levels)
    _tell_blanks(samples, channels)
    everything = list(itertools.chain.from_iterable(samples))
    before = [scale for frame in everything for scale in frame.before]
    after = [scale for frame in everything for scale in frame.after]
    if not fit.scaled_back:
        dtype = normalized_type(options.dtype, given, natural_type(spec.normalization))
    else:
        dtype = full or result_type(options.dtype, given, before, after)
    return ImageScales(dtype, samples, nonfinite)


def scale_back(
    scale: Scale, pixels: NDArray[np.generic], result: NDArray[np.generic]
) -> NDArray[np.generic]:
    """`pixels` inverted by `scale` into `result` (the same shape), in its type, a chunk at a time:
    rounded and saturated as `cast_pixels` does."""
    for numbers, into in chunks(pixels, result):
        into[...] = cast_pixels(scale.invert(numbers), result.dtype)
    return result


def chosen_normalization(
    spec: ModelSpec, options: RestoreOptions
) -> Percentiles | FixedScale | Operations:
    """The package's normalization with the percentiles of the options; ConfigError where these do
    not fit the package."""
    low, high = options.percentile_low, options.percentile_high
    if options.range == "full" and not spec.in_grey_levels:
        raise ConfigError(
            f"range full is one of grey levels, the result of {spec.name} is not scaled back to "
            "them: use range input"
        )
    if isinstance(spec.normalization, Percentiles):
        return dataclasses.replace(
            spec.normalization,
            low=spec.normalization.low if low is None else low,
            high=spec.normalization.high if high is None else high,
        )
    operations = isinstance(spec.normalization, Operations)
    known = ("per-image", "per-frame") if operations else ("per-image",)
    asked = [
        name
        for name, given in (
            ("normalize", options.normalize not in known),
            ("a percentile", (low, high) != (None, None)),
            ("ignore_zeros", options.ignore_zeros),
            ("range 0-1", options.range == "0-1"),
        )
        if given
    ]
    if asked:
        how = "as its package says" if operations else "by the same numbers"
        raise ConfigError(
            f"{asked[0]} needs a model with percentiles, {spec.name} scales every image {how}: "
            "leave it out"
        )
    return spec.normalization


@dataclass(frozen=True)
class _Fit:
    """From measured levels to scales. full: the result's integer type where its range is full."""

    spec: ModelSpec
    options: RestoreOptions
    normalization: Percentiles | FixedScale | Operations
    full: np.dtype[Any] | None

    @property
    def percents(self) -> tuple[float, ...]:
        """Which percentiles have to be measured: low and high if any, extremes last if any."""
        asked: tuple[float, ...] = ()
        if isinstance(self.normalization, Percentiles) and isinstance(self.options.normalize, str):
            asked = self.normalization.low, self.normalization.high
        return (*asked, *_EXTREMES) if self.full else asked

    @property
    def scaled_back(self) -> bool:
        """Whether the result is to be in the image's grey levels."""
        return self.spec.in_grey_levels and self.options.range != "0-1"

    def sample(self, frames: Sequence[Sequence[Levels]]) -> tuple[SampleScales, ...]:
        """The scales of a sample, whose frames are measured together or each by itself.

        The range full is one of all frames together: they stay comparable.
        """
        stretches = [self._stretch(channel) for channel in zip(*frames, strict=True)]
        return tuple(self._frame(channels, stretches) for channels in frames)

    def _frame(self, channels: Sequence[Levels], stretches: Sequence[Scale]) -> SampleScales:
        count, into, out = len(channels), self.spec.channels_in, self.spec.channels_out
        if into == 1:
            partners = [channel for channel in range(count) for _ in range(out)]
        else:
            partners = list(range(count)) if into == out else [0] * out
        if isinstance(self.normalization, FixedScale):
            repeats = count if into == 1 else 1
            before = self.normalization.before * repeats
            after = self.normalization.after * repeats
        elif isinstance(self.normalization, Operations):
            before, after = (UNCHANGED,) * count, (UNCHANGED,) * len(partners)
        else:
            before = tuple(self._fitted(self.normalization, found) for found in channels)
            after = tuple(before[partner] for partner in partners)
        raw = (UNCHANGED,) * count
        if self.full:
            raw = tuple(stretches)
            after = tuple(_then(s, raw[p]) for s, p in zip(after, partners, strict=True))
        elif isinstance(self.normalization, Percentiles) and not self.scaled_back:
            raw = tuple(_normalized(scale) for scale in before)
            after = (UNCHANGED,) * len(partners)
        alike = self.spec.in_grey_levels and len(partners) == count
        stays = tuple(alike and before[partner].span == 0 for partner in partners)
        return SampleScales(before, after, raw, stays)

    def _fitted(self, normalization: Percentiles, found: Levels) -> Scale:
        given = self.options.normalize
        return normalization.scale(*(given if isinstance(given, tuple) else found.percentiles[:2]))

    def _stretch(self, frames: Sequence[Levels]) -> Scale:
        """From a channel's grey levels to the full range, by `invert`."""
        if self.full is None:
            return UNCHANGED
        extremes = [found.percentiles[-2:] for found in frames if found.counted]
        darkest = min((low for low, _ in extremes), default=0.0)
        brightest = max((high for _, high in extremes), default=0.0)
        if darkest == brightest:
            return Scale(gain=0.0, offset=0.0)
        gain = np.iinfo(self.full).max / (brightest - darkest)
        return Scale(gain=gain, offset=-darkest * gain)


def _then(first: Scale, second: Scale) -> Scale:
    """The scale whose inverse is that of `first`, then that of `second`."""
    return Scale(gain=first.gain * second.gain, offset=first.offset * second.gain + second.offset)


def _normalized(scale: Scale) -> Scale:
    """The scale whose inverse normalises as `scale` does."""
    if scale.span == 0:
        return Scale(gain=0.0, offset=0.0)
    return Scale(gain=1 / scale.gain, offset=-scale.offset / scale.gain)


def _tell_blanks(samples: Sequence[Sequence[SampleScales]], channels: Sequence[int]) -> None:
    """Warn once of all that is blank."""
    blank: dict[str, float] = {}
    sizes = len(samples), len(samples[0]), len(channels)
    stay = False
    for s, t, c in itertools.product(*map(range, sizes)):
        frame = samples[s][t]
        if frame.before[c].span == 0:
            numbers = ("sample", s), ("frame", t), ("channel", channels[c])
            named = [
                f"{what} {number + 1}"
                for (what, number), size in zip(numbers, sizes, strict=True)
                if size > 1
            ]
            blank[" ".join(named) or "the image"] = frame.before[c].offset
            stay = stay or any(frame.stays)
    if not blank:
        return
    outcome = "unchanged in the result" if stay else "taken as 0 by the network"
    if len(blank) == 1:
        ((name, level),) = blank.items()
        log.warning("%s is blank (its percentiles are both %g): %s", name, level, outcome)
        return
    names = ", ".join(list(blank)[:_NAMED])
    more = f" and {len(blank) - _NAMED} more" if len(blank) > _NAMED else ""
    log.warning(
        "%d of %d are blank (their two percentiles are equal): %s: %s%s",
        len(blank),
        math.prod(sizes),
        outcome,
        names,
        more,
    )
