"""Restoring an ij.ImagePlus by the options of a macro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from care_bridge.fiji.images import from_imageplus
from care_bridge.fiji.parameters import Parameter, restore_options, restoring
from care_bridge.fiji.progress import status_bar
from care_bridge.fiji.results import (
    RESULTS,
    SUFFIX,
    check_replacement,
    selected_window,
    show_result,
)
from care_bridge.fiji.sessions import model_parameter, restorer_for
from care_bridge.package.store import find_package

RESTORE = "CARE Restore"
PARAMETERS = (
    model_parameter(),
    Parameter(
        "result",
        "new: a new image; replace: in place of the old pixels; composite: a new image with the "
        "raw and the restored channels",
        RESULTS[0],
        "choice",
        RESULTS,
    ),
    Parameter("suffix", "what is added to the image's name", SUFFIX),
    *restoring(files=False),
)


def restore_imageplus(imp: Any, given: Mapping[str, str]) -> Any:
    """Restore an image, or the rectangle that is selected in it, and show the result, which is
    returned: a new ij.ImagePlus, or `imp` where it was replaced.

    given: values of PARAMETERS. Raises Restorer's errors, and FijiError where `imp` cannot be
    replaced.
    """
    how = given.get("result", RESULTS[0])
    if how == "composite":
        given = {**given, "with_raw": "true"}
    window = selected_window(imp)
    if how == "replace":
        check_replacement(imp, window)
    restorer = restorer_for(given)
    with status_bar(RESTORE, restorer.session.cancel) as progress:
        restored = restorer.restore_image(from_imageplus(imp), progress, window)
    return show_result(imp, restored, how, given.get("suffix", SUFFIX), window)


def check_restoration(given: Mapping[str, str]) -> None:
    """Raise where the model is not there or an option cannot be read."""
    restore_options(given)
    find_package(given["model"])
