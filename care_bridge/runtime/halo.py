"""The halo of a network, measured: how far beyond a tile's border it looks.

Everything on one side of a border is changed; the rows of the output that change on the other
side are those that a tile cut there would get wrong. The border lies on a multiple of the size
step, as tile starts do, so the result is the reach for aligned tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TilingError
from care_bridge.package.spec import Placement
from care_bridge.tiling import AxisLimits, round_up

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Part = tuple[EllipsisType | slice, ...]

_SHORTEST = 64
_LONGEST = 1024
_WIDTH = 16
_PROJECTED = 6
_SEEDS = (0, 1)


def measure_halo(
    run: Run,
    axes: str,
    channels: int,
    limits: Mapping[str, AxisLimits],
    placement: Mapping[str, Placement] | None = None,
    depth: AxisLimits | None = None,
) -> dict[str, int]:
    """The halo of the network `run` along each axis of `limits`, in pixels.

    axes: of its input and output, B for batch (e.g. "BCYX"). limits: its size step and smallest
    size by axis; their halo is not used. A Z that it does not name is projected: the output lacks
    it; depth: its sizes. placement: by axis where the output's pixels are, if not where the
    input's are. TilingError where the output depends on pixels at any
    distance, as with global pooling.
    """
    places = {axis: (placement or {}).get(axis, Placement()) for axis in limits}
    slices = depth.padded(_PROJECTED) if depth else _PROJECTED
    return {
        axis: _measure_axis(run, axes, {"Z": slices, "C": channels}, limits, axis, places[axis])
        for axis in limits
    }


def _measure_axis(
    run: Run,
    axes: str,
    others: Mapping[str, int],
    limits: Mapping[str, AxisLimits],
    axis: str,
    place: Placement,
) -> int:
    length, most = _SHORTEST, limits[axis].most
    while length <= _LONGEST:
        sizes = dict(others)
        sizes |= {letter: limit.padded(_WIDTH) for letter, limit in limits.items()}
        sizes |= {"B": 1, axis: most or limits[axis].padded(length)}
        border = round_up(sizes[axis] // 2, limits[axis].step)
        from_end = axes.index(axis) - len(axes)
        shape = tuple(sizes[letter] for letter in axes)
        reach = math.ceil(
            _reach(run, shape, from_end, border, place.start(border)) * place.down / place.up
        )
        if reach < min(border, sizes[axis] - border):
            return reach
        if most:
            break
        length *= 2
    raise TilingError(
        f"the network's output depends on pixels more than {(most or _LONGEST) // 2} away along "
        f"{axis}: it cannot be run in tiles"
    )


def _reach(run: Run, shape: tuple[int, ...], dimension: int, border: int, meets: int) -> int:
    """In pixels of the output. dimension: counted from the last one, -1. meets: the output's pixel
    that lies at the input's border."""
    beyond = (slice(None),) * (-1 - dimension)
    before: Part = (..., slice(border), *beyond)
    after: Part = (..., slice(border, None), *beyond)
    reach = 0
    for background, change in _probes(shape):
        output = run(background)
        reach = max(
            reach,
            _last_changed(output, run(_changed(background, before, change)), dimension) + 1 - meets,
            meets - _first_changed(output, run(_changed(background, after, change)), dimension),
        )
    return reach


def _probes(shape: tuple[int, ...]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Pairs of an image and what replaces a part of it: dark against bright, where the faintest
    influence shows, and noise against stronger noise, where other units of the network respond."""
    probes = []
    for seed in _SEEDS:
        rng = np.random.default_rng(seed)
        noise = rng.random(shape, np.float32)
        strong = rng.normal(0, 100, shape).astype(np.float32)
        probes += [(np.zeros(shape, np.float32), 100 * noise), (noise, strong)]
    return probes


def _changed(
    image: NDArray[np.float32], where: Part, change: NDArray[np.float32]
) -> NDArray[np.float32]:
    changed = image.copy()
    changed[where] = change[where]
    return changed


def _changed_rows(
    one: NDArray[np.float32], other: NDArray[np.float32], dimension: int
) -> NDArray[np.intp]:
    others = tuple(d for d in range(-one.ndim, 0) if d != dimension)
    return np.flatnonzero((one != other).any(axis=others))


def _last_changed(one: NDArray[np.float32], other: NDArray[np.float32], dimension: int) -> int:
    return int(_changed_rows(one, other, dimension).max(initial=0))


def _first_changed(one: NDArray[np.float32], other: NDArray[np.float32], dimension: int) -> int:
    return int(_changed_rows(one, other, dimension).min(initial=one.shape[dimension]))
