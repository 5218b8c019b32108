"""Images: what is read from and written to files, with its axes, calibration and display.

Names are resolved on first use; tifffile is loaded when a file is first read or written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.images.files import (
        create_image,
        is_image,
        is_image_name,
        list_images,
        open_image,
        open_source,
        sink_memory,
        write_image,
    )
    from care_bridge.images.image import Calibration, Display, Image, ImageInfo
    from care_bridge.images.pixels import cast_pixels
    from care_bridge.images.storage import Storage

_HOMES = {
    "Calibration": "care_bridge.images.image",
    "Display": "care_bridge.images.image",
    "Image": "care_bridge.images.image",
    "ImageInfo": "care_bridge.images.image",
    "Storage": "care_bridge.images.storage",
    "cast_pixels": "care_bridge.images.pixels",
    "create_image": "care_bridge.images.files",
    "is_image": "care_bridge.images.files",
    "is_image_name": "care_bridge.images.files",
    "list_images": "care_bridge.images.files",
    "open_image": "care_bridge.images.files",
    "open_source": "care_bridge.images.files",
    "sink_memory": "care_bridge.images.files",
    "write_image": "care_bridge.images.files",
}

__all__ = [
    "Calibration",
    "Display",
    "Image",
    "ImageInfo",
    "Storage",
    "cast_pixels",
    "create_image",
    "is_image",
    "is_image_name",
    "list_images",
    "open_image",
    "open_source",
    "sink_memory",
    "write_image",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'care_bridge.images' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
