"""Reading OME-Zarr (0.4 and 0.5) and plain Zarr arrays of local folders, box by box."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.errors import ImageError
from care_bridge.images.image import ImageInfo
from care_bridge.images.pixels import check_pixel_type, pixel_type, to_pixel_type
from care_bridge.images.source import Box, ImageSource
from care_bridge.images.tiff_axes import settle_axes
from care_bridge.images.zarr_chunks import ChunkReader
from care_bridge.images.zarr_folder import holds_zarr
from care_bridge.images.zarr_library import THREADS, load_zarr, reading
from care_bridge.images.zarr_metadata import Multiscale, read_multiscale

if TYPE_CHECKING:
    from care_bridge.images.zarr_library import ZarrArray

CONTAINERS = {2: "zarr0.4", 3: "zarr0.5"}
"""An image's container by the version of the Zarr format it is stored in."""


@contextmanager
def open_zarr(path: Path, axes: str | None) -> Iterator[ImageSource]:
    """Open the highest resolution of a local folder's OME-Zarr image.

    axes: for a plain Zarr array, which does not say its own; otherwise as for `open_source`.
    Chunks that were never written hold the fill value, as Zarr has it. ImageError for what holds
    no image or several, or cannot be read; AxesError where axes are unknown or contradict the
    file; MissingExtraError without zarr-python.
    """
    zarr = load_zarr()
    if not holds_zarr(path):
        raise ImageError(f"{path} is no folder of Zarr data: copy it again from its source")
    with reading(path):
        node = zarr.open(store=path, mode="r")
        if isinstance(node, zarr.Array):
            source = _open_array(node, None, axes, path)
        else:
            source = _open_group(node, axes, path)
    yield source


def _open_group(group: Any, axes: str | None, path: Path) -> _ZarrSource:
    attributes = group.attrs.asdict()
    if "bioformats2raw.layout" in attributes.get("ome", attributes):
        return _open_group(group[_only_series(group, path)], axes, path)
    multiscale = read_multiscale(attributes, path)
    if multiscale is None:
        arrays = sorted(group.array_keys())
        example = f", e.g. {path / arrays[0]} and axes=ZYX" if arrays else ""
        raise ImageError(
            f"{path} has no OME-Zarr metadata (multiscales): give the folder of an OME-Zarr image, "
            f"or of an array with its axes{example}"
        )
    return _open_array(group[multiscale.array], multiscale, axes, path)


def _only_series(group: Any, path: Path) -> str:
    """The name of the one image of what bioformats2raw converted."""
    series = sorted(
        (name for name in group.group_keys() if name != "OME"), key=lambda n: (len(n), n)
    )
    if len(series) != 1:
        raise ImageError(
            f"{path} holds {len(series)} images ({', '.join(series[:10])}), expected one: give the "
            f"folder of one, e.g. {path / '0'}"
        )
    return str(series[0])


def _open_array(
    array: ZarrArray, multiscale: Multiscale | None, given_axes: str | None, path: Path
) -> _ZarrSource:
    letters = "Q" * array.ndim if multiscale is None else multiscale.letters
    if len(letters) != array.ndim:
        raise ImageError(
            f"{path} names {len(letters)} axes, but its array has shape {array.shape}: write it "
            "anew"
        )
    check_pixel_type(array.dtype, path)
    if prod(array.shape) == 0:
        raise ImageError(f"{path} holds an image without pixels (shape {array.shape})")
    axes, shape = settle_axes(letters, array.shape, given_axes, path)
    dtype = pixel_type(array.dtype)
    info = ImageInfo(axes, shape, dtype, container=CONTAINERS[array.metadata.zarr_format])
    if multiscale is not None:
        info = info.replace(
            calibration=multiscale.calibration,
            display=multiscale.display,
            rgb=multiscale.rgb and info.sizes.get("C", 1) == 3,
            history=multiscale.history,
        )
    return _ZarrSource(array, info, path)


class _ZarrSource:
    """An array of a Zarr whose dimensions are `info.axes`, besides some of length 1."""

    def __init__(self, array: ZarrArray, info: ImageInfo, path: Path) -> None:
        self.info = info
        self._chunks = ChunkReader(array)
        self._path = path
        self._stored = _stored_letters(array.shape, info)
        chunks = dict(zip(self._stored, array.chunks, strict=True))
        self.pieces = tuple(chunks.get(axis, 1) for axis in CANONICAL)
        chunk = prod(array.chunks) * array.dtype.itemsize
        # what is kept, and what each thread has at a time, encoded and decoded
        self.memory = max(ChunkReader.LIMIT, chunk) + 2 * THREADS * chunk

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        bounds = dict(zip(CANONICAL, box, strict=True))
        index = tuple(bounds[letter] if letter else slice(0, 1) for letter in self._stored)
        shape = [bounds[letter].stop - bounds[letter].start for letter in self.info.axes]
        with reading(self._path):
            stored = self._chunks.read(index).reshape(shape)
            return to_pixel_type(self.info.axes.to(stored, CANONICAL), self._path)


def _stored_letters(stored: tuple[int, ...], info: ImageInfo) -> list[str]:
    """The axis of each stored dimension; "" where its length is 1: nothing is to choose."""
    letters = iter([letter for letter, size in info.sizes.items() if size > 1])
    return [next(letters) if size > 1 else "" for size in stored]
