"""OME-XML: calibration, channel names and colours, and description, read and written.

The attributes are those of the OME schema 2016-06, whose default units are µm and s.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from care_bridge.images.image import Calibration, Display, ImageInfo
from care_bridge.images.luts import brightest, lut_to
from care_bridge.images.units import convert_length, ome_length_unit, to_seconds

# Control characters that no XML document may hold (XML 1.0, section 2.2)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

_NO_COLOR = -1  # the schema's default: white


def read_ome(xml: str) -> tuple[Calibration, Display, tuple[str, ...]]:
    """Calibration, display and the description's lines of the first image of an OME-XML."""
    image = ElementTree.fromstring(xml).find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return Calibration(), Display(), ()
    channels = pixels.findall("{*}Channel")
    names = tuple(channel.get("Name", "") for channel in channels)
    colors = [int(channel.get("Color", _NO_COLOR)) for channel in channels]
    display = Display(
        luts=() if _NO_COLOR in colors else tuple(lut_to(_rgb(color)) for color in colors),
        channel_names=names if all(names) else (),
    )
    description = image.findtext("{*}Description", default="")
    return _read_calibration(pixels), display, tuple(description.splitlines())


def _read_calibration(pixels: ElementTree.Element) -> Calibration:
    unit = ""
    voxel_size = {}
    for letter in "XYZ":
        size = float(pixels.get(f"PhysicalSize{letter}", 0.0))
        own_unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")
        converted = convert_length(size, own_unit, unit := unit or own_unit)
        if size and converted:
            voxel_size[letter] = converted
    increment = float(pixels.get("TimeIncrement", 0.0))
    interval = to_seconds(increment, pixels.get("TimeIncrementUnit", "s"))
    return Calibration.from_file(voxel_size, unit, interval)


def write_ome(info: ImageInfo) -> dict[str, Any]:
    """What tifffile is to write into the OME-XML, without axes and the file's UUID.

    A voxel size whose unit OME does not know is left out. Of a lookup table, OME keeps only the
    colour of the brightest pixels.
    """
    calibration = info.calibration
    metadata: dict[str, Any] = {"Creator": "care_bridge"}
    unit = ome_length_unit(calibration.unit or "pixel")
    for letter, size in calibration.voxel_size.items():
        if unit is not None:
            metadata[f"PhysicalSize{letter}"] = size
            metadata[f"PhysicalSize{letter}Unit"] = unit
    if calibration.frame_interval:
        metadata["TimeIncrement"] = calibration.frame_interval
        metadata["TimeIncrementUnit"] = "s"
    channel: dict[str, list[Any]] = {}
    names, luts = info.display.channel_names, info.display.luts
    if not info.rgb and len(names) == info.sizes.get("C", 1):
        channel["Name"] = [_FORBIDDEN.sub("", name) for name in names]
    if not info.rgb and len(luts) == info.sizes.get("C", 1):
        channel["Color"] = [_color(brightest(lut)) for lut in luts]
    if channel:
        metadata["Channel"] = channel
    if info.history:
        metadata["Description"] = _FORBIDDEN.sub("", "\n".join(info.history))
    return metadata


def _rgb(color: int) -> bytes:
    """Red, green and blue of an OME colour (signed 32 bits: red, green, blue, alpha)."""
    return (color & 0xFFFFFFFF).to_bytes(4, "big")[:3]


def _color(rgb: bytes) -> int:
    """The opaque OME colour of red, green and blue."""
    return int.from_bytes(rgb + b"\xff", "big", signed=True)
