"""Pixels that stay on disk until a part of them is asked for.

OME-Zarr is read where it lies. Of other formats, of which a part costs as much as the whole, every
file is decoded once into a scratch folder, box by box. So memory does not grow with the data.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.images.source import Box, ImageSource, boxes_of, whole
from care_bridge.training.layouts.fields import View
from care_bridge.training.views import open_view

BLOCK = 1 << 22
"""Pixels read at a time where all are: 16 MiB of float32."""

# Each keeps up to 32 MiB of decoded chunks.
_MOST_OPEN = 16
_AXES = len(CANONICAL)

Index = tuple[slice, ...]


@dataclass(frozen=True)
class Pixels:
    """An array on disk, of which slicing reads a part; steps are 1.

    read: gives any box of the file (STCZYX). box: what of it the array is. dimensions: where in
    STCZYX its dimensions are; the others have length 1. pieces: in which the file is best read.
    """

    read: Callable[[Box], NDArray[np.generic]]
    dtype: np.dtype[Any]
    pieces: tuple[int, ...]
    box: Box
    dimensions: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each dimension."""
        bounds = [self.box[axis] for axis in self.dimensions]
        return tuple(part.stop - part.start for part in bounds)

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.dimensions)

    @property
    def size(self) -> int:
        """Pixels in all."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> NDArray[np.generic]:
        part = self.part(index)
        pixels = part.read(part.box)
        others = [axis for axis in range(pixels.ndim) if axis not in part.dimensions]
        return pixels.transpose(*others, *part.dimensions).reshape(part.shape)

    def part(self, index: Index) -> Pixels:
        """The pixels that `index` names, for the last dimensions; those before stay whole."""
        first = self.ndim - len(index)
        box = list(self.box)
        for axis, part in zip(self.dimensions[first:], index, strict=True):
            start, stop, _ = part.indices(box[axis].stop - box[axis].start)
            box[axis] = slice(box[axis].start + start, box[axis].start + max(start, stop))
        return replace(self, box=tuple(box))

    def turned(self) -> Pixels:
        """With the last two dimensions exchanged."""
        *others, y, x = self.dimensions
        return replace(self, dimensions=(*others, x, y))

    def whole(self) -> NDArray[np.generic]:
        """All pixels in memory."""
        return self[tuple(slice(None) for _ in self.shape)]

    def blocks(self) -> Iterator[NDArray[np.generic]]:
        """All pixels, each once, in parts with the axes STCZYX of about BLOCK pixels."""
        for box in boxes_of(self.box, self.pieces, BLOCK):
            yield self.read(box)


class OpenFiles:
    """Images that are read where they lie, the last few kept open; one reads at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[View, tuple[ImageSource, ExitStack]] = OrderedDict()

    def reader(self, view: View) -> Callable[[Box], NDArray[np.generic]]:
        """What reads boxes of `view`."""
        return lambda box: self._read(view, box)

    def _read(self, view: View, box: Box) -> NDArray[np.generic]:
        with self._lock:
            if view not in self._open:
                if len(self._open) == _MOST_OPEN:
                    self._open.popitem(last=False)[1][1].close()
                files = ExitStack()
                self._open[view] = files.enter_context(open_view(view)), files
            self._open.move_to_end(view)
            return self._open[view][0].read(box)


def kept(source: ImageSource, path: Path) -> Pixels:
    """A copy of the image in the file `path`, with all of STCZYX as dimensions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = source.info.canonical_shape
    with path.open("wb") as file:
        for box in boxes_of(whole(source.info), source.pieces, BLOCK):
            _write(file, shape, box, source.read(box))
    return _in_file(path, shape, source.info.dtype)


def saved(pixels: NDArray[np.generic], axes: str, path: Path) -> Pixels:
    """`pixels`, whose dimensions `axes` names, in the file `path`."""
    places = tuple(CANONICAL.index(axis) for axis in axes)
    sizes = dict(zip(places, pixels.shape, strict=True))
    pixels.transpose(np.argsort(places)).tofile(path)
    found = _in_file(path, tuple(sizes.get(axis, 1) for axis in range(_AXES)), pixels.dtype)
    return replace(found, dimensions=places)


def where_it_lies(view: View, source: ImageSource, files: OpenFiles) -> Pixels:
    """The image with all of STCZYX as dimensions, read through `files`."""
    box, reader = whole(source.info), files.reader(view)
    return Pixels(reader, source.info.dtype, source.pieces, box, tuple(range(_AXES)))


def _write(file: BinaryIO, shape: tuple[int, ...], box: Box, pixels: NDArray[np.generic]) -> None:
    """Put a box of an image of this shape where it belongs, in runs of pixels that lie together.
    Not through a map: a full disk would kill the process instead of raising OSError."""
    cut = len(shape) - 1
    while cut > 0 and box[cut] == slice(0, shape[cut]):
        cut -= 1
    runs = np.ascontiguousarray(pixels).reshape(-1, math.prod(pixels.shape[cut:]))
    outer = product(*(range(bounds.start, bounds.stop) for bounds in box[:cut]))
    for start, run in zip(outer, runs, strict=True):
        first = (*start, box[cut].start, *[0] * (len(shape) - cut - 1))
        file.seek(int(np.ravel_multi_index(first, shape)) * run.itemsize)
        file.write(run.tobytes())


def _in_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pixels:
    def read(part: Box) -> NDArray[np.generic]:
        # Mapped for each box anew: pages that stay mapped count as the program's memory.
        with path.open("rb") as file:
            pixels = np.ndarray(shape, dtype, mmap(file.fileno(), 0, access=ACCESS_READ))
        return pixels[part].copy()

    row = (*[1] * (_AXES - 1), shape[-1])
    return Pixels(read, dtype, row, tuple(slice(0, size) for size in shape), tuple(range(_AXES)))
