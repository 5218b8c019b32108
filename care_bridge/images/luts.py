"""Lookup tables of single colours, as OME's formats name them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lut_to(rgb: bytes) -> NDArray[np.uint8]:
    """The lookup table (256 x 3) from black to a colour: red, green, blue, a byte each."""
    return np.rint(np.linspace(0, 1, 256)[:, np.newaxis] * list(rgb)).astype(np.uint8)


def brightest(lut: NDArray[np.uint8]) -> bytes:
    """The brightest colour of a lookup table (256 x 3), which is the first one of an inverted
    table: red, green, blue."""
    colour: NDArray[np.uint8] = lut[lut.sum(axis=1).argmax()]
    return colour.tobytes()
