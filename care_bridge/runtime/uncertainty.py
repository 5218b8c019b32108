"""How sure a probabilistic model is of each pixel, as an image beside the restored one.

The model predicts a mixture of Laplace distributions (evaluation/reliability.py); means come back
to grey levels by gain and offset, scales by gain alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError
from care_bridge.evaluation.reliability import Laplaces
from care_bridge.images.image import Display, ImageInfo
from care_bridge.normalization import UNCHANGED, Scale
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.options import RestoreOptions

# Pixels whose distributions are computed with at a time.
_CHUNK = 1 << 15
_FLOAT = 4
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True)
class Uncertainty:
    """What is told of each pixel; made by `Uncertainty.of`.

    kind: "scale", the standard deviation; "interval", the ends of the central interval that holds
    the truth with probability `confidence`; "samples", so many random draws; "disagreement" of the
    members, in [0, 1]; or "members", the mean and the scale of each of so many distributions.
    spread: of these, as the package says (ModelSpec).
    """

    kind: str
    confidence: float
    samples: int
    members: int
    spread: float

    @classmethod
    def of(cls, spec: ModelSpec, options: RestoreOptions) -> Uncertainty | None:
        """What the options ask for, None where they do not. ConfigError where the model cannot."""
        kind = options.uncertainty
        if kind == "none":
            return None
        if not spec.member_count:
            raise ConfigError(
                f"uncertainty {kind} needs a probabilistic model, {spec.name} predicts no "
                "distributions: leave it out, or train one with --probabilistic"
            )
        if kind == "disagreement" and spec.member_count == 1:
            raise ConfigError(
                f"uncertainty disagreement needs an ensemble, {spec.name} has one member: use "
                "scale, interval or samples, or train with --members"
            )
        return cls(kind, options.confidence, options.samples, spec.member_count, spec.spread)

    @property
    def width(self) -> int:
        """Channels for each channel of the restored image."""
        widths = {"interval": 2, "samples": self.samples, "members": 2 * self.members}
        return widths.get(self.kind, 1)

    def info(self, result: ImageInfo, raw_channels: int) -> ImageInfo:
        """The image beside the restored one, `result`, which begins with `raw_channels` raw ones:
        float32, for each restored channel its `width` channels after each other."""
        sizes = result.sizes
        restored = sizes.get("C", 1) - raw_channels
        count = restored * self.width
        axes = result.axes if count == 1 or "C" in sizes else Axes("C" + result.axes)
        sizes = {**sizes, "C": count}
        words, told = self._words()
        before = result.display.channel_names[raw_channels:] or (
            [f"channel {number}" for number in range(1, restored + 1)] if restored > 1 else [""]
        )
        names = [f"{channel} {word}".strip() for channel in before for word in words]
        return result.replace(
            axes=axes,
            shape=tuple(sizes[axis] for axis in axes),
            dtype=np.dtype(np.float32),
            display=Display(channel_names=tuple(names), mode="grayscale"),
            rgb=False,
            history=(*result.history, f"beside the restored image: {told}"),
        )

    def bytes_per_pixel(self, spec: ModelSpec) -> int:
        """What a pixel of a tile costs in main memory besides the restored one."""
        return (2 * spec.member_count + self.width) * spec.channels_out * _FLOAT

    def values(
        self, members: NDArray[np.float32], scale: Scale, pixels: NDArray[np.uint64]
    ) -> NDArray[np.float32]:
        """What is told of the pixels of one channel, (width, …).

        members: their predicted means and scales (M, 2, …), normalised. scale: back to grey levels
        by `invert`. pixels: the number of each in the whole image (`pixel_numbers`), by which its
        random numbers are drawn: they are the same in every tile.
        """
        shape = members.shape[2:]
        flat, numbers = members.reshape(*members.shape[:2], -1), pixels.reshape(-1)
        told = np.empty((self.width, numbers.size), np.float32)
        for start in range(0, numbers.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            means, scales = np.moveaxis(flat[..., part].astype(np.float64), 1, 0)
            predicted = Laplaces(means, scales).spread(self.spread)
            told[:, part] = self._told(predicted, scale, numbers[part])
        return told.reshape(self.width, *shape)

    def of_certain(self, levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is told of pixels that go past the network with these grey levels, (width, …)."""
        told = np.zeros((self.width, *levels.shape), np.float32)
        if self.kind in ("interval", "samples"):
            told[...] = levels
        elif self.kind == "members":
            told[::2] = levels
        return told

    def refitted(self, fits: Sequence[Scale]) -> tuple[Scale, ...]:
        """How the image's channels follow restored channels that are inverted by these scales."""
        if self.kind == "disagreement":
            return (UNCHANGED,) * len(fits)
        moved = {"scale": [False], "members": [True, False] * self.members}
        return tuple(
            Scale(gain=fit.gain, offset=fit.offset if each else 0.0)
            for fit in fits
            for each in moved.get(self.kind, [True] * self.width)
        )

    def _told(
        self, predicted: Laplaces, scale: Scale, numbers: NDArray[np.uint64]
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], ...]:
        if self.kind == "scale":
            return predicted.standard_deviation()[None] * scale.gain
        if self.kind == "disagreement":
            return predicted.disagreement()[None]
        if self.kind == "interval":
            ends = predicted.interval(self.confidence)
            return tuple(end * scale.gain + scale.offset for end in ends)
        if self.kind == "members":
            means = predicted.means * scale.gain + scale.offset
            pairs = np.stack([means, predicted.scales * scale.gain], axis=1)
            return pairs.reshape(self.width, -1)
        return np.stack(
            [_draw(predicted, numbers, draw) * scale.gain + scale.offset for draw in self._draws()]
        )

    def _draws(self) -> range:
        return range(self.samples)

    def _words(self) -> tuple[list[str], str]:
        """What each channel is called, and what they are in a line."""
        if self.kind == "interval":
            share = f"{100 * self.confidence:g} %"
            told = f"lower and upper end of the interval that holds the truth with {share}"
            return [f"lower {share}", f"upper {share}"], f"{told}, in its grey levels"
        if self.kind == "samples":
            names = [f"sample {draw + 1}" for draw in self._draws()]
            return names, f"{self.samples} random draws from what the model predicts"
        if self.kind == "members":
            names = [
                f"member {number} {what}"
                for number in range(1, self.members + 1)
                for what in ("mean", "scale")
            ]
            return names, "mean and scale of each member's Laplace distribution"
        if self.kind == "scale":
            return ["standard deviation"], "standard deviation of each pixel, in its grey levels"
        return ["disagreement"], "disagreement of the model's members, from 0 to 1"


