"""The configuration of what a network is shown: how images are scaled, cut and masked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from care_bridge.training.section import Odd, Section

Percent = Annotated[float, Field(ge=0, le=100)]


class NormalizationConfig(Section):
    """How grey levels are scaled.

    mode: "percentile" (each image by its own percentiles) or "fixed" (mean and standard deviation
    of the whole training set, in and out). low, high: the percentiles of prediction and
    validation. train_low, train_high: the ranges from which each training patch draws its own
    percentiles. target: whose percentiles scale the target in the percentile mode, its "own" (as
    in the CARE paper) or those of its "source". Noise widens a source's percentiles, so with
    "own" the network must guess each image's true contrast; with "source" it need not, which is
    better where both were taken with one exposure and gain (simulated pairs, averaged frames).
    eps: in grey levels, added to the span.
    """

    mode: Literal["percentile", "fixed"] = "percentile"
    low: Percent = 2.0
    high: Percent = 99.8
    train_low: tuple[Percent, Percent] = (1.0, 3.0)
    train_high: tuple[Percent, Percent] = (99.5, 99.9)
    target: Literal["own", "source"] = "own"
    eps: Annotated[float, Field(gt=0)] = 1e-6

    @property
    def contrast_is_guessed(self) -> bool:
        """Must the network guess each target's contrast?"""
        return self.mode == "percentile" and self.target == "own"

    @model_validator(mode="after")
    def _ordered(self) -> NormalizationConfig:
        low, high = self.train_low, self.train_high
        if not low[0] <= low[1] < high[0] <= high[1] or not self.low < self.high:
            raise ValueError("the lower percentiles must lie below the upper ones, smallest first")
        return self


class PatchConfig(Section):
    """What the network is shown.

    size: pixels along [Z,] Y, X, multiples of 2**network.depth; None: by task and axes. Where a
    network projects, Y, X: stacks are never cut along Z.
    background: patches are kept where the brightest target pixel around their centre exceeds this
    share of the way from black to the target's 99.9th percentile (patches.Foreground); 0 keeps all
    that is not black. augment: flips and quarter turns in the YX plane, or "flips" alone.
    validation_batches: batches that validation looks at.
    """

    size: tuple[Annotated[int, Field(gt=0)], ...] | None = None
    background: Annotated[float, Field(ge=0, lt=1)] = 0.4
    augment: bool | Literal["flips"] = True
    validation_batches: Annotated[int, Field(gt=0)] = 8


class BlindSpotConfig(Section):
    """What is hidden from a network that learns from noisy images alone (masking.py).

    masked_percentage: of the pixels of each channel of a patch, in percent. radius: pixels around
    a masked one among which its replacement is found. axis, span: along which the noise is
    correlated, and over how many pixels in all, the masked one in the middle; structn2v only.
    """

    masked_percentage: Annotated[float, Field(gt=0, le=10)] = 1.5
    radius: Annotated[int, Field(ge=1)] = 5
    axis: Literal["X", "Y", "Z"] = "X"
    span: Annotated[Odd, Field(ge=3)] = 5
