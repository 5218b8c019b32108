"""Where a restoration errs: maps of error and SSIM, and profiles along a line.

Needs scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.metrics import structural_similarity

from care_bridge.errors import ConfigError, ImageError
from care_bridge.evaluation.metrics import WINDOW


@dataclass(frozen=True)
class Line:
    """A straight line in a YX plane: its two ends (y, x) in pixels."""

    start: tuple[float, float]
    end: tuple[float, float]

    @classmethod
    def parse(cls, text: str) -> Line:
        """The line of a text like "Y0,X0,Y1,X1"; ConfigError where it is none."""
        try:
            first_y, first_x, last_y, last_x = map(float, text.split(","))
        except ValueError:
            raise ConfigError(
                f'the line "{text}" cannot be read: write Y0,X0,Y1,X1, e.g. 40,10,40,90'
            ) from None
        if (first_y, first_x) == (last_y, last_x):
            raise ConfigError(f'the line "{text}" has no length: give two different ends')
        return cls((first_y, first_x), (last_y, last_x))


def profile(plane: NDArray[np.generic], line: Line) -> NDArray[np.float64]:
    """Grey levels along `line`, about a pixel apart, both ends included; linearly interpolated.

    Raises ImageError where the line leaves the plane (Y, X).
    """
    for end in (line.start, line.end):
        if not all(0 <= at <= size - 1 for at, size in zip(end, plane.shape, strict=True)):
            raise ImageError(
                f"the line's end {end[0]:g},{end[1]:g} lies outside the image "
                f"({plane.shape[0]} x {plane.shape[1]}): move it inside"
            )
    length = float(np.hypot(line.end[0] - line.start[0], line.end[1] - line.start[1]))
    ends = zip(line.start, line.end, strict=True)
    points = [np.linspace(first, last, round(length) + 1) for first, last in ends]
    return np.asarray(map_coordinates(plane.astype(np.float64), points, order=1))


def ssim_map(fitted: NDArray[np.float64], scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM around each pixel of what `metrics.fit_to_truth` returns; one plane (Y, X)."""
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        fitted, scaled, win_size=WINDOW, data_range=1.0, full=True
    )
    return np.asarray(similarity)
