"""Images: what is read from and written to files, with its axes, calibration and display.

Names are resolved on first use; tifffile is loaded when a file is first read or written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.images.files import is_image_name, list_images, open_image, write_image
    from care_bridge.images.image import Calibration, Display, Image
    from care_bridge.images.pixels import cast_pixels

_HOMES = {
    "Calibration": "care_bridge.images.image",
    "Display": "care_bridge.images.image",
    "Image": "care_bridge.images.image",
    "cast_pixels": "care_bridge.images.pixels",
    "is_image_name": "care_bridge.images.files",
    "list_images": "care_bridge.images.files",
    "open_image": "care_bridge.images.files",
    "write_image": "care_bridge.images.files",
}

__all__ = [
    "Calibration",
    "Display",
    "Image",
    "cast_pixels",
    "is_image_name",
    "list_images",
    "open_image",
    "write_image",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'care_bridge.images' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
