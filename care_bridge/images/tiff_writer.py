"""Writing TIFF files box by box: ImageJ hyperstacks and OME-TIFF."""

from __future__ import annotations

import errno
import io
import os
import shutil
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.atomic import partial_beside, replacing
from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import ImageError
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import Box
from care_bridge.images.storage import Storage
from care_bridge.images.tiff_raw import RawPixels
from care_bridge.images.tiff_tables import Tables
from care_bridge.images.whole_file import check_target, writing

_STRIP = 1 << 18  # bytes that are compressed together, and read together by others
_LEVEL = 1  # of zlib
_THREADS = 8


class TiffSink:
    """The pixels of a TIFF file that is being written; see `ImageSink`."""

    def __init__(self, info: ImageInfo, path: Path, tables: Tables, pixels: RawPixels) -> None:
        self.info = info
        self.memory = pixels.memory
        self.checksum = 0
        self._path, self._tables, self._pixels = path, tables, pixels
        self._missing = prod(tables.shape)

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box."""
        bounds = dict(zip(CANONICAL, box, strict=True))
        stored = tuple(bounds[letter] for letter in self._tables.axes)
        with writing(self._path):
            self._pixels.write(stored, Axes(CANONICAL).to(pixels, self._tables.axes))
        self._missing -= pixels.size
        if self._tables.ome:
            # a sum does not depend on how the image is cut into boxes
            bits = pixels.view(f"u{pixels.itemsize}")
            self.checksum = (self.checksum + int(bits.sum(dtype=np.uint64))) % 2**64

    def check_complete(self) -> None:
        """Raise ImageError where pixels were not given."""
        if self._missing:
            raise ImageError(f"{self._path} cannot be written: {self._missing} pixels are missing")


@contextmanager
def create_tiff(info: ImageInfo, path: Path, storage: Storage, *, ome: bool) -> Iterator[TiffSink]:
    """Create an OME-TIFF or an ImageJ hyperstack; see `create_image`.

    Above 4 GB, OME-TIFF becomes a BigTIFF, and an ImageJ hyperstack gets one page table for all
    its planes, as ImageJ writes it. Compressed strips lie in reading order, which boxes need not
    come in: the pixels are first written to a file of their own beside `path`. ImageJ opens them,
    but leaves out the names of the channels of compressed stacks.
    """
    tables = Tables.of(info, ome=ome)
    compressed = storage.compression != "none"
    if compressed and tables.large and not ome:
        raise ImageError(
            f"{path} cannot be compressed: ImageJ's TIFF above 4 GB has no room for it; write an "
            "OME-TIFF, or leave it uncompressed"
        )
    with ExitStack() as stack:
        with writing(path):
            check_target(path, overwrite=storage.overwrite)
            partial = stack.enter_context(replacing(path))
            _check_room(path, prod(tables.shape) * tables.dtype.itemsize)
            if compressed:
                raw, offset = partial_beside(path), 0
                stack.callback(raw.unlink, missing_ok=True)
                raw.touch()
            else:
                raw, offset = partial, tables.write(partial)
            file = stack.enter_context(raw.open("r+b", buffering=0))
            shape = tables.shape
            pixels = RawPixels(file, np.array([offset]), shape, len(shape), tables.dtype)
        sink = TiffSink(info, path, tables, pixels)
        # errors of the block are not of this file: they pass as they are
        yield sink
        with writing(path):
            sink.check_complete()
            if compressed:
                _compress(file, tables, partial)
            file.close()
            if ome:
                tables.set_uuid(partial, sink.checksum)
            stack.close()


def _check_room(path: Path, needed: int) -> None:
    """Raise ImageError where the disk is too small: better now than hours later."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise ImageError(
            f"{path} cannot be written: it needs {needed / 1e6:.1f} MB, but only {free / 1e6:.1f} "
            "MB are free on its disk"
        ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _compress(file: io.FileIO, tables: Tables, path: Path) -> None:
    """Write the file at `path` with the pixels that lie uncompressed in `file`."""
    height, *row = tables.shape[len(tables.shape) - tables.page_axes :]
    row_bytes = prod(row) * tables.dtype.itemsize
    rows = min(max(_STRIP // row_bytes, 1), height)
    pages = prod(tables.shape[: len(tables.shape) - tables.page_axes])
    lengths = [min(rows, height - start) * row_bytes for start in range(0, height, rows)] * pages
    file.seek(0)
    tables.write_compressed(path, _deflated(file, lengths), rows)


def _deflated(file: io.FileIO, lengths: list[int]) -> Iterator[bytes]:
    """Parts of a file of these lengths, one after the other, each compressed; a few at a time, on
    all cores."""
    threads = min(_THREADS, os.cpu_count() or 1)
    pending: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for length in lengths:
            pending.append(pool.submit(zlib.compress, file.read(length), _LEVEL))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
