"""OME-XML: calibration, channel names and description, read and written.

The attributes are those of the OME schema 2016-06, whose default units are µm and s.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from care_bridge.images.image import Calibration, Display, Image
from care_bridge.images.units import convert_length, ome_length_unit, to_seconds

# Control characters that no XML document may hold (XML 1.0, section 2.2)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def read_ome(xml: str) -> tuple[Calibration, Display, tuple[str, ...]]:
    """Calibration, channel names and the description's lines of the first image of an OME-XML."""
    image = ElementTree.fromstring(xml).find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return Calibration(), Display(), ()
    names = tuple(channel.get("Name", "") for channel in pixels.findall("{*}Channel"))
    display = Display(channel_names=names if all(names) else ())
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
    return Calibration(voxel_size, unit if voxel_size else "", interval or None)


def write_ome(image: Image) -> dict[str, Any]:
    """What tifffile is to write into the OME-XML, without axes and the file's UUID.

    A voxel size whose unit OME does not know is left out.
    """
    calibration = image.calibration
    metadata: dict[str, Any] = {"Creator": "care_bridge"}
    unit = ome_length_unit(calibration.unit or "pixel")
    for letter, size in calibration.voxel_size.items():
        if unit is not None:
            metadata[f"PhysicalSize{letter}"] = size
            metadata[f"PhysicalSize{letter}Unit"] = unit
    if calibration.frame_interval:
        metadata["TimeIncrement"] = calibration.frame_interval
        metadata["TimeIncrementUnit"] = "s"
    names = image.display.channel_names
    if not image.rgb and len(names) == image.sizes.get("C", 1):
        metadata["Channel"] = {"Name": [_FORBIDDEN.sub("", name) for name in names]}
    if image.history:
        metadata["Description"] = _FORBIDDEN.sub("", "\n".join(image.history))
    return metadata
