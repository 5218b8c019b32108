"""The panels and charts of findings as files: PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from care_bridge.errors import ImageError
from care_bridge.evaluation.assessment import Assessment
from care_bridge.evaluation.shown import PANEL_LIMITS, charts_of, charts_over, panels
from care_bridge.images.picture import write_panels
from care_bridge.images.whole_file import whole_file

_COLUMNS = 4


def write_pictures(
    assessments: Sequence[Assessment], folder: Path, *, overwrite: bool = False
) -> None:
    """Write NAME.png for each field of view that has planes, and a HEADING.svg for each chart.

    Raises ImageError where the folder holds files already and `overwrite` is not set.
    """
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ImageError(f"{folder} is not empty: choose another folder, or overwrite")
    for heading, chart in charts_over(assessments).items():
        _write(chart, folder / f"{_words(heading)}.svg")
    for one in assessments:
        name = Path(one.name).stem + ("" if one.photons is None else f"_{one.photons:g}_photons")
        if one.planes:
            write_panels(folder / f"{name}.png", panels(one), limits=PANEL_LIMITS, columns=_COLUMNS)
        for heading, chart in charts_of(one).items():
            _write(chart, folder / f"{name}_{_words(heading)}.svg")


def _words(heading: str) -> str:
    """The heading's first part as a part of a file name."""
    return heading.partition(":")[0].lower().replace(" ", "_")


def _write(chart: str, path: Path) -> None:
    with whole_file(path, overwrite=True) as partial:
        partial.write_text(chart + "\n", encoding="utf-8")
