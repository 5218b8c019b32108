"""How a restored image appears in ImageJ: as a new image, in place of the old one, or beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.described import as_composite, result_title
from care_bridge.fiji.images import to_imageplus
from care_bridge.images.image import Image, ImageInfo

_MIB = 1 << 20


def selected_window(imp: Any) -> dict[str, slice] | None:
    """The rectangle that is selected in an ij.ImagePlus, by axis; None where the whole image is
    meant: nothing, everything or another shape is selected."""
    roi = imp.getRoi()
    if roi is None or roi.getType() != JClass("ij.gui.Roi").RECTANGLE:
        return None
    width, height = int(imp.getWidth()), int(imp.getHeight())
    bounds = roi.getBounds().intersection(JClass("java.awt.Rectangle")(0, 0, width, height))
    if bounds.isEmpty() or (bounds.width, bounds.height) == (width, height):
        return None
    return {
        "Y": slice(int(bounds.y), int(bounds.y + bounds.height)),
        "X": slice(int(bounds.x), int(bounds.x + bounds.width)),
    }


def check_room(info: ImageInfo) -> None:
    """Raise FijiError where the memory that ImageJ may use has no room for such an image."""
    runtime = JClass("java.lang.Runtime").getRuntime()
    free = int(runtime.maxMemory() - runtime.totalMemory() + runtime.freeMemory())
    needed = math.prod(info.shape) * info.dtype.itemsize
    if needed > free:
        raise FijiError(
            f"the result needs {needed / _MIB:.0f} MiB and ImageJ has {free / _MIB:.0f} MiB left: "
            "close images, or use CARE Batch Restore, which writes it to the disk"
        )


def show_result(
    imp: Any, restored: Image, how: str, suffix: str, window: Mapping[str, slice] | None
) -> Any:
    """Show what was made of `imp` and return it; it is the active image afterwards.

    how: one of described.RESULTS; where `imp` is replaced, the result has its dimensions. Overlays
    and slice labels are kept.
    """
    if how == "replace":
        _replace(imp, restored)
        return imp
    if how == "composite":
        restored = as_composite(restored)
    result = to_imageplus(restored, result_title(str(imp.getTitle()), suffix))
    _keep(imp, result, window)
    result.changes = True
    result.show()
    return result


def _replace(imp: Any, restored: Image) -> None:
    result = to_imageplus(restored, imp.getTitle())
    # ImageJ keeps what can be undone outside macros only.
    JClass("ij.Undo").setup(JClass("ij.Undo").TRANSFORM, imp)
    _keep(imp, result, None)
    result.setFileInfo(imp.getOriginalFileInfo())
    result.setCalibration(imp.getCalibration())
    place = imp.getChannel(), imp.getSlice(), imp.getFrame()
    imp.setImage(result)
    imp.setPosition(*place)
    imp.changes = True
    imp.updateAndDraw()


def _keep(imp: Any, result: Any, window: Mapping[str, slice] | None) -> None:
    """Give `result` the overlay and, where it has as many slices, the slice labels of `imp`."""
    overlay = imp.getOverlay()
    if overlay is not None and window is not None:
        y, x = window["Y"], window["X"]
        rectangle = JClass("java.awt.Rectangle")(
            x.start, y.start, x.stop - x.start, y.stop - y.start
        )
        result.setOverlay(overlay.crop(rectangle))
    elif overlay is not None:
        result.setOverlay(overlay.duplicate())
    old, new = imp.getStack(), result.getStack()
    # A single plane's label is made of its title.
    if old is not None and 1 < old.getSize() == new.getSize():
        for number in range(1, old.getSize() + 1):
            new.setSliceLabel(old.getSliceLabel(number), number)
