"""Writing TIFF files: ImageJ hyperstacks and OME-TIFF."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from care_bridge.axes import IMAGEJ
from care_bridge.errors import ImageError
from care_bridge.images.image import Image, ImageInfo
from care_bridge.images.imagej_metadata import write_metadata
from care_bridge.images.ome_metadata import write_ome
from care_bridge.images.pixels import PIXEL_TYPES
from care_bridge.images.source import ImageInMemory
from care_bridge.images.storage import Storage
from care_bridge.images.whole_file import whole_file

# Classic TIFF counts bytes in 32 bits; leave room for the tables.
_CLASSIC_BYTES = 2**32 - 2**25


@contextmanager
def create_tiff(
    info: ImageInfo, path: Path, storage: Storage, *, ome: bool
) -> Iterator[ImageInMemory]:
    """Create a TIFF file; see `create_image`."""
    sink = ImageInMemory.empty(info)
    with whole_file(path, overwrite=storage.overwrite) as partial:
        yield sink
        write_tiff(sink.image, partial, ome=ome)


def write_tiff(image: Image, path: Path, *, ome: bool) -> None:
    """Write an image as OME-TIFF or as ImageJ hyperstack, uncompressed.

    Above 4 GB, OME-TIFF becomes a BigTIFF, and an ImageJ hyperstack gets one page table for all
    its planes, as ImageJ writes it. A colour picture of other than 8 bits becomes three channels.
    Raises ImageError for pixels or axes that these formats cannot hold.
    """
    _check_writable(image)
    rgb = image.rgb and image.pixels.dtype == np.uint8
    image = image.replace(rgb=rgb)
    order = "TZYXC" if rgb else IMAGEJ
    pixels = image.axes.to(image.pixels, order)
    axes = order.replace("C", "S") if rgb else order
    if ome:
        _write_ome(image, pixels, axes, path)
    else:
        _write_imagej(image, pixels, axes, path)


def _check_writable(image: Image) -> None:
    if image.pixels.dtype.name not in PIXEL_TYPES:
        raise ImageError(
            f"pixels of type {image.pixels.dtype} cannot be written: "
            f"make them {', '.join(PIXEL_TYPES)}"
        )
    if image.pixels.size == 0:
        raise ImageError(f"an image without pixels (shape {image.pixels.shape}) cannot be written")
    if image.sizes.get("S", 1) > 1:
        raise ImageError(
            f"an image of axes {image.axes} cannot be written as TIFF, which has no axis for "
            "samples: write each sample to a file of its own"
        )
    if image.rgb and image.sizes.get("C") != 3:
        raise ImageError(f"a colour picture of axes {image.axes} needs 3 channels in C")


def _write_imagej(image: Image, pixels: NDArray[np.generic], axes: str, path: Path) -> None:
    channels = 1 if image.rgb else pixels.shape[IMAGEJ.index("C")]
    planes = channels * pixels.shape[0] * pixels.shape[1]
    luts = image.display.luts
    lut = luts[0] if channels == 1 and len(luts) == 1 and not image.rgb else None
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        photometric="rgb" if image.rgb else None,
        colormap=None if lut is None else lut.T.astype(np.uint16) * 257,
        resolution=_resolution(image),
        metadata={"axes": axes, **write_metadata(image, planes, channels)},
        truncate=pixels.nbytes > _CLASSIC_BYTES,
        software="",
    )


def _resolution(image: Image) -> tuple[float, float] | None:
    """Pixels per unit in x and y; None where the image does not say."""
    size = image.calibration.voxel_size
    if "X" not in size or "Y" not in size:
        return None
    return 1 / size["X"], 1 / size["Y"]


def _write_ome(image: Image, pixels: NDArray[np.generic], axes: str, path: Path) -> None:
    metadata = {"axes": axes, **write_ome(image)}
    tifffile.imwrite(
        path,
        pixels,
        ome=True,
        bigtiff=pixels.nbytes > _CLASSIC_BYTES,
        photometric="rgb" if image.rgb else "minisblack",
        metadata={**metadata, "UUID": str(_content_id(pixels, metadata))},
        software="",
    )


def _content_id(pixels: NDArray[np.generic], metadata: dict[str, Any]) -> uuid.UUID:
    """An id for the file that only its content decides, so that equal images give equal bytes."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    for plane in pixels.reshape(-1, *pixels.shape[2:]):
        digest.update(np.ascontiguousarray(plane).data)
    return uuid.UUID(bytes=digest.digest(), version=4)
