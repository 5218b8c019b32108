"""Writing OME-Zarr of local folders: box by box, whole or not at all.

Version 0.4 (Zarr format 2) unless the image came as 0.5 (format 3): 0.4 is what OME-Zarr's readers
open most widely. napari, bioio, ngff-zarr and ome-zarr read both, but in Fiji (N5, MoBIE,
BigDataViewer, Bio-Formats) format 3 is recent or missing. Chunks are not bundled into shards for
the same reason.

Compression "none" stores plain numbers. "zlib" is zlib within Blosc after a byte shuffle, codecs
that Zarr's readers have always had: on 16-bit photon counts the result is a fifth smaller than
zlib's alone, and made faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import ImageError
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import Box, ImageSink
from care_bridge.images.storage import Storage
from care_bridge.images.whole_file import writing
from care_bridge.images.writable import check_writable
from care_bridge.images.zarr_chunks import ChunkWriter
from care_bridge.images.zarr_description import attributes
from care_bridge.images.zarr_folder import begin, commit, discard
from care_bridge.images.zarr_layout import CHUNK_BYTES, chunk_shape, level_factors
from care_bridge.images.zarr_library import load_zarr, reading
from care_bridge.images.zarr_metadata import read_multiscale
from care_bridge.images.zarr_pyramid import shrink_into, smaller_shape
from care_bridge.images.zarr_source import CONTAINERS

if TYPE_CHECKING:
    from care_bridge.images.zarr_library import ZarrArray

_ORDER = "TCZYX"  # the order that OME-Zarr asks for
_FORMATS = {"0.4": 2, "0.5": 3}
# Chunks that zarr-python was writing when its process was killed.
_UNFINISHED = "*.partial"


@contextmanager
def create_zarr(info: ImageInfo, path: Path, storage: Storage) -> Iterator[ImageSink]:
    """Create an OME-Zarr; see `create_image`."""
    partial = prepare_zarr(info, path, storage)
    try:
        with open_for_regions(partial, path) as sink:
            yield sink
        finish_zarr(info, partial, path, storage)
    finally:
        discard(partial)


def prepare_zarr(info: ImageInfo, path: Path, storage: Storage) -> Path:
    """Make the empty image for `open_for_regions` to fill and `finish_zarr` to end (or
    `zarr_folder.discard` to remove); until then it lies beside `path`, under the name returned.

    ImageError where the name is taken or OME-Zarr cannot hold the image.
    """
    zarr = load_zarr()
    stored = _as_stored(info)
    version = _version(info)
    with writing(path), ExitStack() as undo:
        partial = begin(path, overwrite=storage.overwrite)
        undo.callback(discard, partial)
        group = zarr.open_group(partial, mode="w-", zarr_format=_FORMATS[version])
        group.attrs.put(attributes(stored, _title(path), version, [{}], ()))
        chunks = chunk_shape(stored.sizes, stored.dtype.itemsize)
        _make_array(group, "0", stored, stored.shape, chunks, storage)
        undo.pop_all()
    return partial


@contextmanager
def open_for_regions(partial: Path, path: Path) -> Iterator[ZarrSink]:
    """Write into what `prepare_zarr` made for `path`, from any process.

    Several processes may write at the same time if all pixels of a chunk (`ZarrSink.pieces`) come
    from one of them. ImageError at the end where only a part of a chunk came.
    """
    zarr = load_zarr()
    with reading(partial):
        group = zarr.open_group(partial, mode="r+")
        image = read_multiscale(group.attrs.asdict(), partial)
        if image is None:
            raise ImageError(f"{path} has not been prepared to be written")
        array = group[image.array].with_config({"write_empty_chunks": True})
        info = ImageInfo(Axes(image.letters), array.shape, array.dtype, image.calibration)
    sink = ZarrSink(info, array, partial, path)
    try:
        yield sink
        sink.check_whole()
    finally:
        sink.close()


def finish_zarr(info: ImageInfo, partial: Path, path: Path, storage: Storage) -> None:
    """Make the smaller copies if they are asked for, and give the image its name.

    ImageError where chunks were never written.
    """
    zarr = load_zarr()
    stored = _as_stored(info)
    version = _version(info)
    with writing(path):
        group = zarr.open_group(partial, mode="r+")
        absent = group["0"].nchunks - group["0"].nchunks_initialized
        if absent:
            raise _lacks(path, absent)
        levels = (
            level_factors(stored.sizes, stored.calibration.voxel_size) if storage.multiscale else []
        )
        covered: list[dict[str, int]] = [{}]
        for number, factors in enumerate(levels):
            larger = group[str(number)]
            steps = tuple(factors.get(letter, 1) for letter in stored.axes)
            shape = smaller_shape(larger.shape, steps)
            smaller = _make_array(group, str(number + 1), stored, shape, larger.chunks, storage)
            shrink_into(smaller, larger, steps)
            covered.append(
                {axis: covered[-1].get(axis, 1) * factors.get(axis, 1) for axis in stored.axes}
            )
        ranges = _ranges(stored, group["0"])
        group.attrs.put(attributes(stored, _title(path), version, covered, ranges))
        for unfinished in partial.rglob(_UNFINISHED):
            unfinished.unlink()
        commit(partial, path, overwrite=storage.overwrite)


class ZarrSink:
    """An array of a Zarr to be written; `pieces` is the shape (STCZYX) of its chunks."""

    memory = ChunkWriter.LIMIT + 2 * CHUNK_BYTES

    def __init__(self, info: ImageInfo, array: ZarrArray, partial: Path, path: Path) -> None:
        self.info = info
        chunks = dict(zip(info.axes, array.chunks, strict=True))
        self.pieces = tuple(chunks.get(axis, 1) for axis in CANONICAL)
        self._path = path
        self._chunks = ChunkWriter(array, partial)

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box."""
        bounds = dict(zip(CANONICAL, box, strict=True))
        stored = tuple(bounds[letter] for letter in self.info.axes)
        with writing(self._path):
            self._chunks.write(stored, Axes(CANONICAL).to(pixels, self.info.axes))

    def check_whole(self) -> None:
        """Raise ImageError where only a part of a chunk's pixels came."""
        if self._chunks.incomplete:
            raise _lacks(self._path, self._chunks.incomplete)

    def close(self) -> None:
        """Let go of what waits to be whole."""
        self._chunks.close()


