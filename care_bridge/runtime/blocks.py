"""Which parts of an image go through the network together: one frame, one slice, one channel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from care_bridge.package.spec import ModelSpec


@dataclass(frozen=True)
class Block:
    """A part of an image in STCZYX order that the network sees as one: of sample `sample` and
    frame `time`, the channels and slices named. Its result goes into `channels_out`."""

    sample: int
    time: int
    channels_in: slice
    channels_out: slice
    z: slice

    @property
    def source(self) -> tuple[int, int, slice, slice]:
        """Index of its pixels (C, Z, Y, X) in the image."""
        return self.sample, self.time, self.channels_in, self.z

    @property
    def target(self) -> tuple[int, int, slice, slice]:
        """Index of its result (C, Z, Y, X) in the restored image."""
        return self.sample, self.time, self.channels_out, self.z


def channels_restored(spec: ModelSpec, channels: int) -> int:
    """Channels of the result: a one-channel model restores each channel by itself."""
    return channels * spec.channels_out if spec.channels_in == 1 else spec.channels_out


def blocks(spec: ModelSpec, shape: tuple[int, ...]) -> Iterator[Block]:
    """The blocks of an image of this STCZYX shape, in reading order."""
    samples, frames, channels, depth = shape[:4]
    if spec.channels_in == 1:
        width = spec.channels_out
        pairs = [(slice(c, c + 1), slice(c * width, (c + 1) * width)) for c in range(channels)]
    else:
        pairs = [(slice(0, channels), slice(0, spec.channels_out))]
    whole = "Z" in spec.tiling
    slices = [slice(0, depth)] if whole else [slice(z, z + 1) for z in range(depth)]
    for sample, time, (into, out), z in itertools.product(
        range(samples), range(frames), pairs, slices
    ):
        yield Block(sample, time, into, out, z)
