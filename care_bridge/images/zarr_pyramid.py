"""Smaller copies of a Zarr array, made of itself in bounded memory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.images.pixels import cast_pixels
from care_bridge.images.source import Box, boxes_of

if TYPE_CHECKING:
    from care_bridge.images.zarr_library import ZarrArray

_PIXELS_AT_A_TIME = 1 << 20  # of the smaller copy; as a rule one chunk


def smaller_shape(shape: tuple[int, ...], factors: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the copy: what is left over at the far end counts for no voxel."""
    return tuple(size // factor for size, factor in zip(shape, factors, strict=True))


def shrink_into(smaller: ZarrArray, larger: ZarrArray, factors: tuple[int, ...]) -> None:
    """Write the mean of each block of `factors` voxels of `larger` (factors 1 or 2)."""
    everything = tuple(slice(0, size) for size in smaller.shape)
    for box in boxes_of(everything, smaller.chunks, _PIXELS_AT_A_TIME):
        smaller[box] = cast_pixels(_mean(larger, box, factors), smaller.dtype)


def _mean(larger: ZarrArray, box: Box, factors: tuple[int, ...]) -> NDArray[np.float32]:
    pixels: NDArray[Any] = np.asarray(
        larger[
            tuple(
                slice(bounds.start * factor, bounds.stop * factor)
                for bounds, factor in zip(box, factors, strict=True)
            )
        ]
    )
    # at most 8 numbers of 16 bits are added: exact in float32
    total = np.zeros([bounds.stop - bounds.start for bounds in box], np.float32)
    offsets = list(itertools.product(*map(range, factors)))
    for offset in offsets:
        total += pixels[
            tuple(slice(start, None, factor) for start, factor in zip(offset, factors, strict=True))
        ]
    total /= len(offsets)
    return total
