"""What surrounds the pixels of a TIFF file that is written: its tables and metadata."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import tifffile

from care_bridge.axes import IMAGEJ
from care_bridge.errors import ImageError
from care_bridge.images.image import ImageInfo
from care_bridge.images.imagej_metadata import storable_calibration, write_metadata
from care_bridge.images.ome_metadata import write_ome
from care_bridge.images.writable import check_writable

# Classic TIFF counts bytes in 32 bits; a page's tables and metadata take less than a kilobyte.
_CLASSIC_BYTES = 2**32 - 2**20
_TABLE_BYTES = 1 << 10
_BYTE_ORDER: Literal["<"] = "<"
_NO_UUID = str(uuid.UUID(int=0))


@dataclass(frozen=True)
class Tables:
    """The tables of a file: how its pixels are stored, and what tifffile is told to write.

    axes, shape: in stored order, of which the last `page_axes` make up a page.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    page_axes: int
    large: bool
    ome: bool
    options: dict[str, Any]

    @classmethod
    def of(cls, info: ImageInfo, *, ome: bool) -> Tables:
        """The tables for an image, as OME-TIFF or as ImageJ hyperstack.

        A colour picture of other than 8 bits becomes three channels. Raises ImageError for pixels
        or axes that these formats cannot hold.
        """
        _check_writable(info)
        info = info.replace(rgb=info.rgb and info.dtype == np.uint8)
        axes = "TZYXC" if info.rgb else IMAGEJ
        shape = tuple(info.sizes.get(letter, 1) for letter in axes)
        page_axes = 3 if info.rgb else 2
        if not ome and prod(shape[-page_axes:]) * info.dtype.itemsize >= _CLASSIC_BYTES:
            raise ImageError(
                f"a plane of {info.sizes['Y']} x {info.sizes['X']} pixels of {info.dtype} is too "
                "large for ImageJ's TIFF, whose planes end below 4 GiB: write format ome or zarr"
            )
        planes = prod(shape[: len(shape) - page_axes])
        large = prod(shape) * info.dtype.itemsize + planes * _TABLE_BYTES > _CLASSIC_BYTES
        options = _ome_options(info, axes) if ome else _imagej_options(info, axes, shape, planes)
        dtype = info.dtype.newbyteorder(_BYTE_ORDER)
        return cls(axes, shape, dtype, page_axes, large, ome, options)

    def write(self, path: Path) -> int:
        """Write a file whose pixels are zeros (holes, where the file system has such), and give
        the byte where they begin."""
        # ImageJ's own way above 4 GB: one page table for all planes
        truncate = self.large and not self.ome
        with self._writer(path) as writer:
            written = writer.write(
                None,
                shape=self.shape,
                dtype=self.dtype,
                truncate=truncate,
                returnoffset=True,
                **self.options,
            )
        return cast("tuple[int, int]", written)[0]

    def write_compressed(self, path: Path, strips: Iterator[bytes], rows: int) -> None:
        """Write a file of strips, each zlib's of `rows` rows of a page, in stored order."""
        with self._writer(path) as writer:
            writer.write(
                strips,
                shape=self.shape,
                dtype=self.dtype,
                compression="zlib",
                rowsperstrip=rows,
                **self.options,
            )

    def _writer(self, path: Path) -> tifffile.TiffWriter:
        return tifffile.TiffWriter(
            path,
            bigtiff=self.large and self.ome,
            byteorder=_BYTE_ORDER,
            imagej=not self.ome,
            ome=self.ome,
        )

    def set_uuid(self, path: Path, checksum: int) -> None:
        """Put the UUID into a written OME-TIFF; checksum: of its pixels.

        It is decided by the content alone, so that equal images give equal bytes, and put in at
        the end, when all pixels are known; its length is fixed.
        """
        content = [self.options["metadata"], self.shape, str(self.dtype), checksum]
        text = json.dumps(content, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        with tifffile.TiffFile(path) as tif:
            tag = tif.pages.first.tags["ImageDescription"]
        place = tag.value.encode().index(_NO_UUID.encode())
        with path.open("r+b") as file:
            file.seek(tag.valueoffset + place)
            file.write(str(uuid.UUID(bytes=digest, version=4)).encode())


def _check_writable(info: ImageInfo) -> None:
    check_writable(info, "TIFF")
    if info.rgb and info.sizes.get("C") != 3:
        raise ImageError(f"a colour picture of axes {info.axes} needs 3 channels in C")


def _imagej_options(
    info: ImageInfo, axes: str, shape: tuple[int, ...], planes: int
) -> dict[str, Any]:
    channels = 1 if info.rgb else shape[axes.index("C")]
    luts = info.display.luts
    lut = luts[0] if channels == 1 and len(luts) == 1 and not info.rgb else None
    info = info.replace(calibration=storable_calibration(info.calibration))
    size = info.calibration.voxel_size
    return {
        "photometric": "rgb" if info.rgb else None,
        "colormap": None if lut is None else lut.T.astype(np.uint16) * 257,
        "resolution": (1 / size["X"], 1 / size["Y"]) if {"X", "Y"} <= size.keys() else None,
        "metadata": {"axes": _tifffile_axes(info, axes), **write_metadata(info, planes, channels)},
        "software": "",
    }


def _ome_options(info: ImageInfo, axes: str) -> dict[str, Any]:
    return {
        "photometric": "rgb" if info.rgb else "minisblack",
        "metadata": {
            "axes": _tifffile_axes(info, axes),
            "UUID": _NO_UUID,
            **write_ome(info),
        },
        "software": "",
    }


def _tifffile_axes(info: ImageInfo, axes: str) -> str:
    return axes.replace("C", "S") if info.rgb else axes
