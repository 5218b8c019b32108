"""Pixels between numpy and Java's arrays, through direct buffers, which copy once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jpype import JArray, JByte, JClass, JFloat, JInt, JShort
from jpype.nio import convertToDirectBuffer
from numpy.typing import NDArray

# Types of pixels by ij.ImagePlus.getBitDepth(); the 24 bits of a colour come packed in an int.
RGB_BITS = 24
DTYPES = {8: np.uint8, 16: np.uint16, RGB_BITS: np.int32, 32: np.float32}
# By type: the elements of ImageJ's array, and how a ByteBuffer is seen as such elements.
_ELEMENTS = {
    "uint8": (JByte, None),
    "uint16": (JShort, "asShortBuffer"),
    "int32": (JInt, "asIntBuffer"),
    "float32": (JFloat, "asFloatBuffer"),
}
# A buffer's length is a 32-bit integer.
_MOST_BYTES = 1 << 30


def to_java(plane: NDArray[Any]) -> Any:
    """A Java array with the pixels of a contiguous plane (Y, X)."""
    pixels = JArray(_ELEMENTS[plane.dtype.name][0])(plane.size)
    for start, rows in _chunks(plane):
        _buffer(rows).get(pixels, start * plane.shape[1], rows.size)
    return pixels


def from_java(pixels: Any, width: int, part: tuple[slice, slice], into: NDArray[Any]) -> None:
    """Copy a part (Y, X) of a plane of this width, which lies in a Java array, into a contiguous
    array of the part's shape."""
    y, x = part
    for start, rows in _chunks(into):
        buffer, first = _buffer(rows), (y.start + start) * width + x.start
        if x.stop - x.start == width:
            buffer.put(pixels, first, rows.size)
            continue
        for row in range(len(rows)):
            buffer.put(pixels, first + row * width, x.stop - x.start)


def _chunks(plane: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows that one buffer can hold, with the number of their first one."""
    count = max(_MOST_BYTES // max(plane.shape[1] * plane.itemsize, 1), 1)
    for start in range(0, len(plane), count):
        yield start, plane[start : start + count]


def _buffer(rows: NDArray[Any]) -> Any:
    """A java.nio buffer over the memory of a contiguous array, of its element type."""
    buffer = convertToDirectBuffer(rows).order(JClass("java.nio.ByteOrder").nativeOrder())
    view = _ELEMENTS[rows.dtype.name][1]
    return getattr(buffer, view)() if view else buffer
