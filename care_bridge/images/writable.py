"""What none of the formats that are written can hold."""

from __future__ import annotations

from math import prod

from care_bridge.errors import ImageError
from care_bridge.images.image import ImageInfo
from care_bridge.images.pixels import PIXEL_TYPES


def check_writable(info: ImageInfo, file_format: str) -> None:
    """Raise ImageError for pixels or axes that neither TIFF nor OME-Zarr has a place for;
    `file_format` is the name of the one that is to be written."""
    if info.dtype.name not in PIXEL_TYPES:
        raise ImageError(
            f"pixels of type {info.dtype} cannot be written: make them {', '.join(PIXEL_TYPES)}"
        )
    if prod(info.shape) == 0:
        raise ImageError(f"an image without pixels (shape {info.shape}) cannot be written")
    if info.sizes.get("S", 1) > 1:
        raise ImageError(
            f"an image of axes {info.axes} cannot be written as {file_format}, which has no axis "
            "for samples: write each sample to a file of its own"
        )
