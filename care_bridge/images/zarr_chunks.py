"""Chunks of a Zarr array: decoded ones that are kept, and those that wait to be whole."""

from __future__ import annotations

import itertools
import math
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.atomic import partial_beside
from care_bridge.images.source import Box
from care_bridge.images.zarr_layout import SLAB_BYTES, aligned, chunk_box, touched

if TYPE_CHECKING:
    from care_bridge.images.zarr_library import ZarrArray

_Index = tuple[int, ...]


class ChunkReader:
    """Reads boxes of an array; the chunks that boxes take parts of are kept for the next boxes.

    At most `LIMIT` bytes of them are (but always one): with chunks as written here that is a layer
    of them, so reading slice by slice, or tile by tile with the tiles' margins, decodes each once.
    """

    LIMIT = SLAB_BYTES

    def __init__(self, array: ZarrArray) -> None:
        self._array = array
        self._kept: OrderedDict[_Index, NDArray[Any]] = OrderedDict()
        self._bytes = 0

    def read(self, box: Box) -> NDArray[Any]:
        """The pixels of a box in the array's own dimensions."""
        chunks, shape = self._array.chunks, self._array.shape
        if aligned(box, chunks, shape) == box:
            return np.asarray(self._array[box])
        pixels = np.empty([bounds.stop - bounds.start for bounds in box], self._array.dtype)
        for index in itertools.product(*touched(box, chunks)):
            extent = chunk_box(index, chunks, shape)
            part = _common(extent, box)
            pixels[_within(part, box)] = self._chunk(index, extent)[_within(part, extent)]
        return pixels

    def _chunk(self, index: _Index, extent: Box) -> NDArray[Any]:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        chunk = np.asarray(self._array[extent])
        self._kept[index] = chunk
        self._bytes += chunk.nbytes
        while self._bytes > self.LIMIT and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return chunk


class ChunkWriter:
    """Writes boxes of any shape and in any order into an array, each chunk when it is whole.

    Chunks of which a part is there wait in memory. Where they would be more than `LIMIT` bytes,
    those that waited longest go to files in a folder beside `path`, and come back when their
    next part does: so the memory is bounded whatever the order.
    """

    LIMIT = SLAB_BYTES

    def __init__(self, array: ZarrArray, path: Path) -> None:
        self._array = array
        self._path = path
        self._spilled: Path | None = None
        self._missing: dict[_Index, int] = {}
        self._waiting: OrderedDict[_Index, NDArray[Any]] = OrderedDict()
        self._bytes = 0

    @property
    def incomplete(self) -> int:
        """How many chunks wait for pixels."""
        return len(self._missing)

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box in the array's own dimensions."""
        chunks, shape = self._array.chunks, self._array.shape
        whole = aligned(box, chunks, shape)
        if all(bounds.start < bounds.stop for bounds in whole):
            self._array[whole] = pixels[_within(whole, box)]
        done = [set(numbers) for numbers in touched(whole, chunks)]
        for index in itertools.product(*touched(box, chunks)):
            if not all(number in numbers for number, numbers in zip(index, done, strict=True)):
                self._add(index, box, pixels)

    def close(self) -> None:
        """Forget what waits, and remove the files."""
        self._waiting.clear()
        if self._spilled is not None:
            shutil.rmtree(self._spilled)

    def _add(self, index: _Index, box: Box, pixels: NDArray[np.generic]) -> None:
        extent = chunk_box(index, self._array.chunks, self._array.shape)
        part = _common(extent, box)
        chunk = self._take(index, extent)
        chunk[_within(part, extent)] = pixels[_within(part, box)]
        missing = self._missing.pop(index, chunk.size) - _pixels(part)
        if missing:
            self._missing[index] = missing
            self._keep(index, chunk)
        else:
            self._array[extent] = chunk

    def _take(self, index: _Index, extent: Box) -> NDArray[Any]:
        if index in self._waiting:
            chunk = self._waiting.pop(index)
            self._bytes -= chunk.nbytes
            return chunk
        if index in self._missing:
            file = self._file(index)
            spilled: NDArray[Any] = np.load(file)
            file.unlink()
            return spilled
        return np.empty([bounds.stop - bounds.start for bounds in extent], self._array.dtype)

    def _keep(self, index: _Index, chunk: NDArray[Any]) -> None:
        self._waiting[index] = chunk
        self._bytes += chunk.nbytes
        while self._bytes > self.LIMIT:
            oldest, spilled = self._waiting.popitem(last=False)
            self._bytes -= spilled.nbytes
            np.save(self._file(oldest), spilled)

    def _file(self, index: _Index) -> Path:
        if self._spilled is None:
            self._spilled = partial_beside(self._path)
            self._spilled.mkdir()
        return self._spilled / f"{'.'.join(map(str, index))}.npy"


def _common(one: Box, other: Box) -> Box:
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )


def _within(part: Box, box: Box) -> Box:
    """`part` counted from where `box` starts."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box, strict=True))


def _pixels(box: Box) -> int:
    return math.prod(bounds.stop - bounds.start for bounds in box)
