"""Restoring an ij.ImagePlus by the options of a macro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.described import (
    GONE,
    RESTORE,
    RESULTS,
    SUFFIX,
    check_replacement,
    check_same_dimensions,
)
from care_bridge.fiji.open_images import is_open, locked
from care_bridge.fiji.progress import status_bar, stoppable
from care_bridge.fiji.results import (
    check_room,
    selected_window,
    show_result,
)
from care_bridge.fiji.sessions import restorer_for
from care_bridge.fiji.source import ImagePlusSource
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.restorer import Restorer


def restore_imageplus(imp: Any, given: Mapping[str, str]) -> Any:
    """Restore an image, or the rectangle that is selected in it, and show the result, which is
    returned: a new ij.ImagePlus, or `imp` where it was replaced. What is told of its uncertainty is
    shown as an image of its own; the result is the active one.

    given: values of its parameters. Raises Restorer's errors, and FijiError where `imp` cannot be
    replaced, or is closed before it is.
    """
    how = given.get("result", RESULTS[0])
    if how == "composite":
        given = {**given, "with_raw": "true"}
    window = selected_window(imp)
    if how == "replace":
        check_replacement(part=window is not None, virtual=imp.getStack().isVirtual())
    restorer = restorer_for(given)
    was_open = is_open(imp)
    with locked(imp), status_bar(RESTORE) as bar:

        def tiles(done: int, total: int) -> None:
            if how == "replace" and was_open and not is_open(imp):
                raise FijiError(GONE)
            bar.tiles(done, total)

        restored, told = restored_part(
            restorer,
            ImagePlusSource(imp),
            window,
            bar.reading,
            tiles,
            replaced=str(imp.getTitle()) if how == "replace" else None,
        )
    suffix = given.get("suffix", SUFFIX)
    if told:
        show_result(imp, told, "new", f"{suffix}_{restorer.options.uncertainty}", window)
    result = show_result(imp, restored, how, suffix, window)
    if told and how == "replace":
        JClass("ij.IJ").selectWindow(imp.getID())
    return result


def restored_part(
    restorer: Restorer,
    source: ImagePlusSource,
    window: Mapping[str, slice] | None,
    on_reading: Progress,
    on_tile: Progress,
    replaced: str | None = None,
) -> tuple[Image, Image | None]:
    """What the restorer makes of an image, or of a window of it; and what is told of its
    uncertainty, if anything is. replaced: title of the image that the result is to replace.

    KeyboardInterrupt where Escape is pressed; FijiError where ImageJ has no room for the result, or
    its dimensions are not those of the image that it is to replace.
    """
    with stoppable(restorer.session.cancel):
        plan = restorer.plan(source, window, on_reading)
        infos = [plan.info] if plan.uncertainty is None else [plan.info, plan.uncertainty]
        for info in infos:
            check_room(info)
        if replaced is not None:
            check_same_dimensions(replaced, source.info, plan.info)
        sink, *beside = map(ImageInMemory.empty, infos)
        restorer.restore(source, plan, sink, on_tile, *beside)
    return sink.image, beside[0].image if beside else None
