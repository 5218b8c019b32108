"""Reading TIFF files: ImageJ hyperstacks, OME-TIFF, and plain ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from care_bridge.errors import ImageError, MissingExtraError
from care_bridge.images.image import Calibration, Display, ImageInfo
from care_bridge.images.imagej_metadata import read_calibration, read_display, read_history
from care_bridge.images.ome_metadata import read_ome
from care_bridge.images.pixels import check_pixel_type, pixel_type
from care_bridge.images.tiff_axes import settle_axes
from care_bridge.images.tiff_layout import check_whole
from care_bridge.images.tiff_source import TiffSource, reading

# What tifffile would log is found out and said by this module.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_INCH, _CENTIMETRE = 2, 3
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = 0, 1, 2, 3
_SCREEN_DPI = 72.0  # image editors write it for "no resolution"; ImageJ ignores it too


@contextmanager
def open_tiff(path: Path, axes: str | None) -> Iterator[TiffSource]:
    """Open the only image of a TIFF file; see `open_source`."""
    with ExitStack() as stack:
        with reading(path):
            check_whole(path)
            with tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False) as tif:
                series = _only_series(tif, path)
                info = _describe(tif, series, path, axes)
                file = stack.enter_context(path.open("rb", buffering=0))
                source = TiffSource(path, file, info, series)
        stack.callback(source.close)
        yield source


def _describe(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, given_axes: str | None
) -> ImageInfo:
    page = series.keyframe
    squeeze = series.kind == "imagej"  # it stores no axes of length 1: tifffile adds them
    letters, shape = series.get_axes(squeeze=squeeze), series.get_shape(squeeze=squeeze)
    # tifffile takes 3 or 4 planes for colours when it writes an array whose axes nobody told it
    told = "axes" in (tif.shaped_metadata or ({},))[0]
    separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    guessed = series.kind == "shaped" and separate and not told
    letters = letters.replace("S", "Q") if guessed else letters
    check_pixel_type(series.dtype, path)
    _check_encoding(page, dict(zip(letters, shape, strict=True)).get("S", 1), path)
    colormap = _colormap(page, tif.is_imagej, path)
    axes, shape = settle_axes(letters, shape, given_axes, path)
    info = ImageInfo(axes, shape, pixel_type(series.dtype))
    rgb = page.photometric == _RGB and not guessed and info.sizes.get("C", 1) == 3
    if series.kind == "ome":
        calibration, display, history = read_ome(tif.ome_metadata or "")
        return info.replace(
            calibration=calibration, display=display, history=history, rgb=rgb, container="ome"
        )
    if series.kind == "imagej":
        # ImageJ itself opens 16-bit colour pictures as three channels
        return _describe_imagej(
            info.replace(rgb=rgb and series.dtype.itemsize == 1), tif, colormap, path
        )
    display = Display() if colormap is None else Display(luts=(colormap,))
    return info.replace(
        calibration=_plain_calibration(page), display=display, rgb=rgb, container="plain"
    )


def _only_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """The file's one image, after checking that all its pages are there."""
    if len(tif.series) != 1:
        raise ImageError(
            f"{path} holds {len(tif.series)} images of different shapes or types, expected one: "
            "save the one to work on as a file of its own"
        )
    series = tif.series[0]
    if series.is_multifile or (tif.is_ome and series.kind != "ome"):
        raise ImageError(
            f"{path} is only a part of a data set of several OME-TIFF files: save the data set as "
            "one file (in Fiji: Bio-Formats, then File > Save As > Tiff)"
        )
    if tif.is_imagej and series.kind not in ("imagej", "ome"):
        raise ImageError(f"{path} holds less than its ImageJ metadata say: copy or save it again")
    if series.dataoffset is None:
        stored = sum(0 if page is None else page.size for page in series)
    else:
        bytes_left = tif.filehandle.size - series.dataoffset
        stored = min(bytes_left // series.dtype.itemsize, prod(series.shape))
    if stored != prod(series.shape):
        raise ImageError(
            f"{path} lacks pages: its metadata tell of shape {series.shape} ({series.axes}), but "
            "not all of it is in this file; copy it again, or save it whole as one file"
        )
    if stored == 0:
        raise ImageError(f"{path} holds an image without pixels (shape {series.shape})")
    return series


def _check_encoding(page: tifffile.TiffPage, samples: int, path: Path) -> None:
    """Raise ImageError for colour spaces whose numbers are no intensities, MissingExtraError for
    compression that cannot be undone here."""
    if page.compression not in tifffile.TIFF.DECOMPRESSORS:
        name = tifffile.COMPRESSION(page.compression).name
        raise MissingExtraError(f"{path} is compressed by {name}, which", "formats")
    if page.photometric not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE):
        name = tifffile.PHOTOMETRIC(page.photometric).name
        raise ImageError(f"{path} stores its colours as {name}: save it as RGB or grayscale")
    if page.photometric == _RGB and samples == 4:
        raise ImageError(f"{path} has a transparency (alpha) channel: save it as RGB without one")


