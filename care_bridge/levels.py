"""Exact percentiles of any number of pixels in bounded memory, read block by block.

A pixel is a number of one digit (uint8, uint16), two (float32) or four (float64): digits of 16
bits, of 8 for uint8. The first pass over the pixels counts their leading digit, whose counts say
with which digit the pixel at a wanted rank begins; each further pass counts the next digit of
those pixels alone that begin so, or sorts them where they are few. Counts are int64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 18
_FEW = 1 << 17
_SIGN = 0x8000
_EXPONENTS = {"float32": 0x7F80, "float64": 0x7FF0}
MEASURABLE = ("uint8", "uint16", *_EXPONENTS)

Read = Callable[[], Iterable[tuple[int, NDArray[np.generic]]]]


@dataclass(frozen=True)
class Levels:
    """Grey levels of a group of pixels: the percentiles asked for, in that order (0 where nothing
    was counted), the number of pixels they are taken over, and of those left out as NaN or
    infinite."""

    percentiles: tuple[float, ...]
    counted: int
    nonfinite: int


def measure(
    read: Read,
    groups: int,
    dtype: np.dtype[Any],
    percents: Sequence[float],
    *,
    ignore_zeros: bool,
    interpolated: bool = True,
) -> tuple[Levels, ...]:
    """The levels of each of `groups` groups of pixels, whose percentiles equal
    `numpy.percentile(..., method="linear")` of the same pixels in float64, or, where they are not
    interpolated, those of its method "inverted_cdf".

    read: called for each pass (see `passes`), gives all pixels in blocks of any shape with the
    number of the group that they belong to. dtype: one of MEASURABLE. percents: in percent; 0 and
    100 give the minimum and the maximum. NaN and infinities are left out and counted, zeros left
    out if asked. Memory: a block, and for each group 0.5 MiB, for floats 1 MiB more for each of
    `percents`.
    """
    searches = [_Search(dtype, percents, ignore_zeros, interpolated) for _ in range(groups)]
    for _ in range(passes(dtype, percents)):
        for group, pixels in read():
            searches[group].count(pixels)
        for search in searches:
            search.narrow()
        if not any(search.sought for search in searches):
            break
    return tuple(search.levels() for search in searches)


def passes(dtype: np.dtype[Any], percents: Sequence[float]) -> int:
    """How many times `measure` reads all pixels: once for integers, twice for float32; at most
    four times for float64."""
    return _digits(dtype) if percents else 1


def _digits(dtype: np.dtype[Any]) -> int:
    return max(dtype.itemsize // 2, 1)


class _Search:
    """The search for the pixels at the ranks of some percentiles.

    A prefix is the digits with which pixels begin, the leading one first, in the bits that they
    have in memory. sought: by prefix, the ranks whose pixels begin so, each with its rank among
    these pixels. Pixels of a sought prefix are counted by their next digit, or, where they are
    few, kept and sorted. found: the pixel at each rank.
    """

    def __init__(
        self,
        dtype: np.dtype[Any],
        percents: Sequence[float],
        ignore_zeros: bool,
        interpolated: bool,
    ) -> None:
        self.dtype = dtype.newbyteorder("=")  # as they are counted
        self.percents = percents
        self.ignore_zeros = ignore_zeros
        self.interpolated = interpolated
        self.counted = 0
        self.nonfinite = 0
        self.digit = np.dtype(np.uint8 if dtype == np.uint8 else np.uint16)
        self.sought: dict[tuple[int, ...], list[tuple[int, int]]] = {(): []}
        self.counts: dict[tuple[int, ...], NDArray[np.int64]] = {(): self._nothing()}
        self.kept: dict[tuple[int, ...], list[NDArray[np.generic]]] = {}
        self.found: dict[int, float] = {}

    def _nothing(self) -> NDArray[np.int64]:
        return np.zeros(1 << (8 * self.digit.itemsize), np.int64)

    def count(self, pixels: NDArray[np.generic]) -> None:
        """Count the next digit of those of `pixels` that begin with a sought prefix."""
        chunks = np.nditer(
            pixels,
            ["external_loop", "buffered", "zerosize_ok"],
            ["readonly", "contig", "nbo"],  # type: ignore[list-item]  # numpy's stubs lack "contig"
            buffersize=_CHUNK,
        )
        for each in chunks:
            chunk = np.asarray(each)
            self._count(chunk[chunk != 0] if self.ignore_zeros else chunk)

    def _count(self, chunk: NDArray[np.generic]) -> None:
        digits = chunk.view(self.digit).reshape(-1, _digits(self.dtype))[:, ::-1]  # little-endian
        known = len(next(iter(self.sought), ()))
        leading = [np.ascontiguousarray(digits[:, place]) for place in range(known)]
        for prefix in self.sought:
            begins: NDArray[np.bool_] | slice = slice(None)
            if prefix:
                begins = leading[0] == prefix[0]
                for place in range(1, known):
                    begins &= leading[place] == prefix[place]
            if prefix in self.kept:
                self.kept[prefix].append(chunk[begins])
                continue
            following = digits[begins, known]
            if following.size:
                counts = self.counts[prefix]
                counts += np.bincount(following, minlength=counts.size)

    def narrow(self) -> None:
        """Go one digit further, after all pixels were counted."""
        if () in self.sought:
            self._start(self.counts[()])
        longer: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        sizes = {}
        for prefix, ranks in self.sought.items():
            if prefix in self.kept:
                ordered = np.sort(np.concatenate(self.kept[prefix]))
                self.found.update((rank, float(ordered[within])) for rank, within in ranks)
                continue
            digits = self._ascending(prefix)
            counts = self.counts[prefix][digits]
            ends = np.cumsum(counts)
            for rank, within in ranks:
                place = int(np.searchsorted(ends, within, side="right"))
                size = int(counts[place])
                found = (*prefix, int(digits[place]))
                longer.setdefault(found, []).append((rank, within - int(ends[place]) + size))
                sizes[found] = size
        self._seek(longer, sizes)

    def _seek(
        self,
        longer: Mapping[tuple[int, ...], list[tuple[int, int]]],
        sizes: Mapping[tuple[int, ...], int],
    ) -> None:
        """Make ready for counting the pixels of `longer` prefixes, of which there are `sizes`."""
        self.sought, self.counts, self.kept = {}, {}, {}
        for prefix, ranks in longer.items():
            if len(prefix) == _digits(self.dtype):
                pixel = float(np.array(prefix[::-1], self.digit).view(self.dtype)[0])
                self.found.update((rank, pixel) for rank, _ in ranks)
                continue
            self.sought[prefix] = ranks
            if sizes[prefix] <= _FEW:
                self.kept[prefix] = []
            else:
                self.counts[prefix] = self._nothing()

    def _start(self, counts: NDArray[np.int64]) -> None:
        exponent = _EXPONENTS.get(self.dtype.name)
        if exponent:
            nonfinite = (np.arange(counts.size) & exponent) == exponent
            self.nonfinite = int(counts[nonfinite].sum())
            counts[nonfinite] = 0
        self.counted = int(counts.sum())
        if self.counted:
            ends = {end for rank in self._ranks() for end in self._neighbours(rank)}
            self.sought[()] = [(end, end) for end in ends]

    def _ascending(self, prefix: tuple[int, ...]) -> NDArray[np.intp]:
        """The digits that may follow `prefix`, from the lowest pixel's to the highest one's:
        floats of negative sign, which lead the others, descend as their bits ascend."""
        digits = np.arange(1 << (8 * self.digit.itemsize))
        if self.dtype.kind != "f":
            return digits
        if not prefix:
            return np.concatenate([digits[: _SIGN - 1 : -1], digits[:_SIGN]])
        return digits[::-1] if prefix[0] >= _SIGN else digits

    def _ranks(self) -> list[float]:
        if not self.interpolated:
            return [
                max(math.ceil(percent / 100 * self.counted - 1), 0) for percent in self.percents
            ]
        return [percent / 100 * (self.counted - 1) for percent in self.percents]

    def _neighbours(self, rank: float) -> tuple[int, int]:
        return math.floor(rank), min(math.floor(rank) + 1, self.counted - 1)

    def levels(self) -> Levels:
        """After the last pass."""
        if not self.counted:
            return Levels((0.0,) * len(self.percents), 0, self.nonfinite)
        found = []
        for rank in self._ranks():
            below, above = (self.found[end] + 0.0 for end in self._neighbours(rank))  # no -0.0
            found.append(_between(below, above, rank - math.floor(rank)))
        return Levels(tuple(found), self.counted, self.nonfinite)


def _between(below: float, above: float, share: float) -> float:
    """As numpy rounds it, from the nearer of the two."""
    if share < 0.5:
        return below + (above - below) * share
    return above - (above - below) * (1 - share)
