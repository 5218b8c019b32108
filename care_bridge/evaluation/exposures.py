"""The truth, taken again in little light: for figures against dose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from care_bridge.errors import ConfigError, ImageError
from care_bridge.evaluation.samples import Sample
from care_bridge.simulation.lowlight import dim_exposure

_HIGHEST_LEVEL = 1e9
_MOST_SATURATED = 0.001


def exposed(sample: Sample, photons: float, seed: int, black: float = 0.0) -> Sample:
    """The sample's truth with a simulated exposure of it as input (`lowlight.dim_exposure`).

    photons: in the average pixel of each channel, background included. black: the truth's grey
    level without light, a camera's offset. The same seed gives the same exposure, each channel has
    noise of its own. Raises ImageError for a truth below its black level, which is no light.
    """
    if photons <= 0:
        raise ConfigError(f"{photons:g} photons make no image: give more than 0")
    if not abs(black) <= _HIGHEST_LEVEL:
        raise ConfigError(f"the black level {black:g} is no grey level: give the truth's own")
    truth = sample.blocks["truth"]
    light = truth.astype(np.float64) - black
    if light.min() < 0:
        raise ImageError(
            f"{sample.name} has pixels of {truth.min():g}, below the black level {black:g}, which "
            "cannot be taken as light: give a lower --black"
        )
    channels = [
        dim_exposure(channel, photons, (seed, index)) for index, channel in enumerate(light)
    ]
    saturated = float(np.mean([channel == np.iinfo(channel.dtype).max for channel in channels]))
    if saturated > _MOST_SATURATED:
        raise ConfigError(
            f"{photons:g} photons in the average pixel saturate {100 * saturated:.2g} % of the "
            f"simulated camera's pixels of {sample.name}: give fewer"
        )
    return replace(sample, blocks={"truth": truth, "input": np.stack(channels)})
