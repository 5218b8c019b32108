"""The scales of a whole image, by sample and channel, and the type of its result."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.images.source import ImageSource, whole
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.options import RestoreOptions
from care_bridge.normalization import UNCHANGED, FixedScale, Percentiles, Scale

# Below this span of grey levels, rounding to integers costs more than 0.1 dB.
SMALLEST_INTEGER_SPAN = 64

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class SampleScales:
    """Scales of one sample: `before` the network for each channel of the image, `after` it for
    each channel of the result."""

    before: tuple[Scale, ...]
    after: tuple[Scale, ...]

    @property
    def stays(self) -> tuple[bool, ...]:
        """For each channel of the result: is it blank, so that it stays as it came?"""
        return tuple(
            scale.span == 0 and len(self.before) == len(self.after) for scale in self.after
        )

    def part(self, channels_in: slice, channels_out: slice) -> SampleScales:
        """The scales of some channels."""
        return SampleScales(self.before[channels_in], self.after[channels_out])


@dataclass(frozen=True)
class ImageScales:
    """The scales of an image, and its result's type."""

    dtype: np.dtype[Any]
    samples: tuple[SampleScales, ...]

    def at(self, sample: int, time: int) -> SampleScales:
        """The scales of a frame."""
        return self.samples[sample]

    def all(self) -> tuple[SampleScales, ...]:
        """Those of all frames that have their own."""
        return self.samples


def fit_scales(
    source: ImageSource,
    spec: ModelSpec,
    options: RestoreOptions,
    channels: tuple[int, ...],
    progress: Callable[[int, int], None] | None = None,
) -> ImageScales:
    """INTERIM."""
    pixels = source.read(whole(source.info))[:, :, list(channels)]
    samples = _fit(spec.normalization, pixels, spec.channels_in, spec.channels_out)
    return ImageScales(result_dtype(options.dtype, pixels.dtype, samples), samples)


def _fit(
    normalization: Percentiles | FixedScale,
    pixels: NDArray[np.generic],
    channels_in: int,
    channels_out: int,
) -> tuple[SampleScales, ...]:
    """The scales of `pixels` (STCZYX), a SampleScales for each sample.

    Percentiles are taken over all frames and slices of a channel. channels_in, channels_out: the
    network's; a one-channel network is applied to each channel. Where a network turns several
    channels into another number of channels, the first one's scale is inverted for all.
    """
    samples, _, channels = pixels.shape[:3]
    if isinstance(normalization, FixedScale):
        repeats = channels if channels_in == 1 else 1
        fixed = SampleScales(normalization.before * repeats, normalization.after * repeats)
        return tuple(fixed for _ in range(samples))
    fitted: list[SampleScales] = []
    for sample in pixels:
        before = tuple(normalization.fit(sample[:, channel]) for channel in range(channels))
        for channel, scale in enumerate(before):
            if scale.span == 0:
                log.warning(
                    "channel %d is blank (its percentiles are both %g): it stays unchanged",
                    channel,
                    scale.lo,
                )
        if not normalization.inverted:
            after = (UNCHANGED,) * (channels * channels_out if channels_in == 1 else channels_out)
        elif channels_in == 1:
            after = tuple(scale for scale in before for _ in range(channels_out))
        elif channels_in == channels_out:
            after = before
        else:
            after = before[:1] * channels_out
        fitted.append(SampleScales(before, after))
    return tuple(fitted)


def result_dtype(
    wanted: str, given: np.dtype[Any], scales: tuple[SampleScales, ...]
) -> np.dtype[Any]:
    """The result's type for the option `wanted` (see RestoreOptions.dtype) and a `given` input."""
    spans = [
        scale.span
        for sample in scales
        for scale in (*sample.before, *sample.after)
        if scale.span > 0
    ]
    span = min(spans, default=float(SMALLEST_INTEGER_SPAN))
    narrow = span < SMALLEST_INTEGER_SPAN
    if wanted == "auto":
        if given.kind == "u" and narrow:
            log.info(
                "result is float32: the image spans %.4g grey levels only, and rounding to %s "
                "would cost precision (dtype=input keeps %s)",
                span,
                given,
                given,
            )
            return np.dtype(np.float32)
        return given
    dtype = given if wanted == "input" else np.dtype(wanted)
    brightest = max(scale.offset + scale.gain for sample in scales for scale in sample.after)
    if dtype.kind == "u" and brightest > np.iinfo(dtype).max:
        log.warning(
            "grey levels reach %.4g, more than %s holds: brighter ones become %d",
            brightest,
            dtype,
            np.iinfo(dtype).max,
        )
    if dtype.kind == "u" and narrow:
        log.warning(
            "the image spans %.4g grey levels only: rounding to %s costs precision "
            "(dtype=float32 does not)",
            span,
            dtype,
        )
    return dtype
