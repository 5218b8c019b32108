"""What processing steps do to pixels, once all their numbers are known.

Pixels are float64 with the axes CZYX; the numbers of a step have these axes, too, of length 1
where they are the same for all channels, or slices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.package.steps import Step
from care_bridge.runtime.statistics import Wanted, wanted_of

Numbers = NDArray[np.float64]

# bioimageio.core adds it to the standard deviation also where it is given; the spec does not say.
_FIXED_EPS = 1e-6


@dataclass(frozen=True)
class Affine:
    """x * gain + offset."""

    gain: Numbers
    offset: Numbers

    def apply(self, pixels: Numbers, z: slice) -> Numbers:
        """`pixels` of the slices `z`."""
        return np.asarray(pixels * _at(self.gain, z) + _at(self.offset, z))


@dataclass(frozen=True)
class Bounds:
    """Clipping at `low` and `high`."""

    low: Numbers
    high: Numbers

    def apply(self, pixels: Numbers, z: slice) -> Numbers:
        """`pixels` of the slices `z`."""
        return np.minimum(np.maximum(pixels, _at(self.low, z)), _at(self.high, z))


@dataclass(frozen=True)
class Threshold:
    """1 above the threshold, else 0."""

    level: Numbers

    def apply(self, pixels: Numbers, z: slice) -> Numbers:
        """`pixels` of the slices `z`."""
        return (pixels > _at(self.level, z)).astype(np.float64)


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x)), by a formula that does not overflow."""

    def apply(self, pixels: Numbers, _z: slice) -> Numbers:
        """`pixels` of any slices."""
        small = np.exp(-np.abs(pixels))
        return np.asarray(np.where(pixels < 0, small, 1) / (1 + small))


@dataclass(frozen=True)
class Softmax:
    """exp(x) over its sum of all channels."""

    def apply(self, pixels: Numbers, _z: slice) -> Numbers:
        """`pixels` of any slices."""
        powers = np.exp(pixels - pixels.max(axis=0, keepdims=True))
        return np.asarray(powers / powers.sum(axis=0, keepdims=True))


@dataclass(frozen=True)
class Whole:
    """What a conversion to an integer type makes: whole numbers towards zero, within its range."""

    low: int
    high: int

    def apply(self, pixels: Numbers, _z: slice) -> Numbers:
        """`pixels` of any slices."""
        return np.clip(np.trunc(pixels), self.low, self.high)


Formula = Affine | Bounds | Threshold | Sigmoid | Softmax | Whole
Values = Callable[[Wanted], tuple[Numbers, Numbers]]


@dataclass(frozen=True)
class Around:
    """What is done around a network: to each of its inputs, and to its output."""

    inputs: tuple[tuple[Formula, ...], ...]
    output: tuple[Formula, ...]


def apply_all(formulas: tuple[Formula, ...], pixels: NDArray[np.generic], z: slice) -> Numbers:
    """The `formulas` one after the other on `pixels` (CZYX) of the slices `z` of an image."""
    numbers = pixels.astype(np.float64)
    for formula in formulas:
        numbers = formula.apply(numbers, z)
    return numbers


def formulas_of(steps: tuple[Step, ...], tensor: str, values: Values) -> tuple[Formula, ...]:
    """The formulas of the `steps` of the tensor with this id; `values` gives its statistics."""
    formulas: list[Formula] = []
    for step in steps:
        formulas += _formula(step, [values(wanted) for wanted in wanted_of(step, tensor)])
    return tuple(formulas)


def _formula(step: Step, measured: list[tuple[Numbers, Numbers]]) -> list[Formula]:
    given = step.kwargs
    if step.id == "scale_linear":
        return [Affine(_by_channel(given["gain"]), _by_channel(given["offset"]))]
    if step.id == "fixed_zero_mean_unit_variance":
        gain = 1 / (_by_channel(given["std"]) + _FIXED_EPS)
        return [Affine(gain, -_by_channel(given["mean"]) * gain)]
    if step.id == "scale_range":
        ((low, high),) = measured
        gain = 1 / (high - low + given["eps"])
        return [Affine(gain, -low * gain)]
    if step.id == "zero_mean_unit_variance":
        ((mean, std),) = measured
        gain = 1 / (std + given["eps"])
        return [Affine(gain, -mean * gain)]
    if step.id == "scale_mean_variance":
        (mean, std), (new_mean, new_std) = measured
        gain = (new_std + given["eps"]) / (std + given["eps"])
        return [Affine(gain, new_mean - mean * gain)]
    if step.id == "clip":
        return [_bounds(step, measured)]
    if step.id == "binarize":
        return [Threshold(_by_channel(given["threshold"]))]
    if step.id == "sigmoid":
        return [Sigmoid()]
    if step.id == "softmax":
        return [Softmax()]
    return _conversion(given["dtype"])


def _bounds(step: Step, measured: list[tuple[Numbers, Numbers]]) -> Bounds:
    ends = []
    for name, open_end, place in (("min", -np.inf, 0), ("max", np.inf, 1)):
        number = step.kwargs[name]
        if step.kwargs[f"{name}_percentile"] is not None:
            ends.append(measured[0][place])
        else:
            ends.append(_by_channel([open_end if number is None else number]))
    return Bounds(*ends)


def _conversion(dtype: str) -> list[Formula]:
    """To floating point nothing is to be done: pixels are float64, and float32 for the network."""
    if dtype == "bool":
        return [Whole(0, 1)]
    if np.dtype(dtype).kind == "f":
        return []
    return [Whole(np.iinfo(dtype).min, np.iinfo(dtype).max)]


def _by_channel(numbers: list[float]) -> Numbers:
    return np.array(numbers, np.float64).reshape(-1, 1, 1, 1)


def _at(numbers: Numbers, z: slice) -> Numbers:
    return numbers if numbers.shape[1] == 1 else numbers[:, z]
