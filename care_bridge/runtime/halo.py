"""The halo of a network, measured: how far beyond a tile's border it looks.

Everything on one side of a border is changed; the rows of the output that change on the other
side are those that a tile cut there would get wrong. The border lies on a multiple of the size
step, as tile starts do, so the result is the reach for aligned tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TilingError
from care_bridge.package.spec import SAME, Placement
from care_bridge.tiling import AxisLimits, round_up

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Part = tuple[EllipsisType | slice, ...]

_SHORTEST = 64
_LONGEST = 1024
_WIDTH = 16
_SEEDS = (0, 1)
_SAME_WITHIN = 1e-5  # of the range: at another place the engine may sum in another order

PROJECTED = 6
"""How many slices of a stack a network that projects is shown, or the next number that it takes."""


@dataclass(frozen=True)
class Probed:
    """The network `run` that is looked at.

    axes: of its input and output, B for batch (e.g. "BCYX"). limits: its size step and smallest
    size by axis; their halo is not used. A Z that it does not name is projected: the output lacks
    it; depth: its sizes. placement: by axis where the output's pixels are, if not where the
    input's are.
    """

    run: Run
    axes: str
    channels: int
    limits: Mapping[str, AxisLimits]
    placement: Mapping[str, Placement] = field(default_factory=dict)
    depth: AxisLimits | None = None

    def place(self, axis: str) -> Placement:
        """Where the output's pixels are along an axis."""
        return self.placement.get(axis, SAME)

    def sizes(self, axis: str, length: int) -> dict[str, int]:
        """Sizes of an image: `length` along `axis`, little along the others."""
        sizes = {"Z": self.depth.padded(PROJECTED) if self.depth else PROJECTED}
        sizes |= {"B": 1, "C": self.channels}
        sizes |= {letter: limit.at_once(_WIDTH) for letter, limit in self.limits.items()}
        return sizes | {axis: length}

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of an input of these sizes."""
        return tuple(sizes[letter] for letter in self.axes)

    def dimension(self, axis: str) -> int:
        """Which dimension an axis is, counted from the last one, -1: an output that is projected
        has it there too."""
        return self.axes.index(axis) - len(self.axes)


def measure_halo(network: Probed) -> dict[str, int]:
    """The halo of the network along each axis of its limits, in pixels. TilingError where the
    output depends on pixels at any distance, as with global pooling."""
    return {axis: _measure_axis(network, axis) for axis in network.limits}


def moves_along(network: Probed, axis: str, shift: int, reach: int) -> bool:
    """Whether the output moves along with an image that is moved by `shift` pixels, as that of
    convolutions does, so that tiles may begin there; that of poolings does at their multiples
    alone. reach: of the network along this axis."""
    place = network.place(axis)
    length = network.limits[axis].padded(max(_SHORTEST, 4 * (reach + shift)))
    moved, rest = divmod(shift * place.up, place.down)
    if rest:
        return False
    dimension = network.dimension(axis)
    sizes = network.sizes(axis, length + shift)
    image = np.random.default_rng(0).random(network.shape(sizes), np.float32)
    one, other = (
        np.moveaxis(
            network.run(_part(image, dimension, slice(start, start + length))), dimension, 0
        )
        for start in (0, shift)
    )
    edge = math.ceil(reach * place.up / place.down)
    kept, again = one[moved + edge : len(one) - edge], other[edge : len(other) - edge - moved]
    return bool(np.abs(kept - again).max() <= _SAME_WITHIN * np.ptp(one))


def _part(image: NDArray[np.float32], dimension: int, part: slice) -> NDArray[np.float32]:
    where: Part = (..., part, *(slice(None),) * (-1 - dimension))
    return np.ascontiguousarray(image[where])


def _measure_axis(network: Probed, axis: str) -> int:
    limits, place = network.limits[axis], network.place(axis)
    length = _SHORTEST
    while length <= _LONGEST:
        size = limits.at_once(length)
        sizes = network.sizes(axis, size)
        border = round_up(size // 2, limits.step)
        shape = network.shape(sizes)
        from_end = network.dimension(axis)
        reach = math.ceil(
            _reach(network.run, shape, from_end, border, place.start(border))
            * place.down
            / place.up
        )
        if reach < min(border, size - border):
            return reach
        if size == limits.most:
            break
        length *= 2
    raise TilingError(
        f"the network's output depends on pixels more than {size // 2} away along "
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
