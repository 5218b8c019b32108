"""The statistics that processing steps name, over any number of pixels, read block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.levels import Levels, measure, passes
from care_bridge.package.steps import Step

_MEASURING = ("clip", "scale_mean_variance", "scale_range", "zero_mean_unit_variance")


@dataclass(frozen=True)
class Wanted:
    """Two numbers of the tensor with this id: two percentiles, or, where `percents` is empty, the
    mean and the standard deviation. axes: those (letters of CZYX) along which they are taken
    together; dataset: over all images. interpolated: percentiles between two pixels, or else the
    upper of them."""

    tensor: str
    axes: str
    percents: tuple[float, ...]
    dataset: bool
    interpolated: bool = True


@dataclass(frozen=True)
class Part:
    """Some pixels of an image (C…ZYX): of the channels from `channel`, the slices from `z`."""

    channel: int
    z: int
    pixels: NDArray[np.generic]


Read = Callable[[], Iterable[Part]]


def wanted_of(step: Step, tensor: str) -> tuple[Wanted, ...]:
    """What a step of the tensor with this id has to know of images."""
    given = step.kwargs
    if step.id not in _MEASURING or "axes" not in given:
        return ()
    axes, dataset = given["axes"], given["dataset"]
    if step.id == "clip":
        low, high = given["min_percentile"], given["max_percentile"]
        percents = 0.0 if low is None else low, 100.0 if high is None else high
        return (Wanted(tensor, axes, percents, dataset, interpolated=False),)
    reference = given.get("reference_tensor") or tensor
    if step.id == "scale_range":
        percents = given["min_percentile"], given["max_percentile"]
        return (Wanted(reference, axes, percents, dataset),)
    moments = (Wanted(tensor, axes, (), dataset),)
    if step.id == "scale_mean_variance":
        return (*moments, Wanted(reference, axes, (), dataset))
    return moments


def readings(wanted: Wanted, dtype: np.dtype[Any]) -> int:
    """How often `measured` reads all pixels of this type."""
    return passes(dtype, wanted.percents)


def measured(
    read: Read, wanted: Wanted, channels: int, depth: int, dtype: np.dtype[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two numbers, each with the axes CZYX, of length 1 where they are taken together.

    read: gives all pixels, of the type `dtype`, each time that it is called; of an image, or of
    several, with so many channels and slices. Pixels that are NaN or infinite are left out.
    """
    shape = (1 if "C" in wanted.axes else channels, 1 if "Z" in wanted.axes else depth, 1, 1)
    groups = math.prod(shape)

    def pixels() -> Iterator[tuple[int, NDArray[np.generic]]]:
        for part in read():
            yield from _grouped(part, shape[0] > 1, shape[1])

    if wanted.percents:
        levels = measure(
            pixels,
            groups,
            dtype,
            wanted.percents,
            ignore_zeros=False,
            interpolated=wanted.interpolated,
        )
        low, high = zip(*map(_pair, levels), strict=True)
    else:
        moments = [Moments() for _ in range(groups)]
        for group, block in pixels():
            moments[group].add(block)
        low = tuple(each.mean for each in moments)
        high = tuple(each.deviation for each in moments)
    return np.reshape(low, shape), np.reshape(high, shape)


def _pair(levels: Levels) -> tuple[float, float]:
    low, high = levels.percentiles
    return low, high


def _grouped(
    part: Part, by_channel: bool, slices: int
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    for number, block in enumerate(part.pixels, part.channel if by_channel else 0):
        group = number * slices if by_channel else 0
        if slices == 1:
            yield group, block
            continue
        for z in range(block.shape[-3]):
            yield group + part.z + z, block[..., z, :, :]


class Moments:
    """The mean and the standard deviation of numbers that come block by block (Chan et al. 1979:
    two blocks' sums of squared deviations and the distance of their means)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, block: NDArray[np.generic]) -> None:
        """Count the finite numbers of a block."""
        numbers = block.astype(np.float64).ravel()
        if block.dtype.kind == "f":
            numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        mean = float(numbers.mean())
        numbers -= mean
        total, distance = self.count + numbers.size, mean - self.mean
        self._squares += float(numbers @ numbers)
        self._squares += distance**2 * self.count * numbers.size / total
        self.mean += distance * numbers.size / total
        self.count = total

    @property
    def deviation(self) -> float:
        """Of the population, not of a sample of it."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0
