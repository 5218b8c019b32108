"""Is an image of the kind that a model was trained on?"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.images.image import Calibration
from care_bridge.images.source import ImageSource
from care_bridge.images.units import convert_length
from care_bridge.noise import noise_of, noise_of_bright
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.spec import ModelSpec
from care_bridge.tiling import evenly, middle

CLEARLY_OTHER = 1.5
"""Pixels that are so many times larger or smaller than those of training are told of."""

_FAR = 3.0
"""Training deviations, by which the mean of an image may differ from that of training."""
_OTHER_DEVIATION = 4.0
# Times by which noise may differ from that of training: at the same light it differs by the scene.
_OTHER_NOISE = 4.0
_PLANES, _SAMPLED = 5, 1024
"""How many planes are looked at, and how many pixels of each along Y and X."""

log = logging.getLogger("care_bridge")


def warn_of_domain(spec: ModelSpec, calibration: Calibration) -> None:
    """Say so where an image's pixels are clearly not of a size that the model was trained on, as
    far as both the package (config.care_bridge.domain.pixel_size) and the image tell it."""
    for axis, (low, high) in _trained_sizes(spec).items():
        given = calibration.voxel_size.get(axis)
        size = convert_length(given, calibration.unit, "micron") if given else None
        if size is not None and not low / CLEARLY_OTHER <= size <= high * CLEARLY_OTHER:
            trained = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
            log.warning(
                "the image's pixels are %.4g micrometres along %s, the model %s was trained on "
                "%s: do not trust what it restores, rescale the image or use another model",
                size,
                axis,
                spec.name,
                trained,
            )
            return


def warn_of_intensities(spec: ModelSpec, source: ImageSource, channels: Sequence[int]) -> None:
    """Say so, in a line, where the grey levels of one of the `channels` (from 0) of an image are
    clearly not as those that the model was trained on: by the mean and deviation of the training
    images, where these scale every image, and by config.care_bridge.domain.noise.

    Only a sample of the image is read, and nothing where the package tells neither.
    """
    fixed = _trained_levels(spec)
    noise = _trained_noise(spec)
    if not fixed and not noise:
        return
    for number, channel in enumerate(channels):
        pixels = _sample(source, channel)
        known = pixels[np.isfinite(pixels)]
        if not known.size or not np.ptp(known):
            continue  # a blank image says nothing
        trained = fixed[number % len(fixed)] if fixed else None
        said = (_other_levels(known, trained) if trained else "") or (
            _other_noise(pixels, _span(spec, known, trained), noise) if noise else ""
        )
        if said:
            log.warning("%s", said.replace("MODEL", f"the model {spec.name}"))
            return


def _other_levels(pixels: NDArray[np.float64], trained: Scale) -> str:
    mean, deviation = float(pixels.mean()), float(pixels.std())
    far = abs(mean - trained.offset) > _FAR * trained.gain
    ratio = deviation / trained.gain
    if not far and 1 / _OTHER_DEVIATION <= ratio <= _OTHER_DEVIATION:
        return ""
    return (
        f"the image's grey levels have the mean {mean:.4g} and deviation {deviation:.4g}, those "
        f"that MODEL was trained on {trained.offset:.4g} and {trained.gain:.4g}, by which it "
        "scales all images: do not trust what it restores, give images taken as those of training, "
        "or use a model that scales each image by its own percentiles"
    )


def _span(spec: ModelSpec, known: NDArray[np.float64], trained: Scale | None) -> float:
    """The grey levels that the network takes as 1; 0 where the package says otherwise how it
    scales."""
    if trained:
        return trained.gain
    if not isinstance(spec.normalization, Percentiles):
        return 0.0
    low, high = np.percentile(known, (spec.normalization.low, spec.normalization.high))
    return float(high - low)


def _other_noise(pixels: NDArray[np.float64], span: float, trained: tuple[float, float]) -> str:
    """More noise is told by that of all pixels; images of noise alone reach 0.2 of their span, so
    nothing is told where training came near that. Less is told by that of the bright ones: between
    them it may be dark at any light."""
    lowest, highest = (span * end for end in trained)
    noise = noise_of(pixels)
    if span and noise > _OTHER_NOISE * highest:
        return (
            f"the image is {noise / highest:.2g} times as noisy as the noisiest that MODEL was "
            "trained on: do not trust what it restores, take the image in more light or use a "
            "model trained on such images"
        )
    bright = noise_of_bright(pixels)
    if 0 < bright < lowest / _OTHER_NOISE:
        return (
            f"the image has {lowest / bright:.2g} times less noise than the least noisy that MODEL "
            "was trained on: it may take detail away, compare the result with the image"
        )
    return ""


def _sample(source: ImageSource, channel: int) -> NDArray[np.float64]:
    """The middle of some planes of a channel, (planes, Y, X)."""
    samples, frames, _, slices, *sizes = source.info.canonical_shape
    planes = samples * frames * slices
    part = tuple(middle(size, _SAMPLED) for size in sizes)
    read = []
    for plane in evenly(planes, _PLANES):
        s, t, z = (int(each) for each in np.unravel_index(plane, (samples, frames, slices)))
        box = (slice(s, s + 1), slice(t, t + 1), slice(channel, channel + 1), slice(z, z + 1))
        read.append(source.read((*box, *part))[0, 0, 0, 0].astype(np.float64))
    return np.stack(read)


def _trained_levels(spec: ModelSpec) -> tuple[Scale, ...]:
    """Mean (offset) and standard deviation (gain) of the training images by channel; () where the
    package does not scale by them. Of others' packages a scale without an offset is none of these,
    but say the largest grey level."""
    if not isinstance(spec.normalization, FixedScale):
        return ()
    before = spec.normalization.before
    return before if spec.config or all(scale.offset for scale in before) else ()


def _trained_noise(spec: ModelSpec) -> tuple[float, float] | None:
    """The lowest and the highest, in the normalised range; None where the package does not tell it,
    or the network sees zoomed images."""
    domain = spec.config.get("domain")
    told = domain.get("noise") if isinstance(domain, Mapping) else None
    return None if spec.procedure.zoom else _ends(told)


def _trained_sizes(spec: ModelSpec) -> dict[str, tuple[float, float]]:
    """In micrometres by axis, lowest and highest; {} where the package does not say."""
    domain = spec.config.get("domain")
    told = domain.get("pixel_size") if isinstance(domain, Mapping) else None
    if not isinstance(told, Mapping) or told.get("unit") != "micrometer":
        return {}
    ranges = {axis: _ends(told.get(axis.lower())) for axis in "YXZ"}
    return {axis: ends for axis, ends in ranges.items() if ends}


def _ends(told: object) -> tuple[float, float] | None:
    """The ends of a range, if it is one of sizes."""
    if not isinstance(told, list) or [isinstance(end, int | float) for end in told] != [True] * 2:
        return None
    low, high = map(float, told)
    return (low, high) if 0 <= low <= high and 0 < high < math.inf else None
