"""How far a probabilistic restoration may be trusted: intervals, calibration, disagreement.

A probabilistic network predicts a Laplace distribution for each pixel, an ensemble of M of them the
mixture of M distributions (Weigert et al. 2018). Everything here lives in the target's normalised
scale, in which the networks predict; an affine map of truth, means and scales together changes
nothing.

Calibration is defined here as: accuracy(c) = share of the truth's pixels inside the central
interval of confidence c; the expected calibration error (ECE) = mean over
c = 0.05, 0.10, ... 0.95 of |accuracy(c) - c|. The paper prints neither formula. Needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError

Pixels = NDArray[np.float64]

CONFIDENCES = tuple(np.round(np.arange(0.05, 0.951, 0.05), 2).tolist())
CALIBRATED = 0.01
"""Expected calibration errors below it are no errors."""
_BISECTIONS = 32
_QUANTILES = 16
_WIDEST = 64.0


@dataclass(frozen=True)
class Laplaces:
    """Laplace distributions p(z) = exp(-|z - mean| / scale) / (2 scale), one a member and pixel.

    means, scales: (M, ...) with M = 1 for a single model; scales > 0. Raises ImageError where
    shapes differ, a scale is not positive, or a number is not finite.
    """

    means: Pixels
    scales: Pixels

    def __post_init__(self) -> None:
        if self.means.shape != self.scales.shape or self.means.ndim < 1:
            raise ImageError(
                f"the predicted means have shape {self.means.shape}, their scales "
                f"{self.scales.shape}: both need (members, pixels ...)"
            )
        if not (np.isfinite(self.means).all() and np.isfinite(self.scales).all()):
            raise ImageError("the predicted means or scales hold NaN or infinity: replace them")
        if not (self.scales > 0).all():
            raise ImageError(
                f"the smallest predicted scale is {self.scales.min():g}: scales must be positive"
            )

    @property
    def members(self) -> int:
        """How many distributions are mixed in each pixel."""
        return len(self.means)

    def mean(self) -> Pixels:
        """The mixture's mean: the restored image."""
        return np.asarray(self.means.mean(axis=0))

    def standard_deviation(self) -> Pixels:
        """The mixture's: sqrt(mean(2 scale^2 + mean^2) - mean(mean)^2)."""
        second = np.mean(2 * self.scales**2 + self.means**2, axis=0)
        return np.asarray(np.sqrt(np.maximum(second - self.mean() ** 2, 0)))

    def spread(self, factor: float) -> Laplaces:
        """The same about the same mixture's mean, all distances from it `factor` times as large."""
        if factor == 1:
            return self
        middle = self.mean()
        return Laplaces(middle + factor * (self.means - middle), factor * self.scales)

    def cumulative(self, values: Pixels) -> Pixels:
        """The mixture's probability of lying below `values` (one a pixel)."""
        distance = (values - self.means) / self.scales
        tail = 0.5 * np.exp(-np.abs(distance))
        return np.asarray(np.where(distance < 0, tail, 1 - tail).mean(axis=0))

    def confidence_to_reach(self, values: Pixels) -> Pixels:
        """Of the smallest central interval that holds `values` (one a pixel)."""
        return np.asarray(np.abs(2 * self.cumulative(values) - 1))

    def interval(self, confidence: float) -> tuple[Pixels, Pixels]:
        """The central interval that holds the truth with this probability, ends a pixel each.

        For M = 1 it is mean -+ scale ln(1 / (1 - confidence)); a mixture's quantiles lie between
        its members' and are found there by bisection.
        """
        reach = self.scales * np.log(1 / (1 - confidence))
        lower, upper = self.means - reach, self.means + reach
        if self.members == 1:
            return lower[0], upper[0]
        tail = (1 - confidence) / 2
        return self._quantile(tail, lower), self._quantile(1 - tail, upper)

    def disagreement(self) -> Pixels:
        """D = 1 / (M ln M) sum_m KL(p_m || mixture), in [0, 1] a pixel; 0 for M = 1.

        The divergences have no closed form: the mean of ln p_m - ln mixture over 16 quantiles of
        p_m errs by 0.006 on average and 0.025 at most.
        """
        if self.members == 1:
            return np.zeros(self.means.shape[1:])
        chances = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        standard = np.sign(chances - 0.5) * -np.log(1 - 2 * np.abs(chances - 0.5))
        total = np.zeros(self.means.shape[1:])
        for mean, scale in zip(self.means, self.scales, strict=True):
            for quantile in standard:
                own = -abs(quantile) - np.log(2 * scale)
                total += own - self._log_density(mean + scale * quantile)
        share = total / (_QUANTILES * self.members * np.log(self.members))
        return np.asarray(np.clip(share, 0, 1))

    def _log_density(self, values: Pixels) -> Pixels:
        logs = -np.abs(values - self.means) / self.scales - np.log(2 * self.scales)
        return np.asarray(np.logaddexp.reduce(logs, axis=0) - np.log(self.members))

    def _quantile(self, chance: float, of_members: Pixels) -> Pixels:
        low, high = of_members.min(axis=0), of_members.max(axis=0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = self.cumulative(middle) < chance
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)


