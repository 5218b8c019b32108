"""Microscope formats, read plane by plane through bioio and its plugins.

The extra "formats" brings plugins whose licenses are permissive: bioio-lif (Leica), bioio-nd2
(Nikon) and bioio-dv (DeltaVision). Any other plugin of bioio that is installed beside
them is used as well; Zeiss' bioio-czi is under the GPL, so whoever wants it installs it. Tested
is Leica's format, on files written by hand; there are none of the others to test with. The interval
between frames comes from those plugins that tell it (Nikon's).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.errors import ImageError, MissingExtraError
from care_bridge.images.foreign import foreign
from care_bridge.images.image import Calibration, Display, ImageInfo
from care_bridge.images.pixels import check_pixel_type, pixel_type, to_pixel_type
from care_bridge.images.source import Box, ImageSource
from care_bridge.images.tiff_axes import settle_axes
from care_bridge.images.units import convert_length
from care_bridge.images.zarr_metadata import LENGTHS

# What bioio would log is said by this module.
logging.getLogger("bioio").addHandler(logging.NullHandler())

# Readers that otherwise take a volume at a time
_BY_PLANE = {suffix: {"chunk_dims": ["Y", "X"]} for suffix in (".czi", ".lif")}
_MOSAIC = "M"
_NAMED_SCENES = 10
# SyntaxError is of the XML parser.
_RAISED = (AssertionError, AttributeError, OSError, SyntaxError, struct.error)


@contextmanager
def open_with_bioio(path: Path, axes: str | None) -> Iterator[ImageSource]:
    """Open the only image of a microscope's file; see `open_source`.

    ImageError where no plugin is installed that reads it, where it holds several images (scenes)
    or a mosaic that was not stitched; MissingExtraError without bioio.
    """
    try:
        bioio = import_module("bioio")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading {path.suffix} files", "formats") from error
    with _reading(path):
        image = _open(bioio, path)
        source = _source(image, path, axes)
    yield source


def _reading(path: Path) -> AbstractContextManager[None]:
    """Turn what bioio's plugins raise on damaged or unsupported files into ImageError."""
    return foreign(path, "by bioio", "save it as OME-TIFF (in Fiji: Bio-Formats)", _RAISED)


def _open(bioio: Any, path: Path) -> Any:
    suffix = path.suffix.lower()
    unsupported = import_module("bioio_base.exceptions").UnsupportedFileFormatError
    try:
        return bioio.BioImage(path, reconstruct_mosaic=False, **_BY_PLANE.get(suffix, {}))
    except unsupported as error:
        # its license, the GPL, keeps it out of the extra
        hint = "install bioio-czi or " if suffix == ".czi" else ""
        raise ImageError(
            f"{path} is read by no plugin of bioio that is installed, or is damaged: {hint}save it "
            "as OME-TIFF (in Fiji: Bio-Formats)"
        ) from error


def _source(image: Any, path: Path, given_axes: str | None) -> _BioioSource:
    reader = image.reader
    if len(reader.scenes) != 1:
        names = ", ".join(map(str, reader.scenes[:_NAMED_SCENES]))
        more = ", …" if len(reader.scenes) > _NAMED_SCENES else ""
        raise ImageError(
            f"{path} holds {len(reader.scenes)} images ({names}{more}), expected one: save the one "
            "to work on as a file of its own"
        )
    letters, shape = "".join(reader.dims.order), tuple(reader.dims.shape)
    sizes = dict(zip(letters, shape, strict=True))
    if sizes.get(_MOSAIC, 1) > 1:
        raise ImageError(
            f"{path} is a mosaic of {sizes[_MOSAIC]} tiles, expected one image: stitch it first, "
            "in the microscope's software or in Fiji"
        )
    pixels = reader.dask_data
    check_pixel_type(pixels.dtype, path)
    if prod(shape) == 0:
        raise ImageError(f"{path} holds an image without pixels (shape {shape})")
    axes, settled = settle_axes(letters, shape, given_axes, path)
    dtype = pixel_type(pixels.dtype)
    info = ImageInfo(
        axes,
        settled,
        dtype,
        _calibration(reader),
        Display(channel_names=_channel_names(reader)),
        rgb=sizes.get("S") == 3,
        container="ome",
    )
    return _BioioSource(pixels, info, path)


def _calibration(reader: Any) -> Calibration:
    """Sizes in µm, bioio's unit where its plugin names none."""
    sizes, properties = reader.physical_pixel_sizes, reader.dimension_properties
    voxel_size = {}
    for axis in "ZYX":
        unit = str(getattr(properties, axis).unit or "micrometer")
        size = convert_length(getattr(sizes, axis) or 0.0, LENGTHS.get(unit, unit), "µm")
        if size is not None:
            voxel_size[axis] = size
    interval = reader.time_interval
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else None
    return Calibration.from_file(voxel_size, "µm", seconds)


def _channel_names(reader: Any) -> tuple[str, ...]:
    names = tuple(map(str, reader.channel_names or ()))
    return names if all(names) else ()


class _BioioSource:
    """A lazy array (of dask) whose dimensions are `info.axes`, besides some of length 1."""

    def __init__(self, pixels: Any, info: ImageInfo, path: Path) -> None:
        self.info = info
        self._pixels = pixels
        self._path = path
        letters = iter([letter for letter, size in info.sizes.items() if size > 1])
        self._stored = [next(letters) if size > 1 else "" for size in pixels.shape]
        planes = dict(zip(self._stored, pixels.chunksize, strict=True))
        self.pieces = tuple(planes.get(axis, 1) for axis in CANONICAL)
        # a plane as it is read, and in its place among the others
        self.memory = 2 * prod(pixels.chunksize) * pixels.dtype.itemsize

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        bounds = dict(zip(CANONICAL, box, strict=True))
        index = tuple(bounds[letter] if letter else slice(0, 1) for letter in self._stored)
        shape = [bounds[letter].stop - bounds[letter].start for letter in self.info.axes]
        with _reading(self._path):
            stored = self._pixels[index].compute(scheduler="synchronous").reshape(shape)
        return to_pixel_type(self.info.axes.to(stored, CANONICAL), self._path)
