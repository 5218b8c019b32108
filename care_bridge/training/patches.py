"""Training patches: drawn where there is something to see, read from disk when they are needed.

Batch k is a pure function of the seed and k, so a run that goes on after an interruption sees
exactly what it would have seen without it. No torch here: whoever prepares data uses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, maximum_filter1d

from care_bridge.errors import TrainingError
from care_bridge.training.scales import Scaling
from care_bridge.training.stacks import FOREGROUND_PERCENTILE, Stack, part_of

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Source (B, C_in, [Z,] Y, X) and target (B, C_out, [Z,] Y, X), normalised."""

Augment = bool | Literal["flips"]
"""Flips and quarter turns of the YX plane, or flips alone (in Y, in X, in both), or neither."""

_MOVES = tuple(range(8))
_FLIPS = (0, 2, 4, 6)


@dataclass(frozen=True)
class Foreground:
    """Where in a stack patches may lie: a centre counts where the target's maximum over a window
    of half the patch exceeds a share of the target's 99.9th percentile, in any channel.

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
        threshold = share * stack.target_statistics.level(FOREGROUND_PERCENTILE)
        window = (1, *map(_window, patch))
        bright = maximum_filter(stack.target, window) > _column(threshold, stack.target.ndim)
        inside = tuple(
            slice(pixels // 2, pixels // 2 + size - pixels + 1)
            for size, pixels in zip(stack.shape, patch, strict=True)
        )
        counts = np.count_nonzero(bright.any(axis=0)[inside], axis=-1)
        return cls(stack, patch, threshold, np.cumsum(counts, dtype=np.int64))

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
        start.append(int(np.flatnonzero(self._row(start))[before]))
        return tuple(
            slice(first, first + pixels) for first, pixels in zip(start, self.patch, strict=True)
        )

    def _row(self, start: list[int]) -> NDArray[np.bool_]:
        """For each patch start along X in the row of patch starts [Z,] Y: is it foreground?"""
        *outer, across = self.patch
        first = [
            begin + pixels // 2 - _window(pixels) // 2
            for begin, pixels in zip(start, outer, strict=True)
        ]
        area = tuple(
            slice(begin, begin + _window(pixels))
            for begin, pixels in zip(first, outer, strict=True)
        )
        slab = self.stack.target[(slice(None), *area)]
        highest = slab.max(axis=tuple(range(1, slab.ndim - 1)))
        bright = maximum_filter1d(highest, _window(across)) > self.threshold[:, None]
        starts = self.stack.shape[-1] - across + 1
        row: NDArray[np.bool_] = bright.any(axis=0)[across // 2 : across // 2 + starts]
        return row


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
        scaling: Scaling,
        batch_size: int,
        augment: Augment,
        seed: tuple[int, ...],
    ) -> PatchSource:
        """The source over the stacks that have foreground; TrainingError where none has."""
        found = [Foreground.find(stack, patch, share) for stack in stacks]
        kept = tuple(foreground for foreground in found if foreground.count)
        if not kept:
            raise TrainingError(
                f"none of the {len(stacks)} images has anything brighter than the background to "
                "draw patches from: check the targets, or set a lower patches.background"
            )
        return cls(kept, scaling, batch_size, augment, seed)

    def batch(self, k: int) -> Batch:
        """Batch number `k`, always the same for the same k."""
        generator = np.random.default_rng([*self.seed, k])
        drawn = [self._patch(generator) for _ in range(self.batch_size)]
        sources, targets = zip(*drawn, strict=True)
        return np.stack(sources), np.stack(targets)

    def _patch(self, generator: np.random.Generator) -> Batch:
        foreground = self.foregrounds[int(generator.integers(len(self.foregrounds)))]
        area = foreground.draw(generator)
        stack = foreground.stack
        before, after = self.scaling.draw(stack, generator)
        source = before.apply(part_of(stack.source, area))
        target = after.apply(part_of(stack.target, area))
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


def _window(pixels: int) -> int:
    return max(pixels // 2, 1)


def _column(values: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    return values.reshape(-1, *[1] * (dimensions - 1))
