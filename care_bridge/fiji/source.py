"""An open ij.ImagePlus as a source of boxes: a virtual stack is read from the disk piece by piece.

An ImagePlus holds its planes in the order TZCYX. An 8-bit image with a colour table stays what its
values are, intensities shown through a table; an RGB image gets a C axis of three and rgb=True.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from jpype import JClass
from jpype.nio import convertToDirectBuffer
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, IMAGEJ, Axes
from care_bridge.errors import FijiError
from care_bridge.fiji.buffers import DTYPES, RGB_BITS, from_java
from care_bridge.fiji.described import check_levels
from care_bridge.images.image import Calibration, Display, ImageInfo
from care_bridge.images.source import Box
from care_bridge.images.units import to_seconds

MODES = {1: "composite", 2: "color", 3: "grayscale"}  # ij.CompositeImage's constants
_RGB_SHIFTS = (16, 8, 0)
# Planes of a virtual stack that are kept, so that its tiles do not read them again: at most so
# many bytes, and this share of what Java may use.
_KEPT_BYTES, _KEPT_SHARE = 128 << 20, 8
_URL = "://"


class ImagePlusSource:
    """An ImageSource of an ij.ImagePlus, with the pixels that it holds at this moment.

    Raises FijiError where its grey levels are calibrated, those of signed 16-bit images among them.
    """

    def __init__(self, imp: Any) -> None:
        check_levels(str(imp.getTitle()), calibrated=bool(imp.getCalibration().calibrated()))
        self.info = image_info(imp)
        self._title = str(imp.getTitle())
        self._dtype = np.dtype(DTYPES[int(imp.getBitDepth())])
        self._stack = imp.getStack()
        count = int(self._stack.getSize())
        _, _, channels, depth, height, width = self.info.canonical_shape
        self._planes_a_frame = (1 if self.info.rgb else channels) * depth
        self.pieces = (1, 1, channels if self.info.rgb else 1, 1, height, width)
        self._kept: OrderedDict[int, Any] = OrderedDict()
        if self._stack.isVirtual():
            plane = height * width * self._dtype.itemsize
            java = int(JClass("java.lang.Runtime").getRuntime().maxMemory())
            self._most_kept = min(max(min(_KEPT_BYTES, java // _KEPT_SHARE) // plane, 1), count)
            self.memory = self._most_kept * plane
        else:
            # Also where it is closed while it is read.
            numbers = range(1, count + 1)
            self._kept.update((number, self._stack.getPixels(number)) for number in numbers)
            self._most_kept, self.memory = count, 0

    def read(self, box: Box) -> NDArray[np.generic]:
        """A copy of the pixels of a box (STCZYX), in one piece in ImageJ's order of planes.

        Raises FijiError where a file of a virtual stack is gone.
        """
        _, times, channels, slices, *place = box
        shape = [bounds.stop - bounds.start for bounds in (times, slices, channels, *place)]
        pixels = np.empty(shape, self.info.dtype)
        for t, z in np.ndindex(*shape[:2]):
            planes = pixels[t, z]
            if self.info.rgb:
                packed = np.empty(shape[3:], self._dtype)
                self._copy(times.start + t, slices.start + z, 0, place, packed)
                for c, plane in enumerate(planes, channels.start):
                    np.copyto(plane, (packed >> _RGB_SHIFTS[c]) & 0xFF, casting="unsafe")
                continue
            for c, plane in enumerate(planes):
                self._copy(times.start + t, slices.start + z, channels.start + c, place, plane)
        return Axes(IMAGEJ).to(pixels, Axes(CANONICAL))

    def _copy(self, t: int, z: int, c: int, place: list[slice], into: NDArray[Any]) -> None:
        per_slice = 1 if self.info.rgb else self.info.canonical_shape[2]
        number = t * self._planes_a_frame + z * per_slice + c + 1
        width = self.info.canonical_shape[-1]
        from_java(self._plane(number), width, (place[0], place[1]), into)

    def _plane(self, number: int) -> Any:
        """The Java array of a plane, counted from 1."""
        if number not in self._kept:
            self._check_file(number)
            self._kept[number] = self._stack.getPixels(number)
        self._kept.move_to_end(number)
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return self._kept[number]

    def _check_file(self, number: int) -> None:
        """Of a file that is gone ImageJ would give black pixels, or pixels with a text."""
        folder, name = self._stack.getDirectory(), self._stack.getFileName(number)
        if folder is None or name is None or _URL in str(folder):
            return
        file = Path(str(folder), str(name))
        if not file.exists():
            raise FijiError(
                f'{file}, slice {number} of the virtual stack "{self._title}", is not there any '
                "more: put it back, or open the stack again"
            )


def image_info(imp: Any) -> ImageInfo:
    """What an ij.ImagePlus is; axes of length 1 are left out."""
    width, height, channels, slices, frames = map(int, imp.getDimensions())
    rgb = imp.getBitDepth() == RGB_BITS
    if rgb:
        slices, channels = slices * channels, 3
    sizes = {"T": frames, "Z": slices, "C": channels, "Y": height, "X": width}
    axes = Axes("".join(axis for axis in IMAGEJ if axis in "YX" or sizes[axis] != 1))
    dtype = np.dtype(np.uint8 if rgb else DTYPES[int(imp.getBitDepth())])
    return ImageInfo(
        axes,
        tuple(sizes[axis] for axis in axes),
        dtype,
        _calibration(imp.getCalibration(), slices),
        Display() if rgb else _display(imp, channels),
        rgb=rgb,
        history=_history(imp),
    )


def _calibration(cal: Any, slices: int) -> Calibration:
    interval = to_seconds(float(cal.frameInterval), str(cal.getTimeUnit())) or None
    if not cal.scaled():
        return Calibration(frame_interval=interval)
    size = {"Y": float(cal.pixelHeight), "X": float(cal.pixelWidth)}
    if slices > 1:
        size = {"Z": float(cal.pixelDepth), **size}
    return Calibration.from_file(size, str(cal.getUnit()), interval)


def _display(imp: Any, channels: int) -> Display:
    luts = list(imp.getLuts())
    if imp.isComposite():
        mode = MODES[int(imp.getCompositeMode())]
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


def _table(lut: Any) -> NDArray[np.uint8]:
    colors = np.empty((3, 256), np.uint8)
    convertToDirectBuffer(colors).put(lut.getBytes())
    return np.ascontiguousarray(colors.T)


def _history(imp: Any) -> tuple[str, ...]:
    info = imp.getProperty("Info")
    return () if info is None else tuple(str(info).splitlines())
