"""Pairs whose target is sampled more finely than the source."""

from __future__ import annotations

from collections.abc import Mapping

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.images import open_source
from care_bridge.images.image import Image, ImageInfo
from care_bridge.resampling import zoomed
from care_bridge.training.config import TrainConfig
from care_bridge.training.pairs import Pair

_EQUAL = 0.01


def with_zoom(config: TrainConfig, pair: Pair, axes: str) -> TrainConfig:
    """The configuration of the task "upsampling" with the factors that it leaves open, by the voxel
    sizes of a pair, or by its pixels along Y and X where the files do not tell. Others stay.

    axes: the network's. TrainingError where no axis is finer in the target, ConfigError where it is
    none of the network's.
    """
    if config.task != "upsampling":
        return config
    factors = config.upsampling.zoom
    if not factors:
        with (
            open_source(pair.source, config.data.axes) as source,
            open_source(pair.target, config.data.axes) as target,
        ):
            factors = _factors(source.info, target.info)
    if not factors:
        raise TrainingError(
            f"the target {pair.target} is not sampled more finely than its source: set "
            "upsampling.z, upsampling.y or upsampling.x, or use the task care"
        )
    for axis in factors:
        if axis not in axes:
            raise ConfigError(
                f"the targets are finer along {axis}, the network has the axes {axes}: set "
                "network.axes=ZYX"
            )
    given = {axis.lower(): factor for axis, factor in factors.items()}
    changed: dict[str, object] = {"upsampling": config.upsampling.model_copy(update=given)}
    if factors.get("Y", 1) != factors.get("X", 1) and config.patches.augment is True:
        # Turned by a quarter, the coarser axis would be the other one.
        changed["patches"] = config.patches.model_copy(update={"augment": "flips"})
    return config.model_copy(update=changed)


def zoomed_image(image: Image, factors: Mapping[str, float]) -> Image:
    """`image` zoomed as restoring does it, as float32; itself where there are no factors."""
    if not factors:
        return image
    pixels = zoomed(image.pixels.astype("float32"), image.axes, factors)
    return image.replace(pixels=pixels.astype("float32", copy=False))


def cut_to(image: Image, other: Image, factors: Mapping[str, float]) -> Image:
    """`image` without the pixels at its far ends that are beyond `other`, a zoomed one: fewer than
    a factor of them along each axis. Itself where it has no such surplus."""
    sizes = other.sizes
    kept = []
    for axis, size in image.sizes.items():
        surplus = size - sizes.get(axis, size)
        fits = axis in factors and 0 < surplus < factors[axis]
        kept.append(slice(0, size - surplus if fits else size))
    return image.replace(pixels=image.pixels[tuple(kept)])


def _factors(source: ImageInfo, target: ImageInfo) -> dict[str, float]:
    coarse, fine = source.calibration.voxel_size, target.calibration.voxel_size
    ratios = {}
    for axis in Axes("ZYX"):
        if axis in coarse and axis in fine:
            ratios[axis] = coarse[axis] / fine[axis]
        elif axis != "Z":
            ratios[axis] = target.sizes[axis] / source.sizes[axis]
    return {axis: ratio for axis, ratio in ratios.items() if ratio > 1 + _EQUAL}
