"""What the runtime does around a network, as a package's config.care_bridge.procedure says it.

Other consumers of packages know nothing of it: for them the network is a model by itself, and the
model card says what is to be done around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from care_bridge.package.refusal import RefusedError

PLANES = ("zx", "zy")
COMBINATIONS = ("arithmetic", "geometric")
_LARGEST_ZOOM = 100.0
MOST_PIXELS = 1 << 15
"""Of a step, halo or tile along an axis: no memory would hold larger tiles."""

_KEYS = ("zoom", "interpolation", "planes", "combination", "tile", "blend")


@dataclass(frozen=True)
class Procedure:
    """zoom: by axis (Z, Y, X) how many pixels become of one, by linear interpolation, before the
    network (see `care_bridge.resampling`). combination: "" for a network that sees images as they
    are. Else a 2D network restores volumes: the planes Z x X (its axes Y and X) and the planes
    Z x Y each by themselves, and the result is the "arithmetic" or "geometric" mean of both, in
    the normalised range and with negative numbers taken as 0 in the latter. tile, blend: by axis,
    for a network whose output depends on the whole of what it sees: images are cut into tiles of
    this many pixels, which pass into each other over `blend` pixels; {}: tiles are free.
    """

    zoom: Mapping[str, float] = field(default_factory=dict)
    combination: str = ""
    tile: Mapping[str, int] = field(default_factory=dict)
    blend: Mapping[str, int] = field(default_factory=dict)


def procedure_content(procedure: Procedure) -> dict[str, object]:
    """What stands in the RDF, {} where nothing is done."""
    content: dict[str, object] = {}
    if procedure.zoom:
        content["zoom"] = {axis.lower(): factor for axis, factor in procedure.zoom.items()}
        content["interpolation"] = "linear"
    if procedure.combination:
        content["planes"] = list(PLANES)
        content["combination"] = procedure.combination
    if procedure.tile:
        content["tile"] = {axis.lower(): pixels for axis, pixels in procedure.tile.items()}
        content["blend"] = {axis.lower(): pixels for axis, pixels in procedure.blend.items()}
    return {"procedure": content} if content else {}


def procedure_of(config: Mapping[str, Any], spatial_axes: str) -> Procedure:
    """The procedure that config.care_bridge asks for around a network with these axes ("YX" or
    "ZYX"). RefusedError where it is none that care_bridge runs."""
    given = config.get("procedure", {})
    if not isinstance(given, dict) or not set(given) <= {*_KEYS}:
        raise RefusedError(
            f"its config.care_bridge.procedure has other keys than {', '.join(_KEYS)}: it was made "
            "by a newer version of care_bridge, update care_bridge"
        )
    combination = given.get("combination", "")
    if combination:
        known = combination in COMBINATIONS and given.get("planes") == list(PLANES)
        if not known or spatial_axes != "YX":
            raise RefusedError(
                f"it asks for the {combination} mean of the planes {given.get('planes')}, "
                f"care_bridge runs 2D models on {list(PLANES)} with one of "
                f"{', '.join(COMBINATIONS)}"
            )
    axes = "ZYX" if combination else spatial_axes
    return Procedure(_zoom(given, axes), str(combination), *_tile_and_blend(given, spatial_axes))


def _tile_and_blend(given: Mapping[str, Any], axes: str) -> tuple[dict[str, int], dict[str, int]]:
    tile, blend = given.get("tile", {}), given.get("blend", {})
    if not tile and not blend:
        return {}, {}
    names = {axis.lower() for axis in axes}
    if (
        not isinstance(tile, dict)
        or not isinstance(blend, dict)
        or set(tile) != names
        or set(blend) != names
        or not all(type(pixels) is int for pixels in (*tile.values(), *blend.values()))
        or not all(0 <= 2 * blend[name] <= tile[name] <= MOST_PIXELS for name in names)
        or not all(tile.values())
    ):
        raise RefusedError(
            f"its config.care_bridge.procedure asks for tiles {tile} blended over {blend}, "
            f"care_bridge runs tiles along {', '.join(sorted(names))} with at most half of each "
            "blended"
        )
    return {axis: tile[axis.lower()] for axis in axes}, {axis: blend[axis.lower()] for axis in axes}


def _zoom(given: Mapping[str, Any], axes: str) -> dict[str, float]:
    zoom = given.get("zoom", {})
    names = {axis.lower() for axis in axes}
    if (
        not isinstance(zoom, dict)
        or not set(zoom) <= names
        or (zoom and given.get("interpolation") != "linear")
        or not all(
            type(factor) in (int, float) and 1 <= factor <= _LARGEST_ZOOM
            for factor in zoom.values()
        )
    ):
        raise RefusedError(
            f"its config.care_bridge.procedure.zoom is {zoom}, care_bridge runs factors of 1 to "
            f"{_LARGEST_ZOOM:g} along {', '.join(sorted(names))} by linear interpolation"
        )
    return {axis: float(zoom[axis.lower()]) for axis in axes if axis.lower() in zoom}
