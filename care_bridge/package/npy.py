"""Numbers in a .npy file from a stranger."""

from __future__ import annotations

import io
import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import PackageFormatError

LARGEST_TENSOR = 256 << 20  # bytes of a file

# What numpy and the Python parser, which numpy gives the header to, raise for a wrong one.
_NO_NUMBERS = (
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
    SyntaxError,
    tokenize.TokenError,
)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(data: bytes, name: str, package: Path) -> NDArray[Any]:
    """The numbers in the bytes of the .npy file `name` of a package, not to be written to.

    PackageFormatError where it holds none.
    """
    try:
        return _numbers(data)
    except _NO_NUMBERS as error:
        reason = " ".join(str(error).split())
        raise PackageFormatError(
            f'"{name}" in {package} is no .npy array of numbers ({reason}): get the package again'
        ) from error


def _numbers(npy: bytes) -> NDArray[Any]:
    """The array in a .npy file's bytes, of which it is a view: numpy.load would first take the
    memory that the header asks for."""
    stream = io.BytesIO(npy)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"its format is {version[0]}.{version[1]}")
    shape, fortran_order, dtype = _HEADERS[version](stream)
    if dtype.kind not in "iuf" or any(size < 1 for size in shape):
        raise ValueError(f"it holds {dtype} of shape {shape}")
    flat = np.frombuffer(npy, dtype, math.prod(shape), stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


def npy_bytes(values: NDArray[Any]) -> bytes:
    """`values` as the bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()
