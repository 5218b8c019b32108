"""Uncompressed pixels in a file, read and written at their place.

Never by a memory map: its pages count in the peak of the process, as if the file lay in memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError
from care_bridge.images.pixels import pixel_type, to_pixel_type
from care_bridge.images.source import Box

_CHUNK = 1 << 22  # bytes that are read or written at once
# Rows of up to so many bytes are read whole and cropped: cheaper than a call for each part of one.
_WHOLE_ROW = 1 << 13


class RawPixels:
    """An array in a file, in one block or in several of the same size.

    shape: the array's, in stored order; block: how many of its last axes make up a block. offsets:
    the byte where each block begins. dtype: as stored, byte order included. Boxes are slices in
    stored order.
    """

    def __init__(
        self,
        file: io.FileIO,
        offsets: NDArray[np.int64],
        shape: tuple[int, ...],
        block: int,
        dtype: np.dtype[Any],
    ) -> None:
        self._file, self._offsets, self._dtype = file, offsets, dtype
        self._blocks, self._shape = shape[: len(shape) - block], shape[len(shape) - block :]
        self.memory = 2 * _CHUNK

    def read(self, box: Box, name: Path) -> NDArray[np.generic]:
        """The pixels of a box, in a type that is worked with; `name` is the image's in errors."""
        sizes = tuple(bounds.stop - bounds.start for bounds in box)
        pixels = np.empty(sizes, pixel_type(self._dtype))
        outer = len(self._blocks)
        for index, offset in self._blocks_of(box[:outer]):
            self._read_block(offset, box[outer:], pixels[index], name)
        return pixels

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box."""
        outer = len(self._blocks)
        for index, offset in self._blocks_of(box[:outer]):
            self._write_block(offset, box[outer:], pixels[index])

    def _blocks_of(self, box: Box) -> Iterator[tuple[tuple[int, ...], int]]:
        """For each block of a box: its index in the box, and its offset in the file."""
        starts = [bounds.start for bounds in box]
        for index in np.ndindex(*[bounds.stop - bounds.start for bounds in box]):
            place = tuple(start + step for start, step in zip(starts, index, strict=True))
            yield index, int(self._offsets[_flat(place, self._blocks)])

    def _read_block(self, offset: int, box: Box, out: NDArray[np.generic], name: Path) -> None:
        whole = self._whole_axes(box, _WHOLE_ROW)
        inner = self._shape[whole:]
        direct = out.shape[whole:] == inner and out.dtype == self._dtype
        crop = (slice(None), slice(None), *box[whole:])
        for place, pitch, part in self._parts(box, whole, out):
            place_in_file = offset + place * self._dtype.itemsize
            if direct and part.flags.c_contiguous:
                self._read_rows(place_in_file, pitch, part, name)
            else:
                stored = np.empty((*part.shape[:2], *inner), self._dtype)
                self._read_rows(place_in_file, pitch, stored, name)
                part[...] = to_pixel_type(stored[crop], name)

    def _write_block(self, offset: int, box: Box, pixels: NDArray[np.generic]) -> None:
        for place, pitch, part in self._parts(box, self._whole_axes(box, 0), pixels):
            stored = np.ascontiguousarray(part, self._dtype)
            position = offset + place * self._dtype.itemsize
            for row in _rows(stored):
                self._file.seek(position)
                rest = row
                while rest:
                    rest = rest[self._file.write(rest) :]
                position += pitch * self._dtype.itemsize

    def _read_rows(
        self, position: int, pitch: int, stored: NDArray[np.generic], name: Path
    ) -> None:
        for row in _rows(stored):
            self._file.seek(position)
            rest = row
            while rest:
                count = self._file.readinto(rest)
                if not count:
                    raise ImageError(
                        f"{name} ends at byte {self._file.tell()}, before its pixels do: it was "
                        "changed while it was read"
                    )
                rest = rest[count:]
            position += pitch * self._dtype.itemsize

    def _whole_axes(self, box: Box, small: int) -> int:
        """The first of the last axes that are taken whole: together no more than a chunk, covered
        by the box or no more than `small` bytes. At least 1."""
        first = len(box)
        while first > 1:
            bounds, size = box[first - 1], self._shape[first - 1]
            together = prod(self._shape[first - 1 :]) * self._dtype.itemsize
            if together > (_CHUNK if bounds.stop - bounds.start == size else small):
                break
            first -= 1
        return first

    def _parts(
        self, box: Box, whole: int, pixels: NDArray[np.generic]
    ) -> Iterator[tuple[int, int, NDArray[np.generic]]]:
        """Parts of `pixels`, a block's box, of about a chunk at most, where the axes from `whole`
        on are taken whole.

        For each: the element of the block where it begins, the elements from row to row, and its
        view of `pixels`: rows, each of which lies together in the file.
        """
        outer = max(whole - 2, 0)
        if whole == 1:
            pixels = pixels[np.newaxis]
        starts = [bounds.start for bounds in box[:whole]]
        unit = prod(self._shape[whole:])
        pitch = unit * self._shape[whole - 1]
        rows, length = pixels.shape[outer : outer + 2]
        step = max(_CHUNK // (unit * self._dtype.itemsize), 1)
        many = max(step // length, 1)
        for index in np.ndindex(*pixels.shape[:outer]):
            inside = (*index, *[0] * (whole - outer))
            place = [start + by for start, by in zip(starts, inside, strict=True)]
            first = _flat(tuple(place), self._shape[:whole]) * unit
            for top in range(0, rows, many):
                for left in range(0, length, step):
                    part = pixels[index][top : top + many, left : left + step]
                    yield first + top * pitch + left * unit, pitch, part


def _rows(pixels: NDArray[np.generic]) -> Iterator[memoryview]:
    """The memory of each row (along the first axis) of contiguous pixels."""
    memory = pixels.reshape(-1).view(np.uint8).data
    size = len(memory) // len(pixels)
    for start in range(0, len(memory), size):
        yield memory[start : start + size]


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """The number of an element in reading order."""
    place = 0
    for at, size in zip(index, shape, strict=True):
        place = place * size + at
    return place