@dataclass(frozen=True)
class Reliability:
    """A calibration curve. accuracies: share of the truth inside the interval of each of
    `confidences`. error: the expected calibration error. Above the diagonal a model is too
    careful, below it too sure of itself."""

    confidences: tuple[float, ...]
    accuracies: tuple[float, ...]
    error: float

    @property
    def verdict(self) -> str:
        """What the curve says, in a word or two."""
        if self.error < CALIBRATED:
            return "calibrated"
        above = np.subtract(self.accuracies, self.confidences)
        if abs(above.mean()) > self.error / 2:
            return "intervals too wide" if above.mean() > 0 else "intervals too narrow"
        # The curve crosses the diagonal: what is too much on one side is missing on the other.
        if above[: len(above) // 2].mean() > 0:
            return "intervals too wide in the middle, too narrow outside"
        return "intervals too narrow in the middle, too wide outside"


def calibration(truth: NDArray[np.generic], predicted: Laplaces) -> Reliability:
    """The calibration of `predicted` against `truth` (one value a pixel, in the same scale).

    A value lies in the central interval of confidence c where |2 F(value) - 1| <= c, F being the
    mixture's cumulative distribution.
    """
    if truth.shape != predicted.means.shape[1:]:
        raise ImageError(
            f"the truth has shape {truth.shape}, the prediction {predicted.means.shape[1:]}: "
            "compare equal shapes"
        )
    if not np.isfinite(truth).all():
        raise ImageError("the truth has pixels that are NaN or infinite: replace them first")
    needed = predicted.confidence_to_reach(truth.astype(np.float64))
    accuracies = tuple(float(np.mean(needed <= confidence)) for confidence in CONFIDENCES)
    error = float(np.mean(np.abs(np.subtract(accuracies, CONFIDENCES))))
    return Reliability(CONFIDENCES, accuracies, error)


def fitted_spread(truth: NDArray[np.generic], predicted: Laplaces) -> float:
    """The factor for `Laplaces.spread` by which the intervals around the mean hold, on average over
    all confidences, as much of `truth` (one value a pixel, in the same scale) as they promise.

    Members whose errors cancel in the mean make a mixture too wide for it. As scaling by a
    temperature (Guo et al. 2017), one number is fitted to images held out: by bisection, from 1/64
    to 64, since wider intervals hold more.
    """
    middle = predicted.mean()
    distance = truth.astype(np.float64) - middle
    low, high = 1 / _WIDEST, _WIDEST
    for _ in range(_BISECTIONS):
        factor = np.sqrt(low * high)
        needed = predicted.confidence_to_reach(middle + distance / factor)
        low, high = (low, factor) if needed.mean() < 0.5 else (factor, high)
    return float(np.sqrt(low * high))


def laplaces_from_channels(pixels: NDArray[np.generic], channels: int) -> Laplaces:
    """The distributions in a model's output "members": (2 * M * channels, ...), a member after the
    other, each with the means and then the scales of its channels. Gives (M, channels, ...)."""
    check_member_channels(len(pixels), channels)
    members = pixels.astype(np.float64).reshape(-1, 2, channels, *pixels.shape[1:])
    return Laplaces(members[:, 0], members[:, 1])


def laplaces_of_image(pixels: NDArray[np.generic], channels: int) -> Laplaces:
    """The distributions in an image, as `restore --uncertainty members` writes it: (channels * 2 *
    M, ...), for each channel the mean and the scale of each member. Gives (M, channels, ...)."""
    check_member_channels(len(pixels), channels)
    members = pixels.astype(np.float64).reshape(channels, -1, 2, *pixels.shape[1:])
    means, scales = np.moveaxis(members, (2, 1), (0, 1))
    return Laplaces(means, scales)


def check_member_channels(count: int, channels: int) -> None:
    """Raise ImageError where `count` channels do not hold members of so many channels."""
    if channels < 1 or count % (2 * channels):
        raise ImageError(
            f"the prediction has {count} channels, expected a mean and a scale for each of "
            f"{channels} in every member: a multiple of {2 * channels}"
        )
