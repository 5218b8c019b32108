"""CARE Preview: a part of the active image under several models or percentiles, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jpype import JClass

from care_bridge.axes import CANONICAL, Axes
from care_bridge.fiji.described import LABEL_PLACE, PREVIEW, middle, preview_variants, side_by_side
from care_bridge.fiji.images import to_imageplus
from care_bridge.fiji.open_images import active_image, locked
from care_bridge.fiji.progress import status_bar
from care_bridge.fiji.restoring import restored_part
from care_bridge.fiji.results import selected_window
from care_bridge.fiji.sessions import restorer_for
from care_bridge.fiji.source import ImagePlusSource
from care_bridge.images.image import Image
from care_bridge.images.source import whole


def preview(given: Mapping[str, str]) -> None:
    """Show the selected rectangle, or the middle, raw and under each variant, from left to right.

    Every panel is a part of what CARE Restore would give for the whole image: normalised with its
    percentiles, with the halo around it. Raises Restorer's errors.
    """
    imp = active_image()
    source = ImagePlusSource(imp)
    window = selected_window(imp) or middle(source.info.sizes)
    panels = {"raw": _cut_out(source, window)}
    with locked(imp):
        for label, variant in preview_variants(given).items():
            with status_bar(f"{PREVIEW}: {label}") as bar:
                panels[label], _ = restored_part(
                    restorer_for(variant), source, window, bar.reading, bar.tiles
                )
    result = to_imageplus(side_by_side(panels), f"{imp.getTitle()}: preview")
    _label(result, list(panels))
    result.show()


def _cut_out(source: ImagePlusSource, window: Mapping[str, slice]) -> Image:
    box = [window.get(a, every) for a, every in zip(CANONICAL, whole(source.info), strict=True)]
    pixels = Axes(CANONICAL).to(source.read(tuple(box)), source.info.axes)
    return Image.of(source.info, pixels)


def _label(imp: Any, labels: list[str]) -> None:
    """Write above each panel what it is."""
    overlay = JClass("ij.gui.Overlay")()
    width = int(imp.getWidth()) // len(labels)
    for number, label in enumerate(labels):
        place = number * width + LABEL_PLACE, LABEL_PLACE
        text = JClass("ij.gui.TextRoi")(*map(float, place), label)
        text.setStrokeColor(JClass("java.awt.Color").yellow)
        overlay.add(text)
    imp.setOverlay(overlay)
