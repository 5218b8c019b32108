"""Tile geometry: integers, no pixels.

Along each axis an image of `size` pixels is padded at its far end to `padded`, a multiple of the
network's size step. It is cut into tiles of one constant size whose starts are multiples of the
step, so that every pooling window falls where it falls in the whole image. Neighbouring tiles
overlap by the halo on each side; at the image's own border there is no halo. So each kept pixel
sees exactly what it sees when the whole image is run at once: tiled equals whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from care_bridge.errors import TilingError


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return math.ceil(value / step) * step


def middle(size: int, most: int) -> slice:
    """The middle `most` of `size` pixels; all where there are no more."""
    kept = min(size, most)
    return slice((size - kept) // 2, (size + kept) // 2)


def evenly(count: int, most: int) -> tuple[int, ...]:
    """The numbers of `most` of `count` things, from 0, evenly from the first to the last; all where
    there are no more."""
    kept = min(count, most)
    return tuple(round(index * (count - 1) / max(kept - 1, 1)) for index in range(kept))


@dataclass(frozen=True)
class AxisLimits:
    """What a network asks of one axis, in pixels: sizes of min + k*step, at most `most` (None: of
    any size), and a halo a side."""

    step: int
    min: int
    halo: int
    most: int | None = None

    def padded(self, size: int) -> int:
        """The size that an image axis of `size` pixels is padded to."""
        return self.min + round_up(max(size - self.min, 0), self.step)

    def at_once(self, size: int) -> int:
        """How much of an axis that is padded to hold `size` pixels the network takes at once."""
        return min(self.padded(size), self.most or self.padded(size))

    @property
    def aligned_halo(self) -> int:
        """The halo, rounded up to the step."""
        return round_up(self.halo, self.step)

    @property
    def smallest_tile(self) -> int:
        """The smallest tile that keeps a step between two halos."""
        return self.padded(2 * self.aligned_halo + self.step)


@dataclass(frozen=True)
class Span:
    """One tile along one axis. The tile reads [start, stop) of the padded image and its result is
    kept in [keep_start, keep_stop) of the image, which is [keep_start - start, …) of the tile."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def read(self) -> slice:
        """What the tile covers, in the padded image."""
        return slice(self.start, self.stop)

    @property
    def keep(self) -> slice:
        """What is kept of its result, in the image."""
        return slice(self.keep_start, self.keep_stop)

    @property
    def crop(self) -> slice:
        """What is kept of its result, in the tile."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


@dataclass(frozen=True)
class Tile:
    """A tile: one span for each tiled axis, by letter."""

    spans: Mapping[str, Span]

    @property
    def shape(self) -> dict[str, int]:
        """Its size by axis, in pixels, halo included."""
        return {axis: span.stop - span.start for axis, span in self.spans.items()}


@dataclass(frozen=True)
class TileGrid:
    """Equal aligned tiles that cover an image, or a window of it.

    sizes: the image, in pixels by axis letter. tile: the tile by axis, halo included; an axis it
    does not name is not cut. limits: the network's, by axis. window: what of the image is to be
    kept, by axis, with explicit bounds. blend: pixels by axis over which tiles pass into each
    other; {} for tiles that keep what is the same in the whole image. Made by `TileGrid.fit` and
    `TileGrid.blended`.
    """

    sizes: Mapping[str, int]
    tile: Mapping[str, int]
    limits: Mapping[str, AxisLimits]
    window: Mapping[str, slice]
    blend: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        sizes: Mapping[str, int],
        limits: Mapping[str, AxisLimits],
        largest: Mapping[str, int] | None = None,
        window: Mapping[str, slice] | None = None,
    ) -> TileGrid:
        """The grid with the fewest tiles, none larger than `largest` (pixels by axis, halo
        included); along an axis that `largest` does not name the image is not cut.

        Where a window is given, only its pixels are kept, and of the image around them only the
        halo is read, so they are the same pixels as without it. Raises TilingError where
        `largest` is below the smallest tile that keeps anything.
        """
        largest = largest or {}
        unknown = set(largest) - set(limits)
        if unknown:
            raise TilingError(
                f"a tile along {sorted(unknown)[0]} was asked for: this model is tiled along "
                f"{', '.join(limits)}"
            )
        kept = {axis: slice(0, sizes[axis]) for axis in limits} | dict(window or {})
        tile = {
            axis: _equal_tile(
                axis,
                _reach(sizes[axis], limit, kept[axis])[1],
                limit,
                _least(largest.get(axis), limit.most),
            )
            for axis, limit in limits.items()
        }
        return cls(dict(sizes), tile, dict(limits), kept)

    @classmethod
    def blended(
        cls,
        sizes: Mapping[str, int],
        limits: Mapping[str, AxisLimits],
        tile: Mapping[str, int],
        blend: Mapping[str, int],
        window: Mapping[str, slice],
    ) -> TileGrid:
        """The grid of tiles that overlap by `blend` pixels at least, for a network whose output
        depends on the whole tile: all are of the size `tile`, or of the image's where that is
        smaller. Their places are those in the whole image, so a window has its pixels."""
        fixed = {axis: min(limits[axis].padded(sizes[axis]), tile[axis]) for axis in limits}
        return cls(dict(sizes), fixed, dict(limits), dict(window), dict(blend))

    @property
    def row(self) -> int:
        """Pixels of one row of tiles along the first axis, which are held while tiles are blended;
        0 where they are not."""
        if not self.blend:
            return 0
        first, *others = self.limits
        spans = {axis: self._spans(axis) for axis in others}
        return self.tile[first] * math.prod(s[-1].stop - s[0].start for s in spans.values())

    def part(self, window: Mapping[str, slice]) -> TileGrid:
        """The grid of a smaller window, with tiles of at most the same size."""
        if self.blend:
            return replace(self, window=dict(window))
        return TileGrid.fit(self.sizes, self.limits, self.tile, window)

    @property
    def padded(self) -> dict[str, int]:
        """The padded image's size by axis."""
        return {axis: limits.padded(self.sizes[axis]) for axis, limits in self.limits.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Number of tiles along each axis."""
        return {axis: len(self._spans(axis)) for axis in self.limits}

    @property
    def computed_share(self) -> float:
        """Computed over useful pixels, at least 1."""
        computed = len(self) * math.prod(self.tile.values())
        useful: int = math.prod(kept.stop - kept.start for kept in self.window.values())
        return computed / useful

    def __len__(self) -> int:
        return math.prod(self.counts.values())

    def __iter__(self) -> Iterator[Tile]:
        axes = list(self.limits)
        for spans in itertools.product(*(self._spans(axis) for axis in axes)):
            yield Tile(dict(zip(axes, spans, strict=True)))

    def starts(self, axis: str) -> list[int]:
        """Where tiles that are blended start along an axis of the whole image: evenly, each at
        least `blend` pixels before the end of the last one."""
        tile, length = self.tile[axis], self.padded[axis]
        if tile >= length:
            return [0]
        count = math.ceil((length - self.blend[axis]) / (tile - self.blend[axis]))
        step = self.limits[axis].step
        return [
            round(index * (length - tile) / (count - 1) / step) * step for index in range(count)
        ]

    def _blended_spans(self, axis: str) -> list[Span]:
        """What a tile keeps ends where the next one starts, so all that it is blended with came
        before; those that a window does not touch are left out."""
        starts, tile, kept = self.starts(axis), self.tile[axis], self.window[axis]
        edges = [*starts, self.sizes[axis]]
        return [
            Span(
                start,
                start + tile,
                min(max(start, kept.start), kept.stop),
                max(min(end, kept.stop), kept.start, min(max(start, kept.start), kept.stop)),
            )
            for start, end in itertools.pairwise(edges)
            if start < kept.stop and start + tile > kept.start
        ]

    def _spans(self, axis: str) -> list[Span]:
        if self.blend:
            return self._blended_spans(axis)
        tile, limits, kept = self.tile[axis], self.limits[axis], self.window[axis]
        origin, length = _reach(self.sizes[axis], limits, kept)
        last_start = length - tile
        if last_start <= 0:
            return [Span(origin, origin + tile, kept.start, kept.stop)]
        halo = limits.aligned_halo
        stride = (tile - 2 * halo) // limits.step * limits.step
        starts = [origin + start for start in (*range(0, last_start, stride), last_start)]
        edges = [kept.start, *(start + halo for start in starts[1:]), kept.stop]
        return [
            Span(start, start + tile, edges[index], edges[index + 1])
            for index, start in enumerate(starts)
        ]


def _reach(size: int, limits: AxisLimits, window: slice) -> tuple[int, int]:
    """What has to be computed of an axis of `size` pixels to keep `window`: its start, on a
    multiple of the step, and its length, one that the network takes."""
    padded = limits.padded(size)
    start = max((window.start - limits.aligned_halo) // limits.step * limits.step, 0)
    length = limits.padded(min(window.stop + limits.aligned_halo, padded) - start)
    return min(start, padded - length), length


def _equal_tile(axis: str, padded: int, limits: AxisLimits, largest: int | None) -> int:
    """The size of the fewest equal tiles over `padded` pixels, none above `largest`."""
    if largest is None or padded <= largest:
        return padded
    if largest < limits.smallest_tile:
        raise TilingError(
            f"a tile of {largest} along {axis} is below the smallest this model can use there, "
            f"{limits.smallest_tile} (twice the halo of {limits.aligned_halo}, and a step of "
            f"{limits.step}): use a larger tile"
        )
    halo, step = limits.aligned_halo, limits.step
    steps = (largest - limits.min) // step
    lost = round_up(2 * halo - limits.min, step)  # a tile of min + k*step advances k*step - lost
    count = 1 + math.ceil((padded - limits.min - steps * step) / (steps * step - lost))
    equal = math.ceil((padded - limits.min + (count - 1) * lost) / (count * step))
    return limits.min + max(equal, 0) * step


def _least(*sizes: int | None) -> int | None:
    return min((size for size in sizes if size is not None), default=None)
