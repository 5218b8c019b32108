"""Image files: which names are images, what a folder holds, opening and writing one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from care_bridge.axes import CANONICAL
from care_bridge.errors import ImageError
from care_bridge.images.storage import TIFF_SUFFIXES, ZARR_SUFFIX, Storage
from care_bridge.images.zarr_folder import holds_zarr

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from care_bridge.images.image import Image, ImageInfo
    from care_bridge.images.source import ImageSink, ImageSource

# What is read through bioio, and never written.
MICROSCOPE_SUFFIXES = (
    ".czi",
    ".dv",
    ".ims",
    ".lif",
    ".lsm",
    ".nd2",
    ".oib",
    ".oif",
    ".sldy",
    ".vsi",
)
_RUNS = re.compile(r"[0-9]+|[^0-9]+")


def is_image_name(name: str) -> bool:
    """Whether what has this name is taken for an image, by its ending: TIFF, OME-Zarr (a folder)
    or a format of microscopes; hidden names are not."""
    endings = (*TIFF_SUFFIXES, ZARR_SUFFIX, *MICROSCOPE_SUFFIXES)
    return name.lower().endswith(endings) and not name.startswith(".")


def is_image(path: Path) -> bool:
    """Whether a path is taken for one image: by its name, or as a folder of Zarr data, like a
    plate's field, which has no ending."""
    return is_image_name(path.name) or holds_zarr(path)


def list_images(folder: Path, include_subfolders: bool = False) -> list[Path]:
    """The images of a folder in natural order (img2 before img10), hidden ones left out.

    An OME-Zarr folder is an image, which is not looked into. Raises ImageError where the folder
    is missing or holds no images.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ImageError(f"{folder} {what}: give a folder of images")
    images: list[Path] = []
    for parent, subfolders, files in os.walk(folder):
        here = [name for name in files if _may_be_image(Path(parent, name))]
        here += [name for name in subfolders if _is_zarr(name)]
        images += [Path(parent, name) for name in here if is_image_name(name)]
        plain = [name for name in subfolders if not (_is_zarr(name) or name.startswith("."))]
        subfolders[:] = plain if include_subfolders else []
    if not images:
        where = " or below it" if include_subfolders else ""
        raise ImageError(
            f"{folder} holds no images: expected names that end in {', '.join(TIFF_SUFFIXES)}, "
            f"{ZARR_SUFFIX} or as microscopes' do, in it{where}"
        )
    return sorted(images, key=lambda path: _natural_key(path.relative_to(folder)))


def open_source(path: Path, axes: str | None = None) -> AbstractContextManager[ImageSource]:
    """Open an image to be read box by box: TIFF (ImageJ hyperstack, OME-TIFF or plain), OME-Zarr,
    or a format of microscopes that bioio reads.

    axes: what the dimensions are, e.g. "ZYX", where the file does not say so itself. Axes of
    length 1 other than Y and X are left out of the image unless `axes` names them. Colour
    pictures come with their colours as axis C and `rgb` set. int8, int16, float16 and float64
    become float32.

    Raises ImageError for files that are missing, truncated, of no known format or of a kind that
    cannot be worked with, AxesError where the axes are not known or `axes` contradicts the file.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError(f"{path} does not exist: give the name of an image file")
    if _is_zarr(path.name) or holds_zarr(path):
        from care_bridge.images.zarr_source import open_zarr

        return open_zarr(path, axes)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file")
    if path.name.lower().endswith(MICROSCOPE_SUFFIXES):
        from care_bridge.images.bioio_source import open_with_bioio

        return open_with_bioio(path, axes)
    from care_bridge.images.tiff_reader import open_tiff

    return open_tiff(path, axes)


def open_image(path: Path, axes: str | None = None) -> Image:
    """Read an image into memory; arguments and errors are those of `open_source`."""
    from care_bridge.images.source import read_image

    with open_source(path, axes) as source:
        return read_image(source)


def create_image(
    info: ImageInfo,
    path: Path,
    storage: Storage = Storage(),
) -> AbstractContextManager[ImageSink]:
    """Create an image to be written box by box, which has its name at the end, or, after any
    error, not at all. The same image gives the same bytes, whatever the boxes.

    Raises ImageError where the name is taken and `storage.overwrite` is not set, the folder is
    not writable, the disk is full, or the format cannot hold the image.
    """
    path = Path(path)
    file_format = storage.format_of(path.name, info.container)
    if file_format == "zarr":
        from care_bridge.images.zarr_sink import create_zarr

        return create_zarr(info, path, storage)
    from care_bridge.images.tiff_writer import create_tiff

    return create_tiff(info, path, storage, ome=file_format == "ome")


def sink_memory(container: str, path: Path, storage: Storage = Storage()) -> int:
    """Bytes that the sink of `create_image` will hold at most besides a few megabytes, for an
    image that came in `container`: known before there is one, for a plan of the memory."""
    if storage.format_of(path.name, container) != "zarr":
        return 0
    from care_bridge.images.zarr_sink import ZarrSink

    return ZarrSink.memory


def write_image(image: Image, path: Path, *, overwrite: bool = False) -> None:
    """Write an image whole, or not at all, as `create_image` does.

    A name in .zarr makes it an OME-Zarr; one in .ome.tif, or an image that came from OME-TIFF, an
    OME-TIFF; else it becomes an ImageJ hyperstack (axes TZCYX), with calibration, display and
    history.
    """
    from care_bridge.images.source import whole

    with create_image(image.info, path, Storage(overwrite=overwrite)) as sink:
        sink.write(whole(image.info), image.axes.to(image.pixels, CANONICAL))


def _may_be_image(file: Path) -> bool:
    """Whether it is a file, or a link to nothing, which is listed so that opening it tells."""
    return (file.is_symlink() and not file.exists()) or (file.is_file() and not _is_zarr(file.name))


def _is_zarr(name: str) -> bool:
    return name.lower().endswith(ZARR_SUFFIX)


def _natural_key(path: Path) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Sort key by folder and name without regard to case, runs of digits compared as numbers."""
    parts = [
        [(0, int(run), "") if run.isdecimal() else (1, 0, run) for run in _RUNS.findall(part)]
        for part in path.as_posix().casefold().split("/")
    ]
    return parts, path.as_posix()