def pixel_numbers(place: Mapping[str, slice], sizes: Mapping[str, int]) -> NDArray[np.uint64]:
    """The number of each pixel (Z, Y, X) of a place in an image of these sizes, counted along X
    first, then along Y, Z, C, T and S; the place is one pixel long along S, T and C."""
    number = np.zeros((), np.uint64)
    for axis in "STCZYX":
        span = place[axis]
        along = np.arange(span.start, span.stop, dtype=np.uint64)
        number = number[..., None] * np.uint64(sizes.get(axis, 1)) + along
    numbers: NDArray[np.uint64] = number[0, 0, 0]
    return numbers


def _draw(predicted: Laplaces, numbers: NDArray[np.uint64], draw: int) -> NDArray[np.float64]:
    """A draw from each pixel's mixture: one of its members, and a quantile of that."""
    which, chance = (_uniform(numbers, 2 * draw + part) for part in range(2))
    member = (which * predicted.members).astype(np.intp)[None]
    tail = np.abs(chance - 0.5)
    quantile = np.sign(chance - 0.5) * -np.log(1 - 2 * tail)
    means, scales = (
        np.take_along_axis(part, member, axis=0)[0] for part in (predicted.means, predicted.scales)
    )
    drawn: NDArray[np.float64] = means + scales * quantile
    return drawn


def _uniform(numbers: NDArray[np.uint64], stream: int) -> NDArray[np.float64]:
    """Random numbers in (0, 1), each a function of a pixel's number and the stream alone.

    SplitMix64 (Steele et al. 2014), whose n-th number needs none before it: the stream's numbers
    seed it, the pixel's counts.
    """
    first = np.uint64((stream + 1) * _MULTIPLIERS[0] % 2**64)
    mixed = _mixed(first + np.zeros(1, np.uint64)) + (numbers + np.uint64(1)) * np.uint64(_GOLDEN)
    mixed = _mixed(mixed)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, factor in zip((30, 27), _MULTIPLIERS, strict=True):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed
