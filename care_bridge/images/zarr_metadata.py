"""Reading OME-Zarr's metadata (versions 0.4 and 0.5): axes, calibration, display, history.

A translation (where an image lies in its specimen) is not kept: images here have no origin.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError
from care_bridge.images.image import Calibration, Display
from care_bridge.images.luts import lut_to
from care_bridge.images.units import convert_length, to_seconds

HISTORY_KEY = "care_bridge"
MODELS = {"color": "composite", "greyscale": "grayscale"}
"""ImageJ's display mode by OME's rendering model."""

# The UDUNITS names that OME-Zarr asks for, in OME's spelling
LENGTHS = {
    "picometer": "pm",
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
}
_TIMES = {
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}
_HEX = re.compile("[0-9A-Fa-f]{6}")
_UNNAMED = "Q"  # what tiff_axes.settle_axes takes for a dimension that nobody named


@dataclass(frozen=True)
class Multiscale:
    """What a group's metadata say of its image.

    array: the path of the highest resolution in the group. letters: one for each of its
    dimensions, Q where it is none of T, C, Z, Y, X.
    """

    array: str
    letters: str
    calibration: Calibration
    display: Display
    rgb: bool
    history: tuple[str, ...]


def read_multiscale(attributes: Mapping[str, Any], name: object) -> Multiscale | None:
    """The image of a group with these attributes; None where they tell of none.

    ImageError for plates, wells, labels and several images, saying what to open in their place;
    what is malformed raises as Python does (KeyError, TypeError, ValueError). `name` is the
    group's in messages.
    """
    ome = attributes.get("ome", attributes)
    _refuse_others(ome, name)
    if "multiscales" not in ome:
        return None
    multiscales = ome["multiscales"]
    if len(multiscales) != 1:
        raise ImageError(
            f"{name} holds {len(multiscales)} images, expected one: give the folder of the array "
            f"to work on with its axes, e.g. {name}/0 and axes=ZYX"
        )
    axes, datasets = multiscales[0].get("axes"), multiscales[0].get("datasets")
    if not (datasets and axes and all(isinstance(axis, dict) for axis in axes)):
        version = ome.get("version", multiscales[0].get("version", "unknown"))
        raise ImageError(
            f"{name} has OME-Zarr metadata (version {version}) that do not describe its axes as "
            "0.4 and 0.5 do: write it anew"
        )
    letters = "".join(map(_letter, axes))
    scale = _scale(datasets[0], len(axes)) * _scale(multiscales[0], len(axes))
    own = attributes.get(HISTORY_KEY, {})
    return Multiscale(
        array=datasets[0]["path"],
        letters=letters,
        calibration=_calibration(letters, axes, scale.tolist()),
        display=_display(ome.get("omero", {})),
        rgb=bool(own.get("rgb", False)),
        history=tuple(map(str, own.get("history", ()))),
    )


def _refuse_others(ome: Mapping[str, Any], name: object) -> None:
    if "plate" in ome:
        well = ome["plate"]["wells"][0]["path"]
        raise ImageError(
            f"{name} is a plate of {len(ome['plate']['wells'])} wells, expected one image: give "
            f"the folder of a field, e.g. {name}/{well}/0"
        )
    if "well" in ome:
        fields = [field["path"] for field in ome["well"]["images"]]
        raise ImageError(
            f"{name} is a well of {len(fields)} fields, expected one image: give the folder of a "
            f"field, e.g. {name}/{fields[0]}"
        )
    if "image-label" in ome or "labels" in ome:
        raise ImageError(
            f"{name} holds labels, whose numbers are no intensities: give the folder of the image "
            "that they belong to"
        )


def _letter(axis: Mapping[str, Any]) -> str:
    kind, name = axis.get("type", ""), axis["name"].upper()
    letter = {"time": "T", "channel": "C"}.get(kind, name)
    return letter if letter in ("T", "C", "Z", "Y", "X") else _UNNAMED


def _scale(described: Mapping[str, Any], dimensions: int) -> NDArray[np.float64]:
    """The product of the scales among a dataset's or multiscale's coordinateTransformations."""
    scale = np.ones(dimensions)
    for transformation in described.get("coordinateTransformations", ()):
        if transformation["type"] == "scale":
            scale *= np.array(transformation["scale"], np.float64)
    return scale


def _calibration(
    letters: str, axes: Sequence[Mapping[str, Any]], scale: Sequence[float]
) -> Calibration:
    """Sizes in the unit of the last axis that has one; a time without a unit is not known."""
    by_letter = dict(zip(letters, zip(axes, scale, strict=True), strict=True))
    units = {
        letter: LENGTHS.get(axis.get("unit", ""), axis.get("unit", ""))
        for letter, (axis, _) in by_letter.items()
    }
    space = [letter for letter in "ZYX" if letter in by_letter]
    unit = next((units[letter] for letter in reversed(space) if units[letter]), "")
    voxel_size = {}
    for letter in space:
        size = convert_length(by_letter[letter][1], units[letter] or unit, unit)
        if size is not None:
            voxel_size[letter] = size
    if not unit and all(size == 1 for size in voxel_size.values()):
        voxel_size = {}
    interval = None
    if "T" in by_letter:
        axis, seconds = by_letter["T"]
        interval = to_seconds(seconds, _TIMES.get(axis.get("unit", ""), ""))
    return Calibration.from_file(voxel_size, unit, interval)


def _display(omero: Mapping[str, Any]) -> Display:
    channels = omero.get("channels", [])
    names = tuple(str(channel.get("label", "")) for channel in channels)
    colors = [str(channel.get("color", "")).lstrip("#") for channel in channels]
    windows = [channel.get("window", {}) for channel in channels]
    ranges = tuple(
        (float(window["start"]), float(window["end"]))
        for window in windows
        if {"start", "end"} <= window.keys()
    )
    model = omero.get("rdefs", {}).get("model", "")
    return Display(
        luts=tuple(lut_to(bytes.fromhex(color)) for color in colors)
        if all(map(_HEX.fullmatch, colors))
        else (),
        ranges=ranges if len(ranges) == len(channels) and _finite(ranges) else (),
        channel_names=names if all(names) else (),
        mode=MODELS.get(model, "") if len(channels) > 1 else "",
    )


def _finite(ranges: Sequence[tuple[float, float]]) -> bool:
    return all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in ranges)
