"""ImageJ's ImagePlus to care_bridge's Image and back, plane by plane through direct buffers.

An ImagePlus holds its planes in the order TZCYX. An 8-bit image with a colour table stays what its
values are, intensities shown through a table; an RGB image becomes an Image with rgb=True and a C
axis of three.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jpype import JArray, JByte, JClass, JFloat, JInt, JShort
from jpype.nio import convertToDirectBuffer
from numpy.typing import NDArray

from care_bridge.axes import IMAGEJ, Axes
from care_bridge.errors import AxesError, FijiError
from care_bridge.images.image import Calibration, Display, Image
from care_bridge.images.units import to_seconds

# Types of pixels by ij.ImagePlus.getBitDepth(); the 24 bits of a colour come packed in an int.
_RGB_BITS = 24
_DTYPES = {8: np.uint8, 16: np.uint16, _RGB_BITS: np.int32, 32: np.float32}
# By type: the elements of ImageJ's array, and how a ByteBuffer is seen as such elements.
_ELEMENTS = {
    "uint8": (JByte, None),
    "uint16": (JShort, "asShortBuffer"),
    "int32": (JInt, "asIntBuffer"),
    "float32": (JFloat, "asFloatBuffer"),
}
_MODES = {1: "composite", 2: "color", 3: "grayscale"}  # ij.CompositeImage's constants


def from_imageplus(imp: Any) -> Image:
    """The image that an ij.ImagePlus holds, with copied pixels; axes of length 1 are left out.

    Raises FijiError for signed 16-bit images, whose grey levels ImageJ shifts.
    """
    if imp.getCalibration().isSigned16Bit():
        raise FijiError(
            f'"{imp.getTitle()}" has signed 16-bit pixels: convert it to 32-bit first '
            '(run("32-bit"))'
        )
    width, height, channels, slices, frames = map(int, imp.getDimensions())
    rgb = imp.getBitDepth() == _RGB_BITS
    planes = _planes(imp, height, width)
    if rgb:
        slices *= channels
        packed = planes.reshape(frames, slices, height, width)
        colors = [(packed >> shift).astype(np.uint8) for shift in (16, 8, 0)]
        pixels, channels = np.stack(colors, axis=2), 3
    else:
        pixels = planes.reshape(frames, slices, channels, height, width)
    sizes = {"T": frames, "Z": slices, "C": channels}
    axes = Axes("".join(axis for axis in IMAGEJ if sizes.get(axis) != 1))
    return Image(
        Axes(IMAGEJ).to(pixels, axes),
        axes,
        _calibration(imp.getCalibration(), slices),
        Display() if rgb else _display(imp, channels),
        rgb=rgb,
        history=_history(imp),
    )


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
        stack.addSlice(names[number % channels] if named else None, _to_java(plane))
    imp = JClass("ij.ImagePlus")(title, stack)
    imp.setDimensions(channels, slices, frames)
    _set_calibration(imp, image.calibration)
    if image.history:
        imp.setProperty("Info", "\n".join(image.history) + "\n")
    return imp if image.rgb else _shown_as(imp, image.display, channels)


def _planes(imp: Any, height: int, width: int) -> NDArray[Any]:
    stack = imp.getStack()
    dtype = np.dtype(_DTYPES[int(imp.getBitDepth())])
    planes: NDArray[Any] = np.empty((int(stack.getSize()), height, width), dtype)
    for number, plane in enumerate(planes, 1):
        _buffer(plane).put(stack.getPixels(number))
    return planes


def _to_java(plane: NDArray[Any]) -> Any:
    pixels = JArray(_ELEMENTS[plane.dtype.name][0])(plane.size)
    _buffer(plane).get(pixels)
    return pixels


def _buffer(plane: NDArray[Any]) -> Any:
    """A java.nio buffer over the memory of a contiguous plane, of its element type."""
    buffer = convertToDirectBuffer(plane).order(JClass("java.nio.ByteOrder").nativeOrder())
    view = _ELEMENTS[plane.dtype.name][1]
    return getattr(buffer, view)() if view else buffer


def _calibration(cal: Any, slices: int) -> Calibration:
    interval = to_seconds(float(cal.frameInterval), str(cal.getTimeUnit())) or None
    if not cal.scaled():
        return Calibration(frame_interval=interval)
    size = {"Y": float(cal.pixelHeight), "X": float(cal.pixelWidth)}
    if slices > 1:
        size = {"Z": float(cal.pixelDepth), **size}
    return Calibration.from_file(size, str(cal.getUnit()), interval)


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


def _display(imp: Any, channels: int) -> Display:
    luts = list(imp.getLuts())
    if imp.isComposite():
        mode = _MODES[int(imp.getCompositeMode())]
        ranges = [(float(lut.min), float(lut.max)) for lut in luts]
    else:
        mode, luts = "grayscale" if channels > 1 else "", luts * channels
        ranges = [(float(imp.getDisplayRangeMin()), float(imp.getDisplayRangeMax()))] * channels
    names = _channel_names(imp.getStack(), channels)
    return Display(tuple(map(_table, luts)), tuple(ranges), names, mode)


def _channel_names(stack: Any, channels: int) -> tuple[str, ...]:
    """The slice labels, where they are the same ones at each slice and frame.

    A single plane has none: ImageJ makes a label of the image's title and its Info text.
    """
    given = (stack.getSliceLabel(number) for number in range(1, stack.getSize() + 1))
    labels = [None if label is None else str(label) for label in given]
    names = tuple(label for label in labels[:channels] if label is not None)
    same = labels == [*names] * (len(labels) // channels)
    return names if len(labels) > 1 and same else ()


def _shown_as(imp: Any, display: Display, channels: int) -> Any:
    """`imp` with its tables and ranges where each channel has them; several channels become a
    CompositeImage."""
    if channels > 1:
        modes = {mode: number for number, mode in _MODES.items()}
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


def _table(lut: Any) -> NDArray[np.uint8]:
    colors = np.empty((3, 256), np.uint8)
    convertToDirectBuffer(colors).put(lut.getBytes())
    return np.ascontiguousarray(colors.T)


def _lut(table: NDArray[np.uint8]) -> Any:
    return JClass("ij.process.LUT")(*(_to_java(np.ascontiguousarray(color)) for color in table.T))


def _history(imp: Any) -> tuple[str, ...]:
    info = imp.getProperty("Info")
    return () if info is None else tuple(str(info).splitlines())