def _lacks(path: Path, chunks: int) -> ImageError:
    return ImageError(f"{path} lacks pixels in {chunks} chunks: write all of them")


def _as_stored(info: ImageInfo) -> ImageInfo:
    """The image with axes in the file's order; ImageError where OME-Zarr has no place for it."""
    check_writable(info, "OME-Zarr")
    axes = Axes("".join(letter for letter in _ORDER if letter in info.axes))
    return info.replace(axes=axes, shape=tuple(info.sizes[letter] for letter in axes))


def _version(info: ImageInfo) -> str:
    return "0.5" if info.container == CONTAINERS[3] else "0.4"


def _title(path: Path) -> str:
    """The image's name for people: the folder's without its endings."""
    return path.name.removesuffix(".zarr").removesuffix(".ome")


def _make_array(
    group: Any,
    name: str,
    info: ImageInfo,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    storage: Storage,
) -> ZarrArray:
    old = group.metadata.zarr_format == 2
    array: ZarrArray = group.create_array(
        name,
        shape=shape,
        dtype=info.dtype,
        chunks=tuple(map(min, chunks, shape)),
        compressors=_compressors(storage, info.dtype, old=old),
        fill_value=0,
        chunk_key_encoding={"name": "v2" if old else "default", "separator": "/"},
        dimension_names=None if old else [letter.lower() for letter in info.axes],
        config={"write_empty_chunks": True},
    )
    return array


def _compressors(storage: Storage, dtype: np.dtype[Any], *, old: bool) -> Any:
    if storage.compression == "none":
        return None
    if old:
        from numcodecs import Blosc

        return Blosc("zlib", clevel=1, shuffle=Blosc.SHUFFLE)
    from zarr.codecs import BloscCodec

    return BloscCodec(typesize=dtype.itemsize, cname="zlib", clevel=1, shuffle="shuffle")


def _ranges(info: ImageInfo, array: ZarrArray) -> tuple[tuple[float, float], ...]:
    """Grey levels to show, a pair a channel: the image's own, else of a sample of its pixels."""
    channels = info.sizes.get("C", 1)
    if len(info.display.ranges) == channels:
        return info.display.ranges
    if info.rgb and info.dtype.kind == "u":
        return ((0.0, float(np.iinfo(info.dtype).max)),) * channels
    return tuple(_sampled_range(info, array, channel) for channel in range(channels))


def _sampled_range(info: ImageInfo, array: ZarrArray, channel: int) -> tuple[float, float]:
    """Percentiles 0.1 and 99.9 of the chunks in the middle of the first, middle and last frame."""
    sizes, chunks = info.sizes, dict(zip(info.axes, array.chunks, strict=True))
    frames = sizes.get("T", 1)
    sample = []
    for frame in sorted({0, frames // 2, frames - 1}):
        index = {"T": slice(frame, frame + 1), "C": slice(channel, channel + 1)}
        for axis in "ZYX":
            middle = sizes.get(axis, 1) // 2 // chunks.get(axis, 1) * chunks.get(axis, 1)
            index[axis] = slice(middle, middle + chunks.get(axis, 1))
        sample.append(np.ravel(array[tuple(index[axis] for axis in info.axes)]))
    pixels = np.concatenate(sample)
    finite = pixels[np.isfinite(pixels)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(finite, (0.1, 99.9)))
    return (low, high) if low < high else (low, low + 1)
