"""CARE Preview: a part of the active image under several models or percentiles, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.images import from_imageplus, to_imageplus
from care_bridge.fiji.open_images import active_image
from care_bridge.fiji.parameters import Command, Parameter, restoring
from care_bridge.fiji.progress import status_bar
from care_bridge.fiji.restoring import check_restoration
from care_bridge.fiji.results import selected_window
from care_bridge.fiji.sessions import restorer_for
from care_bridge.images.image import Image
from care_bridge.package.store import bundled_models

_NAME = "CARE Preview"
_SIDE = 256
_BETWEEN = ";"
_CHOSEN_HERE = ("percentile_low", "percentile_high", "with_raw")
_LABEL_PLACE = 4


def preview(given: Mapping[str, str]) -> None:
    """Show the selected rectangle, or the middle, raw and under each variant, from left to right.

    Every panel is a part of what CARE Restore would give for the whole image: normalised with its
    percentiles, with the halo around it. Raises Restorer's errors.
    """
    imp = active_image()
    window = selected_window(imp) or _middle(imp)
    image = from_imageplus(imp)
    inside = tuple(window.get(axis, slice(None)) for axis in image.axes)
    panels = {"raw": image.replace(pixels=image.pixels[inside])}
    for label, variant in _variants(given).items():
        restorer = restorer_for(variant)
        with status_bar(f"{_NAME}: {label}", restorer.session.cancel) as progress:
            panels[label] = restorer.restore_image(image, progress, window)
    result = to_imageplus(_side_by_side(panels), f"{imp.getTitle()}: preview")
    _label(result, list(panels))
    result.show()


def _middle(imp: Any) -> dict[str, slice]:
    sizes = {"Y": int(imp.getHeight()), "X": int(imp.getWidth())}
    starts = {axis: max((size - _SIDE) // 2, 0) for axis, size in sizes.items()}
    return {axis: slice(start, min(start + _SIDE, sizes[axis])) for axis, start in starts.items()}


def _variants(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Options of each panel by what is written above it."""
    variants = {}
    pairs = given.get("percentiles", "").split(_BETWEEN)
    for model, pair in product(given["model"].split(_BETWEEN), pairs):
        low, _, high = pair.strip().partition(",")
        label = f"{Path(model.strip()).name} {pair.strip()}".strip()
        chosen = {"model": model.strip(), "percentile_low": low, "percentile_high": high}
        variants[label] = {**given, **chosen}
    return variants


def _side_by_side(panels: Mapping[str, Image]) -> Image:
    raw = panels["raw"]
    for label, panel in panels.items():
        if panel.axes != raw.axes or panel.pixels.shape != raw.pixels.shape:
            raise FijiError(
                f"{label} gives another size ({panel.axes} {panel.pixels.shape}) than the image "
                f"({raw.axes} {raw.pixels.shape}), so that they cannot be shown side by side: use "
                "CARE Restore for this model"
            )
    across = raw.axes.index("X")
    pixels = np.concatenate([panel.pixels for panel in panels.values()], axis=across)
    return raw.replace(pixels=pixels)


def _label(imp: Any, labels: list[str]) -> None:
    """Write above each panel what it is."""
    overlay = JClass("ij.gui.Overlay")()
    width = int(imp.getWidth()) // len(labels)
    for number, label in enumerate(labels):
        place = number * width + _LABEL_PLACE, _LABEL_PLACE
        text = JClass("ij.gui.TextRoi")(*map(float, place), label)
        text.setStrokeColor(JClass("java.awt.Color").yellow)
        overlay.add(text)
    imp.setOverlay(overlay)


def _check(given: Mapping[str, str]) -> None:
    for variant in _variants(given).values():
        check_restoration(variant)


PREVIEW = Command(
    _NAME,
    "Shows the selected rectangle under several models or percentiles, side by side.",
    preview,
    (
        Parameter(
            "model",
            f"models as in CARE Restore, with {_BETWEEN} between them",
            kind="file",
            suggested=_BETWEEN.join(bundled_models()),
        ),
        Parameter(
            "percentiles",
            f"pairs of a low and a high percentile, with {_BETWEEN} between them, e.g. "
            "2,99.8;0.1,99.9; empty: the package's",
            "",
        ),
        *(each for each in restoring(files=False) if each.name not in _CHOSEN_HERE),
    ),
    _check,
)
