"""How an OME-Zarr is cut: the shape of its chunks, and of its smaller copies. No pixels here."""

from __future__ import annotations

import math
from collections.abc import Mapping

from care_bridge.images.source import Box

CHUNK_BYTES = 4 << 20
SLAB_BYTES = 32 << 20
_SIDE = 512  # of a chunk in Y and X, and of an image that needs no smaller copies


def chunk_shape(sizes: Mapping[str, int], itemsize: int) -> tuple[int, ...]:
    """Chunks of at most 4 MiB for an image of these sizes, in the order of `sizes`.

    About 512 x 512 pixels of several slices. Where a layer of such chunks would be more than
    32 MiB, which a writer of single slices has to hold, and for images without Z: about 1024 x 1024
    of one. Chunks are as equal as can be: each is stored whole, also where the image ends in it.
    """
    depth = min(
        CHUNK_BYTES // (min(sizes["Y"], _SIDE) * min(sizes["X"], _SIDE) * itemsize),
        SLAB_BYTES // (sizes["Y"] * sizes["X"] * itemsize),
        sizes.get("Z", 1),
    )
    side = _SIDE if depth > 1 else 2 * _SIDE
    wanted = {"Y": side, "X": side, "Z": max(depth, 1)}
    return tuple(_equal(size, wanted.get(letter, 1)) for letter, size in sizes.items())


def _equal(size: int, most: int) -> int:
    """The length of the fewest equal pieces of at most `most` that cover `size`."""
    return -(-size // -(-size // most))


def level_factors(
    sizes: Mapping[str, int], voxel_size: Mapping[str, float]
) -> list[dict[str, int]]:
    """By how much each smaller copy is smaller than the one before, by axis.

    Y and X are halved until both are at most 512; Z as well where that brings a voxel's depth
    nearer to its height, as far as both are known.
    """
    sizes, voxel_size = dict(sizes), dict(voxel_size)
    levels = []
    while max(sizes["Y"], sizes["X"]) > _SIDE:
        factors = {axis: 2 for axis in "YX" if sizes[axis] > 1}
        known = "Z" in voxel_size and "Y" in voxel_size
        if sizes.get("Z", 1) > 1 and known and voxel_size["Z"] < math.sqrt(2) * voxel_size["Y"]:
            factors["Z"] = 2
        for axis, factor in factors.items():
            sizes[axis] //= factor
            voxel_size[axis] = voxel_size.get(axis, 1.0) * factor
        levels.append(factors)
    return levels


def aligned(box: Box, chunks: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """The part of a box that consists of whole chunks of an array of this shape (those at its far
    end count as whole); it may be empty."""
    inside = []
    for bounds, chunk, size in zip(box, chunks, shape, strict=True):
        start = -(-bounds.start // chunk) * chunk
        stop = size if bounds.stop == size else bounds.stop // chunk * chunk
        inside.append(slice(start, max(start, stop)))
    return tuple(inside)


def chunk_box(index: tuple[int, ...], chunks: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """The pixels of a chunk of an array of this shape."""
    return tuple(
        slice(number * chunk, min((number + 1) * chunk, size))
        for number, chunk, size in zip(index, chunks, shape, strict=True)
    )


def touched(box: Box, chunks: tuple[int, ...]) -> list[range]:
    """The numbers of the chunks that a box touches, by dimension."""
    return [
        range(bounds.start // chunk, -(-bounds.stop // chunk))
        for bounds, chunk in zip(box, chunks, strict=True)
    ]
