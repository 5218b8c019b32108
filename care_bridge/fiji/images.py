"""ImageJ's ImagePlus to care_bridge's Image and back, plane by plane through direct buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
from jpype import JClass
from numpy.typing import NDArray

from care_bridge.axes import IMAGEJ
from care_bridge.errors import AxesError
from care_bridge.fiji.buffers import to_java
from care_bridge.fiji.source import MODES, ImagePlusSource
from care_bridge.images.image import Calibration, Display, Image
from care_bridge.images.source import read_image


def from_imageplus(imp: Any) -> Image:
    """The image that an ij.ImagePlus holds, with copied pixels; axes of length 1 are left out.

    Raises FijiError where grey levels are calibrated, and where a file of a virtual stack is gone.
    """
    return read_image(ImagePlusSource(imp))


def to_imageplus(image: Image, title: str) -> Any:
    """A new ij.ImagePlus, not shown yet, with copied pixels.

    Raises AxesError where the image has an S axis longer than 1, which ImageJ does not know.
    """
    if image.sizes.get("S", 1) != 1:
        raise AxesError(
            f"axes {image.axes} have samples, which ImageJ cannot show: drop the S axis"
        )
    pixels = np.ascontiguousarray(image.axes.to(image.pixels, IMAGEJ))
    frames, slices, channels, height, width = pixels.shape
    if image.rgb:
        red, green, blue = (pixels[:, :, color].astype(np.int32) for color in range(3))
        pixels, channels = (red << 16) | (green << 8) | blue | ~0xFFFFFF, 1
    stack = JClass("ij.ImageStack")(width, height)
    names = image.display.channel_names
    named = len(names) == channels and frames * slices * channels > 1
    for number, plane in enumerate(pixels.reshape(-1, height, width)):
        stack.addSlice(names[number % channels] if named else None, to_java(plane))
    imp = JClass("ij.ImagePlus")(title, stack)
    imp.setDimensions(channels, slices, frames)
    _set_calibration(imp, image.calibration)
    if image.history:
        imp.setProperty("Info", "\n".join(image.history) + "\n")
    return imp if image.rgb else _shown_as(imp, image.display, channels)


def _set_calibration(imp: Any, calibration: Calibration) -> None:
    cal = imp.getCalibration()
    for axis, field in (("X", "pixelWidth"), ("Y", "pixelHeight"), ("Z", "pixelDepth")):
        if axis in calibration.voxel_size:
            setattr(cal, field, calibration.voxel_size[axis])
    if calibration.unit:
        cal.setUnit(calibration.unit)
    if calibration.frame_interval is not None:
        cal.frameInterval = calibration.frame_interval
        cal.setTimeUnit("sec")


def _shown_as(imp: Any, display: Display, channels: int) -> Any:
    """`imp` with its tables and ranges where each channel has them; several channels become a
    CompositeImage."""
    if channels > 1:
        modes = {mode: number for number, mode in MODES.items()}
        imp = JClass("ij.CompositeImage")(imp, modes[display.mode or "composite"])
    luts, ranges = display.luts, display.ranges
    for channel, old in enumerate(imp.getLuts()):
        lut = _lut(luts[channel]) if len(luts) == channels else old
        lut.min, lut.max = ranges[channel] if len(ranges) == channels else (old.min, old.max)
        if channels > 1:
            imp.setChannelLut(lut, channel + 1)
        else:
            imp.setLut(lut)
    return imp


def _lut(table: NDArray[np.uint8]) -> Any:
    return JClass("ij.process.LUT")(
        *(to_java(np.ascontiguousarray(color)[np.newaxis]) for color in table.T)
    )
