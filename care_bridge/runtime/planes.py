"""A volume restored by a 2D network: its planes across Z from two sides, and their mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def restore_planes(
    network: Network, volume: NDArray[np.float32], kept: tuple[slice, ...], combination: str
) -> NDArray[np.float32]:
    """What is `kept` (slices of C, Z, Y, X; all of C) of `volume` (C_in, Z, Y, X), restored:
    (C_out, Z, Y, X).

    network: takes planes as (C_in, 1, Y, X) and gives (C_out, 1, Y, X). Z is the planes' Y; planes
    that are not kept are not computed. combination: see Procedure.
    """
    _, z, y, x = kept
    restored: NDArray[np.float32] | None = None
    for row in range(y.start, y.stop):
        plane = network(volume[:, None, :, row, :])[:, 0, z, x]
        if restored is None:
            sizes = [part.stop - part.start for part in (z, y, x)]
            restored = np.empty((len(plane), *sizes), np.float32)
        restored[:, :, row - y.start] = plane
    assert restored is not None
    for column in range(x.start, x.stop):
        plane = network(volume[:, None, :, :, column])[:, 0, z, y]
        both = restored[:, :, :, column - x.start]
        both[...] = _mean(both, plane, combination)
    return restored


def _mean(
    one: NDArray[np.float32], other: NDArray[np.float32], combination: str
) -> NDArray[np.float32]:
    if combination == "geometric":
        return np.asarray(np.sqrt(np.maximum(one, 0) * np.maximum(other, 0)), np.float32)
    return np.asarray((one + other) / 2, np.float32)
