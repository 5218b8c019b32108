"""Which parts of an image go through the network together: one frame, one slice, one channel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from care_bridge.package.spec import ModelSpec


@dataclass(frozen=True)
class Block:
    """A part of an image in STCZYX order that the network sees as one: of sample `sample` and
    frame `time`, some channels, and the slices `z`.

    channels_in: numbers among the channels that are restored. channels_out: where their result
    goes among the restored channels.
    """

    sample: int
    time: int
    channels_in: slice
    channels_out: slice
    z: slice


def channels_restored(spec: ModelSpec, channels: int) -> int:
    """Channels of the result: a one-channel model restores each channel by itself."""
    return channels * spec.channels_out if spec.channels_in == 1 else spec.channels_out


def blocks(spec: ModelSpec, channels: int, window: Mapping[str, slice]) -> Iterator[Block]:
    """The blocks of a window of an image (by axis S, T and Z, with explicit bounds), `channels` of
    which are restored, in reading order."""
    if spec.channels_in == 1:
        width = spec.channels_out
        pairs = [(slice(c, c + 1), slice(c * width, (c + 1) * width)) for c in range(channels)]
    else:
        pairs = [(slice(0, channels), slice(0, spec.channels_out))]
    depth = window["Z"]
    by_slice = [slice(z, z + 1) for z in range(depth.start, depth.stop)]
    for sample, time, (into, out), z in itertools.product(
        range(window["S"].start, window["S"].stop),
        range(window["T"].start, window["T"].stop),
        pairs,
        [depth] if spec.sees_volumes else by_slice,
    ):
        yield Block(sample, time, into, out, z)
