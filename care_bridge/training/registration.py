"""Does the target show the same place as the source, or another one? By cross-correlation.

A network that learns from shifted pairs learns to shift, or to blur; from wrong ones, nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from care_bridge.tiling import middle
from care_bridge.training.stacks import Stack, projected

_LARGEST = {3: (32, 256, 256), 2: (1024, 1024)}
_FINE, _COARSE = 1.0, 8.0
_DISTINCT = 1.5

# Measured on right pairs and on exchanged ones of one kind, simulated and true: the highest
# correlation of the latter stands out, too, by up to a dozen standard deviations. But it lies
# elsewhere in each quarter, and at next to no shift there is seldom more than chance.
_QUARTERS = 2
_AGREE = 2.0
_IN_PLACE = 5.0


@dataclass(frozen=True)
class Shift:
    """pixels: along [Z,] Y, X; the target's structures lie this far behind the source's. spread: by
    how many pixels the image's four quarters, each by itself, typically find another shift. clear:
    two of them find the same one; an unclear shift says nothing. alike: it is clear, or source and
    target correlate where they are, be it negatively."""

    pixels: tuple[float, ...]
    spread: tuple[float, ...]
    clear: bool
    alike: bool

    @property
    def length(self) -> float:
        """Pixels, the longest along any axis in which the quarters agree; 0 where the shift is not
        clear. Light from beyond the borders shifts some parts of an image, bad registration all."""
        agreed = [
            abs(part)
            for part, spread in zip(self.pixels, self.spread, strict=True)
            if abs(part) > _DISTINCT * spread
        ]
        return max(agreed, default=0.0) if self.clear else 0.0


def find_shift(stack: Stack) -> Shift:
    """The shift between source and target of one frame, over the mean of their channels.

    Both are band-passed (between Gaussians of 1 and 8 pixels, so neither noise nor background
    decides) and windowed; the peak is placed between pixels by a parabola along each axis. Of
    large frames the middle is taken. A stack whose target is a plane is projected (maximum).
    """
    area = _middle(stack.target.shape[1:])
    target = _one_channel(stack.target[area])
    source = _one_channel(projected(stack.source[area], stack.target.ndim))
    correlation = _correlation(source, target)
    pixels = _highest(correlation)
    halves = [(slice(0, size // 2), slice(size // 2, size)) for size in source.shape[-2:]]
    quarters = [
        _highest(_correlation(source[..., rows, columns], target[..., rows, columns]))
        for rows, columns in product(*halves)
    ]
    apart = np.abs(np.array(quarters) - pixels)
    spread = tuple(np.median(apart, axis=0).round(2).tolist())
    clear = int((apart.max(axis=1) <= _AGREE).sum()) >= _QUARTERS
    return Shift(pixels, spread, clear, alike=clear or _in_place(correlation) > _IN_PLACE)


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """What is looked at of a frame: the middle, or all where it is small."""
    return tuple(map(middle, shape, _LARGEST[len(shape)]))


def _one_channel(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """The mean of the channels."""
    return np.asarray(pixels.mean(axis=0, dtype=np.float64))


def _correlation(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how far the target lies behind the source, periodically from 0 on."""
    before, after = np.fft.rfftn(_prepared(source)), np.fft.rfftn(_prepared(target))
    return np.asarray(
        np.fft.irfftn(np.conj(before) * after, s=source.shape, axes=range(source.ndim))
    )


def _highest(correlation: NDArray[np.float64]) -> tuple[float, ...]:
    """The place of the highest correlation, in pixels."""
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    pixels = []
    for axis, size in enumerate(correlation.shape):
        along = [
            correlation[(*peak[:axis], (peak[axis] + step) % size, *peak[axis + 1 :])]
            for step in (-1, 0, 1)
        ]
        place = (int(peak[axis]) + size // 2) % size - size // 2 + _vertex(*along)
        pixels.append(round(float(place), 2) + 0.0)
    return tuple(pixels)


def _in_place(correlation: NDArray[np.float64]) -> float:
    """The strongest correlation at shifts of at most a pixel, in standard deviations of all."""
    around = correlation[np.ix_(*[(-1, 0, 1)] * correlation.ndim)]
    spread = float(correlation.std())
    return float(np.abs(around).max()) / spread if spread else 0.0


def _prepared(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Band-passed and windowed."""
    passed = gaussian_filter(plane, _FINE) - gaussian_filter(plane, _COARSE)
    for axis, size in enumerate(passed.shape):
        window = np.hanning(size + 2)[1:-1]
        passed *= window.reshape([-1 if at == axis else 1 for at in range(passed.ndim)])
    return np.asarray(passed - passed.mean())


def _vertex(before: float, middle: float, after: float) -> float:
    """Where a parabola through three neighbours has its top, in pixels from the middle one."""
    bend = before - 2 * middle + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend
