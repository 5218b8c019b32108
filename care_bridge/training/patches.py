"""Training patches: drawn where there is something to see, read from disk when they are needed.

Batch k is a pure function of the seed and k, so a run that goes on after an interruption sees
exactly what it would have seen without it. No torch here: whoever prepares data uses it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from care_bridge.errors import TrainingError
from care_bridge.training.image_statistics import BLACK_PERCENTILE, FOREGROUND_PERCENTILE
from care_bridge.training.scales import Scaling
from care_bridge.training.stacks import Stack

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Source (B, C_in, [Z,] Y, X) and target (B, C_out, [Z,] Y, X), normalised."""

Augment = bool | Literal["flips"]
"""Flips and quarter turns of the YX plane, or flips alone (in Y, in X, in both), or neither."""

# Pixels that are looked at together when the foreground is found.
_AT_ONCE = 1 << 23
_MOVES = tuple(range(8))
_FLIPS = (0, 2, 4, 6)


@dataclass(frozen=True)
class Foreground:
    """Where in a stack patches may lie: a centre counts where the target's maximum over a window
    of half the patch exceeds a share of the way from black to the target's 99.9th percentile, in
    any channel. Black is 0, as in the CARE paper, and in images that reach below it their
    percentile 2: after a background was subtracted, bright structures may be negative.

    Only the number of such centres in each row of X is kept (`ends`, cumulative); a row's mask is
    computed anew when a centre is drawn from it.
    """

    stack: Stack
    patch: tuple[int, ...]
    threshold: NDArray[np.float64]
    ends: NDArray[np.int64]

    @classmethod
    def find(cls, stack: Stack, patch: tuple[int, ...], share: float) -> Foreground:
        """The foreground of `stack` for patches of [Z,] Y, X pixels; `share` in [0, 1)."""
        bright = stack.target_statistics.level(FOREGROUND_PERCENTILE)
        black = np.minimum(stack.target_statistics.level(BLACK_PERCENTILE), 0)
        threshold = black + share * (bright - black)
        starts = [size - pixels + 1 for size, pixels in zip(stack.shape, patch, strict=True)]
        counts = np.zeros(starts[:-1], np.int64)
        found = cls(stack, patch, threshold, counts)
        for block in _blocks(starts, patch, len(threshold)):
            counts[block[:-1]] = np.count_nonzero(found._bright(block), axis=-1)
        return replace(found, ends=np.cumsum(counts, dtype=np.int64))

    @property
    def count(self) -> int:
        """How many centres there are."""
        return int(self.ends[-1])

    def draw(self, generator: np.random.Generator) -> tuple[slice, ...]:
        """The area ([Z,] Y, X) of a patch around a centre, each centre with equal chance."""
        rank = int(generator.integers(self.count))
        row = int(np.searchsorted(self.ends, rank, side="right"))
        rows = [
            size - pixels + 1 for size, pixels in zip(self.stack.shape, self.patch, strict=True)
        ]
        start = [int(index) for index in np.unravel_index(row, rows[:-1])]
        before = rank - (int(self.ends[row - 1]) if row else 0)
        there = self._bright((*(slice(each, each + 1) for each in start), slice(0, rows[-1])))
        start.append(int(np.flatnonzero(there)[before]))
        return tuple(
            slice(first, first + pixels) for first, pixels in zip(start, self.patch, strict=True)
        )

    def _bright(self, starts: tuple[slice, ...]) -> NDArray[np.bool_]:
        """For each patch start in the box `starts`: is there foreground around its centre?"""
        windows = [(_window(pixels), pixels // 2 - _window(pixels) // 2) for pixels in self.patch]
        area = tuple(
            slice(part.start + first, part.stop - 1 + first + window)
            for part, (window, first) in zip(starts, windows, strict=True)
        )
        highest: NDArray[Any] = self.stack.target[(slice(None), *area)]
        for axis, (window, _) in enumerate(windows, 1):
            highest = _highest(highest, axis, window)
        return np.asarray((highest > _column(self.threshold, highest.ndim)).any(axis=0))


@dataclass(frozen=True)
class PatchSource:
    """Batches of patches of some stacks; each stack with foreground has the same chance."""

    foregrounds: tuple[Foreground, ...]
    scaling: Scaling
    batch_size: int
    augment: Augment
    seed: tuple[int, ...]

    @classmethod
    def of(
        cls,
        stacks: Sequence[Stack],
        patch: tuple[int, ...],
        share: float,
        *,
        part: str,
        scaling: Scaling,
        batch_size: int,
        augment: Augment,
        seed: tuple[int, ...],
    ) -> PatchSource:
        """The source over the stacks that have foreground; TrainingError where none has. part: what
        they are for, as it is told then."""
        found = [Foreground.find(stack, patch, share) for stack in stacks]
        kept = tuple(foreground for foreground in found if foreground.count)
        if not kept:
            who = f"none of the {len(stacks)} {part} images has anything"
            if len(stacks) == 1:
                who = f"the only {part} image has nothing"
            lower = ", or set it lower" if share else ", which must not be black"
            raise TrainingError(
                f"{who} brighter than the background to draw patches from "
                f"(patches.background={share:g}): check the targets{lower}"
            )
        return cls(kept, scaling, batch_size, augment, seed)

    def batch(self, k: int) -> Batch:
        """Batch number `k`, always the same for the same k: the patches of `numbers`."""
        drawn = [self._patch(np.random.default_rng([*self.seed, n])) for n in self.numbers(k)]
        sources, targets = zip(*drawn, strict=True)
        return np.stack(sources), np.stack(targets)

    def numbers(self, k: int) -> range:
        """The patches in batch `k`. Each is a pure function of the seed and its number, so two
        batches after each other are one of twice the size."""
        return range(k * self.batch_size, (k + 1) * self.batch_size)

    def _patch(self, generator: np.random.Generator) -> Batch:
        foreground = self.foregrounds[int(generator.integers(len(self.foregrounds)))]
        area = foreground.draw(generator)
        stack = foreground.stack
        before, after = self.scaling.draw(stack, generator)
        source = before.apply(stack.source[area])
        target = after.apply(stack.target[area])
        if self.augment:
            moves = _FLIPS if self.augment == "flips" else _MOVES
            move = moves[int(generator.integers(len(moves)))]
            source, target = turned(source, move), turned(target, move)
        return source, target


def turned(patch: NDArray[np.float32], move: int) -> NDArray[np.float32]:
    """One of the eight flips and quarter turns of the YX plane (0 to 7; 0 changes nothing).

    Where Y and X differ in size, quarter turns become half turns. Z is never touched: along it
    microscopes blur and lose light.
    """
    turns, flip = move % 4, move // 4
    if patch.shape[-1] != patch.shape[-2]:
        turns = turns // 2 * 2
    moved = np.rot90(patch, turns, axes=(-2, -1))
    return moved[..., ::-1] if flip else moved


def shown_plane(patch: NDArray[np.float32], channel: int = 0) -> NDArray[np.float32]:
    """What is shown of a patch (C, [Z,] Y, X): one channel, of a volume its middle slice."""
    pixels: NDArray[np.float32] = patch[channel]
    return pixels[len(pixels) // 2] if pixels.ndim == 3 else pixels


def _blocks(
    starts: Sequence[int], patch: tuple[int, ...], channels: int
) -> Iterator[tuple[slice, ...]]:
    """Boxes that cover all patch starts, whole along X, for each of which few pixels are read."""
    shape = list(starts)

    def read(axis: int) -> int:
        return shape[axis] + _window(patch[axis])

    while channels * prod(map(read, range(len(shape)))) > _AT_ONCE and max(shape[:-1]) > 1:
        longest = max(range(len(shape) - 1), key=lambda axis: shape[axis] / _window(patch[axis]))
        if shape[longest] == 1:
            break
        shape[longest] = -(-shape[longest] // 2)
    cuts = [
        [slice(first, min(first + step, stop)) for first in range(0, stop, step)]
        for step, stop in zip(shape, starts, strict=True)
    ]
    yield from product(*cuts)


def _highest(pixels: NDArray[Any], axis: int, window: int) -> NDArray[Any]:
    """The maximum over each `window` of neighbours along an axis, which becomes shorter."""
    windows = pixels.shape[axis] - window + 1
    if windows == 1:
        return np.asarray(pixels.max(axis, keepdims=True))
    highest = maximum_filter1d(pixels, window, axis=axis)
    whole = (slice(None),) * axis
    return np.asarray(highest[(*whole, slice(window // 2, window // 2 + windows))])


def _window(pixels: int) -> int:
    return max(pixels // 2, 1)


def _column(values: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    return values.reshape(-1, *[1] * (dimensions - 1))
