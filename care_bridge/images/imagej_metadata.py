"""ImageJ's metadata: its description lines and IJMetadata, to and from calibration and display.

The keys are those that ImageJ 1.54p writes (FileSaver): unit, spacing, finterval, tunit, mode,
min, max in the description; Info, Labels, Ranges, LUTs beside it. The size of a pixel lies in the
TIFF's own resolution tags.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import by_letter
from care_bridge.errors import ImageError
from care_bridge.images.image import Calibration, Display, ImageInfo
from care_bridge.images.units import convert_length, to_seconds

_UNCALIBRATED = ("", "pixel", "pixels")
_METRIC = ("µm", "nm", "mm", "m", "pm")
# Pixels per unit are a quotient of two numbers of 32 bits.
_SMALLEST, _LARGEST = 1e-9, 1e9


def read_calibration(
    metadata: Mapping[str, Any], pixel_size: tuple[float, float], slices: int
) -> Calibration:
    """Calibration of an ImageJ file; pixel_size: (x, y) from the resolution tags."""
    unit = _unescape(str(metadata.get("unit", "")))
    unit = "µm" if unit in ("um", "μm") else unit
    x, y = pixel_size
    voxel_size = {"Y": y, "X": x}
    depth = abs(float(metadata.get("spacing", 1.0)))
    if "spacing" in metadata or slices > 1:
        zunit = _unescape(str(metadata.get("zunit", unit)))
        converted = convert_length(depth, zunit, unit)
        if converted:
            voxel_size = {"Z": converted} | voxel_size
    interval = to_seconds(
        float(metadata.get("finterval", 0.0)), _unescape(str(metadata.get("tunit", "sec")))
    )
    if unit in _UNCALIBRATED and all(size == 1 for size in voxel_size.values()):
        return Calibration(frame_interval=interval or None)
    return Calibration.from_file(voxel_size, unit, interval)


def read_display(
    metadata: Mapping[str, Any], colormap: NDArray[np.uint8] | None, channels: int, planes: int
) -> Display:
    """Display settings of an ImageJ file.

    colormap: the (256, 3) table of a file of one channel, which ImageJ keeps as the TIFF's own.
    planes: how many planes the file holds, one label each, channels fastest.
    """
    mode = str(metadata.get("mode", ""))
    if channels == 1:
        luts: tuple[NDArray[np.uint8], ...] = () if colormap is None else (colormap,)
        limits = [metadata[key] for key in ("min", "max") if key in metadata]
    else:
        tables = metadata.get("LUTs", [])
        tables = tables if isinstance(tables, list) else [tables]
        luts = tuple(np.ascontiguousarray(table.T) for table in tables[:channels])
        limits = list(np.ravel(metadata.get("Ranges", [])))
    pairs = zip(limits[0::2], limits[1::2], strict=False)
    ranges = tuple((float(low), float(high)) for low, high in pairs)[:channels]
    labels = metadata.get("Labels", [])
    labels = labels if isinstance(labels, list) else [labels]
    return Display(luts, ranges, _channel_names(labels, channels, planes), mode)


def read_history(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of the image's Info text."""
    return tuple(str(metadata.get("Info", "")).splitlines())


def write_metadata(info: ImageInfo, planes: int, channels: int) -> dict[str, Any]:
    """What tifffile is to write into an ImageJ file, without axes, resolution and colour map."""
    calibration, display = info.calibration, info.display
    # ImageJ shows several channels without a mode as unrelated grey planes
    metadata: dict[str, Any] = {"mode": (display.mode or "composite") if channels > 1 else ""}
    if calibration.unit:
        metadata["unit"] = _escape(calibration.unit)
    if "Z" in calibration.voxel_size:
        metadata["spacing"] = calibration.voxel_size["Z"]
    if calibration.frame_interval:
        metadata["finterval"] = calibration.frame_interval
    if info.history:
        metadata["Info"] = "\n".join(info.history)
    if info.rgb:
        return metadata
    if len(display.channel_names) == channels:
        metadata["Labels"] = list(display.channel_names) * (planes // channels)
    if len(display.ranges) == channels:
        if channels == 1:
            metadata["min"], metadata["max"] = display.ranges[0]
        else:
            # as an array: older versions of tifffile take each item of a list for a whole entry
            metadata["Ranges"] = np.ravel(display.ranges)
    if channels > 1 and len(display.luts) == channels:
        metadata["LUTs"] = [np.ascontiguousarray(table.T) for table in display.luts]
    return metadata


def storable_calibration(calibration: Calibration) -> Calibration:
    """The calibration in a unit in which TIFF's rational numbers hold the size of a pixel: its own
    where that will do. ImageError where no unit will."""
    for unit in (calibration.unit, *_METRIC):
        sizes = {
            axis: convert_length(size, calibration.unit, unit)
            for axis, size in calibration.voxel_size.items()
        }
        known = {axis: size for axis, size in sizes.items() if size is not None}
        if len(known) == len(sizes) and all(
            _SMALLEST <= known.get(axis, 1) <= _LARGEST for axis in "XY"
        ):
            return replace(calibration, voxel_size=known, unit=unit)
    raise ImageError(
        f"a voxel size of {by_letter(calibration.voxel_size)} {calibration.unit} cannot be stored "
        "in an ImageJ TIFF: correct the calibration, or write an OME-TIFF"
    )


def _channel_names(labels: list[str], channels: int, planes: int) -> tuple[str, ...]:
    """The planes' labels where they name channels: the same ones at each slice and frame."""
    names = labels[:channels]
    return tuple(names) if len(labels) == planes and labels == names * (planes // channels) else ()


def _escape(text: str) -> str:
    """Non-ASCII characters as ImageJ's description has them, by UTF-16 unit: \\u00B5m."""
    encoded = text.encode("utf-16-le")
    units = struct.unpack(f"<{len(encoded) // 2}H", encoded)
    return "".join(chr(unit) if unit < 128 else f"\\u{unit:04X}" for unit in units)


def _unescape(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), text)
