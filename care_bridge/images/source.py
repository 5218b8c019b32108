"""Images that are read and written box by box, so that none has to fit into memory.

A box names pixels in STCZYX order whatever axes the image has: six slices with explicit bounds;
the axes an image lacks are 0:1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, Axes
from care_bridge.images.image import Image, ImageInfo

Box = tuple[slice, ...]


class ImageSource(Protocol):
    """An image whose pixels are read when they are asked for.

    Not to be shared by threads that read at the same time.
    """

    @property
    def info(self) -> ImageInfo:
        """What the image is."""

    @property
    def pieces(self) -> tuple[int, ...]:
        """The shape (STCZYX) of the pieces it is stored in: reading whole ones costs least."""

    @property
    def memory(self) -> int:
        """Bytes it holds at most, besides what it has given out."""

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box, with six dimensions, in the image's type; the reader's own to
        change. ImageError where the file cannot be read."""


class ImageSink(Protocol):
    """An image whose pixels are written when they are there.

    Every pixel is to be written once; the boxes may come in any order, but a sink needs least
    memory where they come in reading order.
    """

    @property
    def info(self) -> ImageInfo:
        """What the image is."""

    @property
    def memory(self) -> int:
        """Bytes it holds at most, besides what it is given, where boxes come in reading order."""

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box: six dimensions, the image's type. ImageError where they
        cannot be written."""


class ImageInMemory:
    """An image that lies in memory whole, as a source and as a sink.

    It shares its pixels with the array it was made of where that is contiguous in STCZYX order.
    """

    def __init__(self, image: Image) -> None:
        self.info = image.info
        self.memory = image.pixels.nbytes
        self._pixels = image.axes.to(image.pixels, CANONICAL)
        self.pieces = self._pixels.shape

    @classmethod
    def empty(cls, info: ImageInfo) -> ImageInMemory:
        """An image to be written."""
        return cls(Image.of(info, np.empty(info.shape, info.dtype)))

    def read(self, box: Box) -> NDArray[np.generic]:
        """A copy of the pixels of a box."""
        return self._pixels[box].copy()

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box."""
        self._pixels[box] = pixels

    @property
    def image(self) -> Image:
        """The whole image."""
        pixels = Axes(CANONICAL).to(self._pixels, self.info.axes)
        return Image.of(self.info, np.ascontiguousarray(pixels))


def whole(info: ImageInfo) -> Box:
    """The box of all pixels."""
    return tuple(slice(0, size) for size in info.canonical_shape)


def read_image(source: ImageSource) -> Image:
    """The whole image in memory."""
    pixels = Axes(CANONICAL).to(source.read(whole(source.info)), source.info.axes)
    return Image.of(source.info, np.ascontiguousarray(pixels))


def boxes_of(box: Box, pieces: tuple[int, ...], most_pixels: int) -> Iterator[Box]:
    """Boxes of at most about `most_pixels` that cover `box` once, in reading order.

    They are as long as they may be along X, then along Y, and so on, and end where pieces of the
    given shape end, so that no piece is read twice; a single piece is never cut.
    """
    sizes = [bounds.stop - bounds.start for bounds in box]
    shape = [min(piece, size) for piece, size in zip(pieces, sizes, strict=True)]
    for axis in reversed(range(len(shape))):
        fit = most_pixels // (math.prod(shape) // shape[axis])
        piece = pieces[axis]
        shape[axis] = min(sizes[axis], max(fit // piece, 1) * piece)
        if shape[axis] < sizes[axis]:
            break
    cuts = [
        _cut(bounds, step, piece) for bounds, step, piece in zip(box, shape, pieces, strict=True)
    ]
    yield from itertools.product(*cuts)


def _cut(bounds: slice, step: int, piece: int) -> list[slice]:
    """`bounds` cut into slices of `step`, a multiple of `piece` unless it is all."""
    first = bounds.start // piece * piece + step
    cuts = range(first, bounds.stop, step) if step % piece == 0 else range(0)
    edges = [bounds.start, *cuts, bounds.stop]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
