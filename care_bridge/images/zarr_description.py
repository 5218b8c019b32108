"""Writing OME-Zarr's metadata (versions 0.4 and 0.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_bridge.images.image import Calibration, ImageInfo
from care_bridge.images.luts import brightest
from care_bridge.images.units import ome_length_unit
from care_bridge.images.zarr_metadata import HISTORY_KEY, LENGTHS, MODELS

_KINDS = {"T": "time", "C": "channel"}
_UDUNITS = {short: long for long, short in LENGTHS.items()}
# ImageJ's colours for channels that have none
_COLORS = ("FF0000", "00FF00", "0000FF", "FFFFFF", "00FFFF", "FF00FF", "FFFF00")


def attributes(
    info: ImageInfo,
    name: str,
    version: str,
    factors: Sequence[dict[str, int]],
    ranges: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    """The attributes of the group that holds an image.

    info: of the image, with its axes in the order stored. factors: for the full image and each
    smaller copy, paths "0", "1" and so on, how many of the full image's voxels one of its voxels
    covers, by axis. ranges: grey levels to be shown, one pair a channel; none where not known yet.
    """
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": [_axis(letter, info.calibration) for letter in info.axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transformations(info, factor)}
            for level, factor in enumerate(factors)
        ],
    }
    if len(factors) > 1:
        multiscale["type"] = "mean"
    ome: dict[str, Any] = {"multiscales": [multiscale]}
    if ranges:
        ome["omero"] = _omero(info, ranges)
    own: dict[str, Any] = {"history": list(info.history)} if info.history else {}
    if info.rgb:
        own["rgb"] = True
    described: dict[str, Any] = {HISTORY_KEY: own} if own else {}
    if version == "0.4":
        multiscale["version"] = version
        return described | ome
    return described | {"ome": {"version": version} | ome}


def _axis(letter: str, calibration: Calibration) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _KINDS.get(letter, "space")}
    if letter in calibration.voxel_size:
        unit = _UDUNITS.get(ome_length_unit(calibration.unit) or "")
    else:
        unit = "second" if letter == "T" and calibration.frame_interval else None
    return axis | ({"unit": unit} if unit else {})


def _transformations(info: ImageInfo, factors: dict[str, int]) -> list[dict[str, Any]]:
    """Where voxels lie: the centre of a larger one is half a voxel less half a small one on."""
    scales = info.calibration.voxel_size | {"T": info.calibration.frame_interval or 1.0}
    sizes = [scales.get(letter, 1.0) for letter in info.axes]
    steps = [factors.get(letter, 1) for letter in info.axes]
    scale = [size * step for size, step in zip(sizes, steps, strict=True)]
    shift = [size * (step - 1) / 2 for size, step in zip(sizes, steps, strict=True)]
    described: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(shift):
        described.append({"type": "translation", "translation": shift})
    return described


def _omero(info: ImageInfo, ranges: Sequence[tuple[float, float]]) -> dict[str, Any]:
    names, luts = info.display.channel_names, info.display.luts
    colors = _COLORS if len(ranges) > 1 else ("FFFFFF",)
    channels = []
    for number, (low, high) in enumerate(ranges):
        if info.dtype.kind == "u":
            least, most = 0.0, float(np.iinfo(info.dtype).max)
        else:
            least, most = low, high
        color = colors[number % len(colors)]
        if len(luts) == len(ranges):
            color = brightest(luts[number]).hex().upper()
        channel = {
            "active": True,
            "color": color,
            "window": {"min": least, "max": most, "start": low, "end": high},
        }
        if len(names) == len(ranges):
            channel["label"] = names[number]
        channels.append(channel)
    models = {mode: model for model, mode in MODELS.items()}
    middle = math.floor(info.sizes.get("Z", 1) / 2)
    model = models.get(info.display.mode, "color")
    return {"channels": channels, "rdefs": {"defaultT": 0, "defaultZ": middle, "model": model}}
