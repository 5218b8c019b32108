"""Is an image of the kind that a model was trained on?"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from care_bridge.images.image import Calibration
from care_bridge.images.units import convert_length
from care_bridge.package.spec import ModelSpec

CLEARLY_OTHER = 1.5
"""Pixels that are so many times larger or smaller than those of training are told of."""

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


def _trained_sizes(spec: ModelSpec) -> dict[str, tuple[float, float]]:
    """In micrometres by axis, lowest and highest; {} where the package does not say."""
    domain = spec.config.get("domain")
    told = domain.get("pixel_size") if isinstance(domain, Mapping) else None
    if not isinstance(told, Mapping) or told.get("unit") != "micrometer":
        return {}
    ranges = {axis: told.get(axis.lower()) for axis in "YXZ"}
    return {
        axis: (float(ends[0]), float(ends[1]))
        for axis, ends in ranges.items()
        if isinstance(ends, list) and len(ends) == 2 and all(_is_size(end) for end in ends)
    }


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and value > 0
