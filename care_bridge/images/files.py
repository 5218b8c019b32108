"""Image files: which names are images, what a folder holds, opening and writing one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from care_bridge.errors import ImageError

if TYPE_CHECKING:
    from care_bridge.images.image import Image

SUFFIXES = (".tif", ".tiff")
_RUNS = re.compile(r"[0-9]+|[^0-9]+")


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: .tif or .tiff, and not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def list_images(folder: Path, include_subfolders: bool = False) -> list[Path]:
    """The images of a folder in natural order (img2 before img10), hidden ones left out.

    Raises ImageError where the folder is missing or holds no images.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ImageError(f"{folder} {what}: give a folder of images")
    names = []
    for path in folder.rglob("*") if include_subfolders else folder.iterdir():
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if is_image_name(path.name) and not hidden and path.is_file():
            names.append(name)
    if not names:
        where = " or below it" if include_subfolders else ""
        raise ImageError(
            f"{folder} holds no images: expected files named {' or '.join(SUFFIXES)} in it{where}"
        )
    return [folder / name for name in sorted(names, key=_natural_key)]


def open_image(path: Path, axes: str | None = None) -> Image:
    """Read a TIFF file (ImageJ hyperstack, OME-TIFF or plain) into memory.

    axes: what the dimensions are, e.g. "ZYX", where the file does not say so itself. Axes of
    length 1 other than Y and X are left out of the image unless `axes` names them. Colour
    pictures come with their colours as axis C and `rgb` set. float64 becomes float32.

    Raises ImageError for files that are missing, truncated, no TIFF or of a kind that cannot be
    worked with, AxesError where the axes are not known or `axes` contradicts the file.
    """
    from care_bridge.images.tiff_reader import read_tiff

    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, expected an image file")
    if not path.exists():
        raise ImageError(f"{path} does not exist: give the name of an image file")
    return read_tiff(path, axes)


def write_image(image: Image, path: Path, *, overwrite: bool = False) -> None:
    """Write an image as TIFF, whole or not at all; the same image gives the same bytes.

    An OME-TIFF where the image came from one or the name ends in .ome.tif, else an ImageJ
    hyperstack (axes TZCYX), with calibration, display and history.

    Raises ImageError where the name is taken and `overwrite` is not set, the folder is not
    writable, the disk is full, or the format cannot hold the image.
    """
    from care_bridge.images.tiff_writer import write_tiff
    from care_bridge.images.whole_file import whole_file

    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise ImageError(f"{path} cannot be written: end the name in {' or '.join(SUFFIXES)}")
    with whole_file(path, overwrite=overwrite) as partial:
        write_tiff(image, partial, ome=image.container == "ome" or _has_ome_name(path))


def _has_ome_name(path: Path) -> bool:
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def _natural_key(path: Path) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Sort key by folder and name without regard to case, runs of digits compared as numbers."""
    parts = [
        [(0, int(run), "") if run.isdecimal() else (1, 0, run) for run in _RUNS.findall(part)]
        for part in path.as_posix().casefold().split("/")
    ]
    return parts, path.as_posix()
