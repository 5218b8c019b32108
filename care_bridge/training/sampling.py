"""Pairs whose target is sampled more finely than the source."""

from __future__ import annotations

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.images.image import ImageInfo
from care_bridge.training.config import TrainConfig
from care_bridge.training.layouts.fields import Field
from care_bridge.training.views import open_view

_EQUAL = 0.01


def with_zoom(config: TrainConfig, field: Field, axes: str) -> TrainConfig:
    """The configuration of the task "upsampling" with the factors that it leaves open, by the voxel
    sizes of a field's images, or by their pixels along Y and X where the files do not tell. Others
    stay.

    axes: the network's. TrainingError where no axis is finer in the target, ConfigError where it is
    none of the network's.
    """
    if config.task != "upsampling" or field.target is None:
        return config
    factors = config.upsampling.zoom
    if not factors:
        with open_view(field.sources[0]) as source, open_view(field.target) as target:
            factors = _factors(source.info, target.info)
    if not factors:
        raise TrainingError(
            f"the target {field.target.path} is not sampled more finely than its source: set "
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


def _factors(source: ImageInfo, target: ImageInfo) -> dict[str, float]:
    coarse, fine = source.calibration.voxel_size, target.calibration.voxel_size
    ratios = {}
    for axis in Axes("ZYX"):
        if axis in coarse and axis in fine:
            ratios[axis] = coarse[axis] / fine[axis]
        elif axis != "Z":
            ratios[axis] = target.sizes[axis] / source.sizes[axis]
    return {axis: ratio for axis, ratio in ratios.items() if ratio > 1 + _EQUAL}
