"""Findings as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from care_bridge.evaluation.assessment import Assessment, Row
from care_bridge.evaluation.figures import CONDITIONS, FullFigures, mean_figures

_FIGURES = [entry.name for entry in fields(FullFigures)]
_MOST_LINES = 40
_MOST_SETTINGS = 3
_OR = " / "
_DECIMALS = {"psnr": 2, "plain_psnr": 2}


def mean_rows(assessments: Sequence[Assessment]) -> dict[tuple[float | None, str], FullFigures]:
    """The mean over images and channels by photons (None: images as they are) and method."""
    grouped: dict[tuple[float | None, str], list[FullFigures]] = {}
    for assessment in assessments:
        for row in assessment.rows:
            if row.frame is None and row.slice is None and row.figures:
                grouped.setdefault((row.photons, row.method), []).append(row.figures)
    return {key: mean_figures(several) for key, several in grouped.items()}


def mean_table(assessments: Sequence[Assessment]) -> list[list[str]]:
    """A header and a line of mean figures for each method (and number of photons), with the
    settings that suited the images best."""
    means, settings = mean_rows(assessments), _settings(assessments)
    doses = any(photons is not None for photons, _ in means)
    several = any(settings.values())
    head = [*(["photons"] if doses else []), "method", *_FIGURES]
    table = [[*head, *(["setting"] if several else [])]]
    for (photons, method), figures in means.items():
        dose = [f"{photons:g}"] if photons is not None else []
        cells = figure_cells(figures)
        setting = [settings[photons, method]] if several else []
        table.append([*dose, method, *cells, *setting])
    return table


def figure_cells(figures: FullFigures) -> list[str]:
    """A text for each figure; a dash for one that is not defined."""
    return [
        "-" if value is None else f"{value:.{_DECIMALS.get(key, 4)}f}"
        for key, value in asdict(figures).items()
    ]


def as_text(assessments: Sequence[Assessment]) -> str:
    """Tables for a terminal, and what the figures depend on."""
    parts = []
    if means := mean_rows(assessments):
        names = {assessment.name for assessment in assessments}
        parts.append(f"means of {len(names)} image{'s' * (len(names) > 1)}")
        parts.append(aligned(mean_table(assessments)))
    for heading, table in findings(assessments):
        parts += ["", heading, aligned(table[: _MOST_LINES + 1])]
        if len(table) > _MOST_LINES + 1:
            parts.append(f"… and {len(table) - _MOST_LINES - 1} more lines (--json has all)")
    notes = [f"{_label(one)[0]}: {note}" for one in assessments for note in one.notes]
    if notes:
        parts += ["", *notes]
    if means:
        parts += ["", *CONDITIONS]
    return "\n".join(parts)


def _settings(assessments: Sequence[Assessment]) -> dict[tuple[float | None, str], str]:
    """The settings of each method in all images, without repetition."""
    found: dict[tuple[float | None, str], dict[str, None]] = {}
    for assessment in assessments:
        for row in assessment.rows:
            texts = found.setdefault((row.photons, row.method), {})
            texts |= dict.fromkeys(filter(None, row.setting.split(_OR)))
    return {
        key: _OR.join(list(texts)[:_MOST_SETTINGS]) + (" …" if len(texts) > _MOST_SETTINGS else "")
        for key, texts in found.items()
    }


def findings(assessments: Sequence[Assessment]) -> list[tuple[str, list[list[str]]]]:
    """Tables of everything besides the figures: (heading, header and lines)."""
    tables = []
    objects = [
        [
            *_label(one),
            name,
            str(found.objects),
            str(found.true_objects),
            f"{100 * found.unmatched:.1f} %",
            f"{found.seg:.3f}",
        ]
        for one in assessments
        for name, found in one.objects.items()
    ]
    if objects:
        header = ["image", "method", "objects", "in the truth", "unmatched at IoU 0.5", "SEG"]
        tables.append(("Objects (Otsu's threshold, connected components)", [header, *objects]))
    unexplained = [
        [*_label(one), f"{found.error:.4g}", f"{found.correlation:.4f}", f"{found.sigma:.2f}"]
        for one in assessments
        if (found := one.unexplained)
    ]
    if unexplained:
        header = ["image", "error (grey levels of the input)", "correlation", "blur sigma (pixels)"]
        heading = "Resolution-scaled error: the result, blurred back, against its input"
        tables.append((heading, [header, *unexplained]))
    isotropy = [
        [*_label(one), name, f"{found.ratio:.4g}"]
        for one in assessments
        for name, found in one.isotropy.items()
    ]
    if isotropy:
        header = ["image", "method", "axial / lateral energy"]
        tables.append(("Spectral isotropy (1: as much detail along Z)", [header, *isotropy]))
    reliable = [
        [*_label(one), f"{curve.error:.4f}", curve.verdict]
        for one in assessments
        if (curve := one.reliability)
    ]
    if reliable:
        header = ["image", "expected calibration error", "verdict"]
        tables.append(("Reliability of the predicted distributions", [header, *reliable]))
    return tables


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Lines of columns: texts to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for cells in table:
        padded = [
            cell.rjust(width)
            if cell[:1].isdigit() or cell[:1] == "-" or head in _FIGURES
            else cell.ljust(width)
            for cell, width, head in zip(cells, widths, table[0], strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def as_csv(assessments: Sequence[Assessment]) -> str:
    """A header and a line for each row: image, method, channel, frame, slice; empty: all."""
    text = io.StringIO()
    said = ["image", "method", "setting", "channel", "frame", "slice", "photons"]
    writer = csv.DictWriter(text, [*said, *_FIGURES], lineterminator="\n")
    writer.writeheader()
    for assessment in assessments:
        for row in assessment.rows:
            writer.writerow(_flat(row))
    return text.getvalue()


def as_data(
    assessments: Sequence[Assessment], failed: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Everything but the pictures, as data for JSON. failed: (name, reason) of images without
    assessment."""
    return {
        "conditions": list(CONDITIONS),
        "means": [
            {"photons": photons, "method": method, **_finite(asdict(figures))}
            for (photons, method), figures in mean_rows(assessments).items()
        ],
        "images": [_data(assessment) for assessment in assessments],
        "failed": [{"image": name, "reason": reason} for name, reason in failed],
    }