def _colormap(page: tifffile.TiffPage, by_imagej: bool, path: Path) -> NDArray[np.uint8] | None:
    """The (256, 3) lookup table of a page, None for plain grays.

    ImageJ stores 8-bit intensities with a lookup table as palette pictures, and so do microscopes.
    Other palettes, whose colours do not rise with the number, are colour pictures: ImageError.
    """
    if page.colormap is None:
        ramp = np.arange(256, dtype=np.uint8)[::-1, np.newaxis]
        return ramp.repeat(3, axis=1) if page.photometric == _MINISWHITE else None
    table = np.ascontiguousarray((page.colormap >> 8).astype(np.uint8).T)
    is_ramp = len(table) == 256 and bool((np.diff(table.astype(np.int16), axis=0) >= 0).all())
    if page.photometric == _PALETTE and not (by_imagej or is_ramp):
        raise ImageError(
            f"{path} is a palette picture, whose numbers are colour indices and no intensities: "
            "save it as RGB or grayscale"
        )
    return table if len(table) == 256 else None


def _describe_imagej(
    info: ImageInfo, tif: tifffile.TiffFile, colormap: NDArray[np.uint8] | None, path: Path
) -> ImageInfo:
    metadata: dict[str, Any] = tif.imagej_metadata or {}
    if "cf" in metadata:
        raise ImageError(
            f"{path} has calibrated grey levels (signed 16-bit, or by Analyze > "
            "Calibrate...): convert it by Image > Type > 32-bit, which applies the calibration, or "
            "set the function None there, to restore the pixels as they are stored"
        )
    sizes = info.sizes
    channels = 1 if info.rgb else sizes.get("C", 1)
    planes = channels * sizes.get("Z", 1) * sizes.get("T", 1)
    size = _pixel_size(tif.pages.first)
    return info.replace(
        calibration=read_calibration(metadata, size, sizes.get("Z", 1)),
        display=read_display(metadata, colormap, channels, planes),
        history=read_history(metadata),
        container="imagej",
    )


def _pixel_size(page: tifffile.TiffPage) -> tuple[float, float]:
    """Width and height of a pixel in the resolution's unit; 1 where the file does not say."""
    return _inverse(page.tags.valueof(282)), _inverse(page.tags.valueof(283))


def _inverse(resolution: tuple[int, int] | None) -> float:
    number, per = resolution or (1, 1)
    return per / number if number and per else 1.0


def _plain_calibration(page: tifffile.TiffPage) -> Calibration:
    x, y = _pixel_size(page)
    unit = {_INCH: "inch", _CENTIMETRE: "cm"}.get(int(page.resolutionunit), "")
    if x == y == 1 or (unit == "inch" and x == y == 1 / _SCREEN_DPI):
        return Calibration()
    return Calibration.from_file({"Y": y, "X": x}, unit, None)
