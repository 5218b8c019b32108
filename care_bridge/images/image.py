"""What an image is: axes, type and what its file said about it; and an image in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, Axes


@dataclass(frozen=True)
class Calibration:
    """Voxel size by axis letter (Z, Y, X) in `unit`, frame interval in seconds; empty or None where
    it is not known."""

    voxel_size: dict[str, float] = field(default_factory=dict)
    unit: str = ""
    frame_interval: float | None = None

    @classmethod
    def from_file(
        cls, voxel_size: Mapping[str, float], unit: str, frame_interval: float | None
    ) -> Calibration:
        """What a file says, without what is no length or time (0, negative, not a number)."""
        sizes = {axis: size for axis, size in voxel_size.items() if _is_extent(size)}
        interval = frame_interval if _is_extent(frame_interval or 0) else None
        return cls(sizes, unit if sizes else "", interval)


def _is_extent(value: float) -> bool:
    return math.isfinite(value) and value > 0


@dataclass(frozen=True)
class Display:
    """How channels are shown: lookup tables (256 x 3 uint8 each), display ranges (min, max) and
    names, one for each channel; and ImageJ's display mode (composite, color, grayscale)."""

    luts: tuple[NDArray[np.uint8], ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()
    channel_names: tuple[str, ...] = ()
    mode: str = ""


@dataclass(frozen=True)
class ImageInfo:
    """All that is known of an image besides its pixels, whose shape and type it gives; the other
    fields are `Image`'s."""

    axes: Axes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    calibration: Calibration = Calibration()
    display: Display = Display()
    rgb: bool = False
    container: str = "imagej"
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.axes.check(self.shape)

    @property
    def sizes(self) -> dict[str, int]:
        """Size by axis letter."""
        return self.axes.sizes(self.shape)

    @property
    def canonical_shape(self) -> tuple[int, ...]:
        """The shape in STCZYX order; 1 for axes that the image does not have."""
        return tuple(self.sizes.get(axis, 1) for axis in CANONICAL)

    @property
    def nbytes(self) -> int:
        """Bytes of its pixels."""
        return math.prod(self.shape) * self.dtype.itemsize

    def replace(self, **changes: Any) -> ImageInfo:
        """A copy with these fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Image:
    """Pixels with their axes.

    pixels: an array of uint8, uint16 or float32 whose dimensions `axes` name. rgb: the channels
    are the red, green and blue of one colour picture, not measured channels. container: the file
    format it came in ("imagej", "ome", "plain", "zarr0.4" or "zarr0.5"), kept when it is written.
    history: lines that say what was done to it, written into the file's metadata.
    """

    pixels: NDArray[np.generic]
    axes: Axes
    calibration: Calibration = Calibration()
    display: Display = Display()
    rgb: bool = False
    container: str = "imagej"
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.axes.check(self.pixels.shape)

    @property
    def sizes(self) -> dict[str, int]:
        """Size by axis letter."""
        return self.axes.sizes(self.pixels.shape)

    @property
    def info(self) -> ImageInfo:
        """What it is, without its pixels."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        del known["pixels"]
        return ImageInfo(shape=self.pixels.shape, dtype=self.pixels.dtype, **known)

    @classmethod
    def of(cls, info: ImageInfo, pixels: NDArray[np.generic]) -> Image:
        """The image that `info` tells of; its pixels, of any shape with `info`'s axes and type."""
        known = {each.name: getattr(info, each.name) for each in fields(info)}
        del known["shape"], known["dtype"]
        return cls(pixels, **known)

    def replace(self, **changes: Any) -> Image:
        """A copy with these fields changed."""
        return replace(self, **changes)
