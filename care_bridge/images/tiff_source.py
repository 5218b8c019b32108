"""A TIFF file as an image that is read box by box."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import ImageError
from care_bridge.images.foreign import foreign
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import Box
from care_bridge.images.tiff_raw import RawPixels
from care_bridge.images.tiff_segments import SegmentedPixels

# SyntaxError is of the XML parser.
_RAISED = (AssertionError, SyntaxError, struct.error)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what tifffile and the decoders raise on damaged or unsupported files into ImageError."""
    with foreign(path, "as TIFF", "save it anew", _RAISED):
        try:
            yield
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


class TiffSource:
    """The image that one series of a TIFF file holds; see `ImageSource`."""

    def __init__(
        self, path: Path, file: io.FileIO, info: ImageInfo, series: tifffile.TiffPageSeries
    ) -> None:
        self.info = info
        self._path = path
        self._letters = [letter for letter, size in info.sizes.items() if size > 1]
        stored = [info.sizes[letter] for letter in self._letters]
        page = [size for size in series.keyframe.shaped if size > 1]
        if page != stored[len(stored) - len(page) :]:
            raise ImageError(
                f"{path} has pages of shape {series.keyframe.shape}, which are no parts of an "
                f"image of shape {info.shape}: save it anew"
            )
        # an axis of length 1 at the end gives one to a page of a single pixel, too
        shape = (*stored, 1)
        offsets = _offsets(series)
        self._pixels: RawPixels | SegmentedPixels
        if offsets is None:
            self._pixels = SegmentedPixels(
                file, _pages(series), series.keyframe, series.dtype, shape, len(page) + 1
            )
            piece = self._pixels.piece
        else:
            dtype = series.dtype.newbyteorder(series.keyframe.parent.byteorder)
            block = len(shape) if len(offsets) == 1 else len(page) + 1
            self._pixels = RawPixels(file, offsets, shape, block, dtype)
            piece = (1, 1, 1, *series.keyframe.shaped[3:])
        self.memory = self._pixels.memory
        self.pieces = self._canonical_piece(piece, series.keyframe.shaped)

    @property
    def as_stored(self) -> bool:
        """Whether the file holds the pixels as they are, neither compressed nor in tiles: reading
        them takes no more bytes than the file has."""
        return isinstance(self._pixels, RawPixels)

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        bounds = dict(zip(CANONICAL, box, strict=True))
        stored = tuple(bounds[letter] for letter in self._letters)
        with reading(self._path):
            pixels = self._pixels.read((*stored, slice(0, 1)), self._path)
        letters = "".join(letter for letter in CANONICAL if letter not in self._letters)
        letters += "".join(self._letters)
        sizes = {letter: at.stop - at.start for letter, at in bounds.items()}
        return Axes(letters).to(pixels.reshape([sizes[letter] for letter in letters]), CANONICAL)

    def close(self) -> None:
        """Let go of what reading holds, but for the file."""
        if isinstance(self._pixels, SegmentedPixels):
            self._pixels.close()

    def _canonical_piece(self, piece: tuple[int, ...], page: tuple[int, ...]) -> tuple[int, ...]:
        """A piece (along a page's five axes) in STCZYX order."""
        sizes = [min(part, size) for part, size in zip(piece, page, strict=True) if size > 1]
        first = len(self._letters) - len(sizes)
        by_letter = dict(zip(self._letters[first:], sizes, strict=True))
        return tuple(by_letter.get(letter, 1) for letter in CANONICAL)


def _offsets(series: tifffile.TiffPageSeries) -> NDArray[np.int64] | None:
    """Where the pixels begin: those of the image if they lie together, else of each page; None
    where they are encoded, or a page's are scattered."""
    if series.dataoffset is not None:
        return np.array([series.dataoffset])
    if not series.keyframe.is_final:
        return None
    starts = []
    for page in _pages(series):
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        # tifffile asks this of the first page alone
        if any(end != start for end, start in zip(ends, page.dataoffsets[1:], strict=False)):
            return None
        starts.append(page.dataoffsets[0])
    return np.array(starts)


def _pages(series: tifffile.TiffPageSeries) -> list[tifffile.TiffPage | tifffile.TiffFrame]:
    return [page for page in series if page is not None]
