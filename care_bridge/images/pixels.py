"""Pixel types: which ones are worked with, and how numbers become one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from care_bridge.errors import ImageError

PIXEL_TYPES = ("uint8", "uint16", "float32")
# Read as float32, which holds them exactly, but for float64.
_TO_FLOAT32 = ("int8", "int16", "float16", "float64")


def cast_pixels(pixels: NDArray[np.floating], dtype: DTypeLike) -> NDArray[np.generic]:
    """float32 or float64 pixels as uint8, uint16 or float32.

    Integers are rounded half to even and saturated at the type's ends, never wrapped; pixels must
    hold no NaN, which no integer can stand for (infinities saturate). Raises ImageError where
    `dtype` is another type.
    """
    target = np.dtype(dtype)
    if target.name not in PIXEL_TYPES:
        raise ImageError(f"pixels cannot become {target}: choose one of {', '.join(PIXEL_TYPES)}")
    if target == np.float32:
        return pixels.astype(np.float32, copy=False)
    rounded = np.rint(pixels)
    limits = np.iinfo(target)
    np.clip(rounded, limits.min, limits.max, out=rounded)
    integers: NDArray[np.generic] = rounded.astype(target)
    return integers


def check_pixel_type(
    dtype: np.dtype[np.generic],
    name: object,
    known: tuple[str, ...] = (*PIXEL_TYPES, *_TO_FLOAT32),
) -> None:
    """Raise ImageError unless pixels have one of the `known` types, by default those that
    `to_pixel_type` takes; `name` is the image's."""
    if dtype.newbyteorder("=").name not in known:
        raise ImageError(
            f"{name} has pixels of type {dtype.name}, expected {', '.join(known)}: "
            "convert it (in ImageJ: Image > Type > 32-bit)"
        )


def pixel_type(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The type that `to_pixel_type` makes of pixels of this type."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float32) if native.name in _TO_FLOAT32 else native


def to_pixel_type(pixels: NDArray[np.generic], name: object) -> NDArray[np.generic]:
    """Pixels as read from a file, C-contiguous and in the machine's byte order.

    uint8, uint16 and float32 stay; int8, int16, float16 and float64 become float32, with their
    infinities and what is not a number; ImageError where a finite number is past float32's range.
    """
    native = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
    if native.dtype != np.float64:
        return native.astype(pixel_type(native.dtype), copy=False)
    with np.errstate(over="ignore"):
        single = native.astype(np.float32)
    if np.isinf(single).any() and not np.array_equal(np.isinf(single), np.isinf(native)):
        raise ImageError(
            f"{name} has float64 pixels that float32 cannot hold (above 3.4e38): rescale them, or "
            "convert it to 32-bit"
        )
    return single
