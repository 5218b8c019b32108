"""A survey for people: text, data, a montage of patches and one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.evaluation.charts import Series, line_chart
from care_bridge.evaluation.page import page, picture, table_of
from care_bridge.training.patches import shown_plane
from care_bridge.training.survey import SHIFT_LIMIT, FileSurvey, Histogram, Survey

_SHOWN = 12
_LIMITS = (0.0, 1.0)

Panel = tuple[str, NDArray[np.generic]]


def as_text(survey: Survey) -> str:
    """Counts, the split and the warnings, for a terminal."""
    lines = [survey.said]
    for part in ("training", "validation"):
        files = [file for file in survey.files if file.part == part]
        frames = sum(file.frames for file in files)
        names = ", ".join(file.name for file in files[:8]) + (" …" if len(files) > 8 else "")
        lines.append(f"{part}: {len(files)} images, {frames} frames: {names}")
    places = sum(file.places for file in survey.files if file.part == "training")
    centres = sum(file.centres for file in survey.files if file.part == "training")
    size = " x ".join(map(str, survey.patch))
    lines.append(
        f"patches of {size}: drawn around {centres} of {places} places "
        f"({100 * centres / places:.0f} %), where there is foreground"
    )
    lines += [f"warning: {warning}" for warning in survey.warnings]
    return "\n".join(lines if survey.warnings else [*lines, "nothing to warn of"])


def as_data(survey: Survey) -> dict[str, Any]:
    """Everything but the pixels, as data for JSON."""
    return {
        "said": survey.said,
        "patch": list(survey.patch),
        "files": [asdict(file) for file in survey.files],
        "histograms": {
            name: {key: values.tolist() for key, values in vars(histogram).items()}
            for name, histogram in (("before", survey.before), ("after", survey.after))
        },
        "warnings": list(survey.warnings),
    }


def panels(survey: Survey) -> list[Panel]:
    """Patch pairs as training draws them: source and target in turn, each its middle plane."""
    shown: list[Panel] = []
    for number, (source, target) in enumerate(survey.patches[:_SHOWN], 1):
        shown += [
            (f"source {number}", shown_plane(source)),
            (f"target {number}", shown_plane(target)),
        ]
    return shown


def as_html(survey: Survey, title: str) -> str:
    """One page that holds its pictures itself."""
    parts = [f"<p>{escape(survey.said)}</p>", "<h2>Warnings</h2>"]
    parts += [f"<p>{escape(warning)}</p>" for warning in survey.warnings or ("none",)]
    parts += [
        "<h2>Images</h2>",
        table_of(_table(survey.files)),
        '<p class="said">From, to: the grey levels that prediction maps to 0 and 1. '
        "Foreground: share of the places that patches are drawn from. Shift: of the target against "
        f"the source; above {SHIFT_LIMIT:g} it is warned of.</p>",
    ]
    parts += [
        "<h2>Patches, as the network will see them</h2>",
        '<p class="said">Normalised, black 0, white 1; of volumes the middle slice, of channels '
        'the first.</p><div class="panels">',
        *_pairs(panels(survey)),
        "</div><h2>Grey levels</h2><h3>As they are</h3>",
        _chart(survey.before, "grey level"),
        "<h3>Normalised, in the patches</h3>",
        _chart(survey.after, "normalised"),
    ]
    return page(title, parts)


def _pairs(shown: Sequence[Panel]) -> Iterator[str]:
    """Source and target in one box, so that no line break parts them."""
    pictures = [picture(label, plane.astype(np.float64), _LIMITS) for label, plane in shown]
    for source, target in zip(pictures[::2], pictures[1::2], strict=True):
        yield f'<div class="pair">{source}{target}</div>'


def _table(files: Sequence[FileSurvey]) -> list[list[str]]:
    head = [
        "image",
        "part",
        "frames",
        "size",
        "source type",
        "source from, to",
        "target from, to",
    ]
    table = [[*head, "saturated", "foreground", "shift (pixels)"]]
    for file in files:
        saturated = max(file.source.saturated, file.target.saturated)
        shift = "unclear"
        if file.shift and file.shift.clear:
            shift = ", ".join(f"{part:+.1f}" for part in file.shift.pixels)
        table.append(
            [
                file.name,
                file.part,
                str(file.frames),
                " x ".join(map(str, file.shape)),
                file.source.dtype,
                _ends(file.source.low, file.source.high),
                _ends(file.target.low, file.target.high),
                f"{100 * saturated:.2f} %",
                f"{100 * file.centres / file.places:.0f} %",
                shift,
            ]
        )
    return table


def _ends(low: Sequence[float], high: Sequence[float]) -> str:
    return "; ".join(f"{lo:.4g} to {hi:.4g}" for lo, hi in zip(low, high, strict=True))


def _chart(histogram: Histogram, x_label: str) -> str:
    middles = ((histogram.edges[1:] + histogram.edges[:-1]) / 2).tolist()
    lines: dict[str, Series] = {
        "source": (middles, histogram.source.tolist()),
        "target": (middles, histogram.target.tolist()),
    }
    return line_chart(lines, x_label=x_label, y_label="share of pixels")
