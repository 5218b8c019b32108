"""Pictures for people: labelled grey panels side by side in one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from care_bridge.images.whole_file import whole_file

_GAP = 6
_LABEL_HEIGHT = 22
_FONT_SIZE = 15
_PAPER = 255
_INK = 0
_LEAST_PIXELS = 256


def write_panels(
    path: Path,
    panels: Sequence[tuple[str, NDArray[np.generic]]],
    *,
    limits: tuple[float, float] | None = None,
    columns: int | None = None,
) -> None:
    """Write labelled panels as one grey PNG, whole or not at all; a file at `path` is replaced.

    panels: (label, YX image) pairs; they may differ in size. limits: the grey levels shown as
    black and white in all of them; None: each panel from its own percentiles 0.1 and 99.9.
    columns: panels in a row; None: all in one row. Raises ImageError where it cannot be written.
    """
    picture = panels_picture(panels, limits=limits, columns=columns)
    with whole_file(path, overwrite=True) as partial:
        picture.save(partial, format="PNG", optimize=True)


def panels_picture(
    panels: Sequence[tuple[str, NDArray[np.generic]]],
    *,
    limits: tuple[float, float] | None,
    columns: int | None,
) -> Picture.Image:
    """The montage that `write_panels` writes."""
    columns = columns or len(panels)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(image.shape[0] for _, image in row) for row in rows]
    widths = [
        max(image.shape[1] for _, image in panels[column::columns])
        for column in range(min(columns, len(panels)))
    ]
    montage = Picture.new(
        "L",
        (sum(widths) + _GAP * (len(widths) + 1), sum(heights) + (_LABEL_HEIGHT + _GAP) * len(rows)),
        _PAPER,
    )
    pen = ImageDraw.Draw(montage)
    font = ImageFont.load_default(_FONT_SIZE)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for (label, image), width in zip(row, widths, strict=False):
            pen.text((left, top + _LABEL_HEIGHT / 2), label, _INK, font=font, anchor="lm")
            shown = Picture.fromarray(to_grey(image, limits))
            montage.paste(shown, (left, top + _LABEL_HEIGHT))
            left += width + _GAP
        top += _LABEL_HEIGHT + height + _GAP
    return montage


def enlarged(image: NDArray[np.generic], least: int = _LEAST_PIXELS) -> NDArray[np.generic]:
    """A YX image with each pixel shown as a square, so that the longer side has `least` pixels or
    more."""
    times = -(-least // max(image.shape))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def to_grey(
    image: NDArray[np.generic], limits: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """A YX image as uint8, `limits` (grey levels; None: percentiles 0.1 and 99.9) to 0 and 255."""
    pixels = image.astype(np.float64)
    low, high = limits or np.percentile(pixels, (0.1, 99.9))
    span = high - low or 1.0
    return np.rint(np.clip((pixels - low) / span, 0, 1) * 255).astype(np.uint8)
