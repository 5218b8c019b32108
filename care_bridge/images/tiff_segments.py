"""Compressed or tiled pixels of a TIFF: only the strips and tiles that a box touches are decoded.

A few decoded ones are kept, so that boxes which overlap do not decode them again and again.
"""

from __future__ import annotations

import io
import itertools
import os
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from care_bridge.images.pixels import pixel_type, to_pixel_type
from care_bridge.images.source import Box

_CACHE = 32 << 20  # bytes of decoded segments
_THREADS = 4
_THREADED = 1 << 15  # bytes: smaller segments are decoded sooner than handed to a thread
_JPEG = (6, 7, 34892, 33007)  # compressions whose tables may lie beside the segments


class SegmentedPixels:
    """An array stored in pages that are cut into segments: strips of whole rows, or tiles.

    pages: in the order of the array's first axes; its last `page_axes` are a page's, which all
    are as `keyframe` says. A page has the five axes of `tifffile.TiffPage.shaped`: planes of
    samples, depth, length, width, samples. Boxes are slices in stored order.
    """

    def __init__(
        self,
        file: io.FileIO,
        pages: list[tifffile.TiffPage | tifffile.TiffFrame],
        keyframe: tifffile.TiffPage,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        page_axes: int,
    ) -> None:
        self._file, self._pages, self._dtype = file, pages, dtype
        self._outer = shape[: len(shape) - page_axes]
        self._page_shape: tuple[int, ...] = keyframe.shaped
        if keyframe.is_tiled:
            self._segment = (1, keyframe.tiledepth, keyframe.tilelength, keyframe.tilewidth)
        else:
            self._segment = (1, 1, keyframe.rowsperstrip, self._page_shape[3])
        self._counts = [
            -(-size // step) for size, step in zip(self._page_shape[:4], self._segment, strict=True)
        ]
        self._keyframe = keyframe
        self._decode = keyframe.decode  # made here: its first use is not safe among threads
        self._decoded: OrderedDict[tuple[int, int], NDArray[np.generic]] = OrderedDict()
        self._held = 0
        self._lock = Lock()
        segment = prod(self._segment) * self._page_shape[4] * self._dtype.itemsize
        worth = keyframe.compression != tifffile.COMPRESSION.NONE and segment >= _THREADED
        threads = min(_THREADS, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads) if worth else None
        everything = prod(shape) * self._dtype.itemsize
        self._cache = max(_CACHE, segment)
        self.memory = min(self._cache, everything) + 3 * _THREADS * segment

    @property
    def piece(self) -> tuple[int, ...]:
        """The shape of a segment, along the five axes of a page."""
        return (*self._segment, self._page_shape[4])

    def close(self) -> None:
        """End the threads that decode."""
        if self._threads:
            self._threads.shutdown()

    def read(self, box: Box, name: Path) -> NDArray[np.generic]:
        """The pixels of a box, in a type that is worked with; `name` is the image's in errors."""
        sizes = tuple(bounds.stop - bounds.start for bounds in box)
        pixels = np.empty(sizes, pixel_type(self._dtype))
        outer = len(self._outer)
        page_box = self._page_box(box[outer:])
        inside = tuple(bounds.stop - bounds.start for bounds in page_box)
        jobs = []
        for index in np.ndindex(*sizes[:outer]):
            place = tuple(at.start + by for at, by in zip(box[:outer], index, strict=True))
            page = int(np.ravel_multi_index(place, self._outer)) if place else 0
            target = pixels[index].reshape(inside)
            jobs += [(page, target, grid) for grid in self._grid(page_box)]

        def copy(job: tuple[int, NDArray[np.generic], tuple[int, ...]]) -> None:
            page, target, grid = job
            self._copy(page, grid, page_box, target, name)

        for _ in self._threads.map(copy, jobs) if self._threads else map(copy, jobs):
            pass
        return pixels

    def _page_box(self, box: Box) -> Box:
        """A box of the array's last axes, along the five of a page."""
        given = iter(box)
        return tuple(next(given) if size > 1 else slice(0, 1) for size in self._page_shape)

    def _grid(self, box: Box) -> Iterator[tuple[int, ...]]:
        """Where the segments that a page's box touches lie in the grid of segments."""
        return itertools.product(
            *[
                range(bounds.start // step, -(-bounds.stop // step))
                for bounds, step in zip(box[:4], self._segment, strict=True)
            ]
        )

    def _copy(
        self, page: int, grid: tuple[int, ...], box: Box, out: NDArray[np.generic], name: Path
    ) -> None:
        """Copy what a segment holds of a page's box into `out`, the pixels of that box."""
        segment = self._segment_at(page, int(np.ravel_multi_index(grid, self._counts)))
        source, target = [], []
        for at, step, size, bounds in zip(
            grid, self._segment, segment.shape[:4], box[:4], strict=True
        ):
            start = max(bounds.start, at * step)
            stop = min(bounds.stop, at * step + size)
            source.append(slice(start - at * step, stop - at * step))
            target.append(slice(start - bounds.start, stop - bounds.start))
        out[tuple(target)] = to_pixel_type(segment[(*source, box[4])], name)

    def _segment_at(self, page: int, number: int) -> NDArray[np.generic]:
        """A decoded segment, with the five axes of a page."""
        with self._lock:
            known = self._decoded.get((page, number))
            if known is not None:
                self._decoded.move_to_end((page, number))
                return known
        frame = self._pages[page]
        with self._lock:
            self._file.seek(frame.dataoffsets[number])
            encoded = self._file.read(frame.databytecounts[number])
        tables = {}
        if frame.compression in _JPEG:
            tables = {"jpegtables": frame.jpegtables, "jpegheader": self._keyframe.jpegheader}
        decoded, _, _ = self._decode(encoded, number, **tables)
        segment = cast("NDArray[np.generic]", decoded)[np.newaxis]
        with self._lock:
            self._decoded[page, number] = segment
            self._held += segment.nbytes
            while self._held > self._cache:
                _, oldest = self._decoded.popitem(last=False)
                self._held -= oldest.nbytes
        return segment
