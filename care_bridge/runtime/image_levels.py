"""The percentiles of an image's channels, read box by box."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError
from care_bridge.images.source import Box, ImageSource, boxes_of
from care_bridge.levels import Levels, measure, passes
from care_bridge.runtime.progress import Progress

# Pixels read at a time: 16 MiB of float32.
BLOCK = 1 << 22


def image_levels(
    source: ImageSource,
    channels: Sequence[int],
    percents: Sequence[float],
    *,
    per_frame: bool,
    ignore_zeros: bool,
    progress: Progress | None = None,
) -> tuple[tuple[tuple[Levels, ...], ...], ...]:
    """The levels of `channels` (from 0), by sample, frame (one for all unless `per_frame`) and
    channel; over all slices.

    Integers are read once, floats twice, and nothing is read where nothing is asked: integers
    without percents. In memory at a time are BLOCK pixels, or one of the source's pieces where
    these are larger, and the counts of each channel (see `levels.measure`). progress: called with
    the pixels read and those to be read, counted each time. ImageError where there are none.
    """
    samples, frames, _, *space = source.info.canonical_shape
    together = [slice(t, t + 1) for t in range(frames)] if per_frame else [slice(0, frames)]
    pixels = samples * frames * len(channels) * math.prod(space)
    if not pixels:
        raise ImageError("the image has no pixels")
    if not percents and source.info.dtype.kind != "f":
        unread = (Levels((), 0, 0),) * len(channels)
        return ((unread,) * len(together),) * samples
    told = _Told(progress, pixels * passes(source.info.dtype, percents))

    def levels(sample: int, times: slice) -> tuple[Levels, ...]:
        return measure(
            lambda: told.of(channel_blocks(source, slice(sample, sample + 1), times, channels)),
            len(channels),
            source.info.dtype,
            percents,
            ignore_zeros=ignore_zeros,
        )

    return tuple(tuple(levels(s, times) for times in together) for s in range(samples))


class _Told:
    """Blocks of pixels on their way, counted for the progress."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def of(
        self, blocks: Iterator[tuple[int, Box, NDArray[np.generic]]]
    ) -> Iterator[tuple[int, NDArray[np.generic]]]:
        """The same blocks; each is told when it was used."""
        for position, _, pixels in blocks:
            yield position, pixels
            self._done += pixels.size
            if self._progress:
                self._progress(self._done, self._total)


def channel_blocks(
    source: ImageSource, sample: slice, times: slice, channels: Sequence[int]
) -> Iterator[tuple[int, Box, NDArray[np.generic]]]:
    """All pixels of the channels (STZYX), one channel at a time: its position in `channels`, the
    box that was read, and its pixels there."""
    position = {channel: number for number, channel in enumerate(channels)}
    for run in _runs(sorted(channels)):
        for box in boxes_of(_box(source, sample, times, run), source.pieces, BLOCK):
            pixels = source.read(box)
            for number, channel in enumerate(range(box[2].start, box[2].stop)):
                yield position[channel], box, pixels[:, :, number]


def _box(source: ImageSource, sample: slice, times: slice, channels: slice) -> Box:
    space = source.info.canonical_shape[3:]
    return (sample, times, channels, *(slice(0, size) for size in space))


def _runs(channels: Sequence[int]) -> Iterator[slice]:
    """Ascending numbers as slices of neighbours."""
    start = previous = channels[0]
    for channel in channels[1:]:
        if channel != previous + 1:
            yield slice(start, previous + 1)
            start = channel
        previous = channel
    yield slice(start, previous + 1)
