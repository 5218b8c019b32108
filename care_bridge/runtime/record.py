"""What is recorded in an image of how it was restored."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import care_bridge
from care_bridge.package.spec import ModelSpec
from care_bridge.package.steps import Operations
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.scaling import ImageScales

_RANGES_RECORDED = 8


def record_line(spec: ModelSpec, options: RestoreOptions, scales: ImageScales) -> str:
    """A line for the image's history: which model, and what was done to the grey levels."""
    if isinstance(spec.normalization, Operations):
        ranges = ["as the package says"]
    else:
        ranges = _told(scales.levels)
    more = f" and {len(ranges) - _RANGES_RECORDED} more" if len(ranges) > _RANGES_RECORDED else ""
    kind = "" if options.range == "input" else f" in the range {options.range}"
    if options.range == "full":
        kind += f" (0..{np.iinfo(scales.dtype).max} for {', '.join(_told(scales.ends))})"
    # That of a rescaled one is decided, and recorded, when it is fitted.
    result = "" if options.rescale_to else f", result {scales.dtype}{kind}"
    precision = "" if options.precision == "float32" else f", precision {options.precision}"
    return (
        f"care_bridge {care_bridge.__version__}: {spec.name} {spec.version} "
        f"(rdf sha256 {spec.rdf_sha256[:16]}), grey levels taken as 0..1: "
        f"{', '.join(ranges[:_RANGES_RECORDED])}{more}{result}{precision}"
    )


def _told(ranges: Iterable[tuple[float, float]]) -> list[str]:
    return [f"{low:.6g}..{high:.6g}" for low, high in ranges]