def _data(one: Assessment) -> dict[str, Any]:
    data: dict[str, Any] = {"image": one.name, "photons": one.photons}
    data["notes"] = list(one.notes)
    data["rows"] = [_finite(_flat(row)) for row in one.rows]
    data["objects"] = {name: asdict(found) for name, found in one.objects.items()}
    data["profiles"] = {name: np.round(line, 6).tolist() for name, line in one.profiles.items()}
    data["isotropy"] = {
        name: {
            "ratio": found.ratio,
            "frequencies": found.frequencies.tolist(),
            "axial": found.axial.tolist(),
            "lateral": found.lateral.tolist(),
        }
        for name, found in one.isotropy.items()
    }
    if one.unexplained:
        found = one.unexplained
        data["resolution_scaled"] = {
            "error": found.error,
            "correlation": found.correlation,
            "sigma": found.sigma,
        }
    if one.reliability:
        data["reliability"] = asdict(one.reliability)
    return data


def _flat(row: Row) -> dict[str, Any]:
    said = {key: value for key, value in vars(row).items() if key != "figures"}
    return said | (asdict(row.figures) if row.figures else dict.fromkeys(_FIGURES))


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: the PSNR of an image that equals its truth becomes null."""
    return {key: None if value == float("inf") else value for key, value in values.items()}


def _label(one: Assessment) -> list[str]:
    return [one.name if one.photons is None else f"{one.name}, {one.photons:g} photons"]
