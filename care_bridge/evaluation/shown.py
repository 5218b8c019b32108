"""What is shown of findings: panels of planes and charts, by heading.

Needs scikit-image (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.evaluation.assessment import Assessment
from care_bridge.evaluation.charts import Series, line_chart
from care_bridge.evaluation.pictures import ssim_map
from care_bridge.evaluation.tables import mean_rows

Plane = NDArray[np.float64]

PANEL_LIMITS = (-0.05, 1.05)
"""What panels show as black and white."""

_MAPPED = ("input", "restored")
_ERROR_FACTOR = 4
_MOST_LINES = 8

PANELS_EXPLAINED = (
    "All in the scale of the truth, black 0, white 1. Error: absolute difference to the truth, "
    f"{_ERROR_FACTOR} times. SSIM: black 0, white 1."
)


def panels(one: Assessment) -> list[tuple[str, Plane]]:
    """(label, plane): the methods, the truth, then maps of error and SSIM."""
    shown = _ordered(one.planes)
    for name in _MAPPED:
        if name in one.planes:
            plane, truth = one.planes[name], one.planes["truth"]
            shown.append((f"error of {name} x {_ERROR_FACTOR}", _ERROR_FACTOR * abs(plane - truth)))
            shown.append((f"SSIM of {name}", ssim_map(plane, truth)))
    return shown


def charts_of(one: Assessment) -> dict[str, str]:
    """Charts (SVG) of one field of view, by heading."""
    charts = {}
    if one.profiles:
        lines: dict[str, Series] = {
            name: (range(len(line)), line.tolist()) for name, line in _ordered(one.profiles)
        }
        charts["Profile along the line"] = line_chart(
            lines, x_label="pixels along the line", y_label="in the truth's scale"
        )
    if one.isotropy:
        shells: dict[str, Series] = {}
        for name, found in one.isotropy.items():
            ratios = (found.axial / found.lateral).tolist()
            shells[name] = (found.frequencies.tolist(), ratios)
        charts["Axial against lateral energy"] = line_chart(
            shells, x_label="cycles a unit of length", y_label="axial / lateral", log_y=True
        )
    return charts


def charts_over(assessments: Sequence[Assessment]) -> dict[str, str]:
    """Charts (SVG) over all fields of view, by heading."""
    charts = {}
    doses = _by_dose(assessments)
    if doses:
        charts["Error against dose"] = line_chart(
            doses, x_label="photons in an average pixel", y_label="PSNR (dB)", log_x=True, dots=True
        )
    curves: dict[str, Series] = {
        one.name: (one.reliability.confidences, one.reliability.accuracies)
        for one in assessments
        if one.reliability
    }
    if curves:
        diagonal: dict[str, Series] = {"diagonal": ((0.0, 1.0), (0.0, 1.0))}
        few = dict(list(curves.items())[:_MOST_LINES])
        charts["Calibration: below the diagonal, too sure of itself"] = line_chart(
            few | diagonal, x_label="confidence", y_label="share of the truth inside"
        )
    return charts


def _by_dose(assessments: Sequence[Assessment]) -> dict[str, Series]:
    """Mean PSNR against photons, a line a method."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for (photons, method), figures in mean_rows(assessments).items():
        if photons is not None:
            photons_so_far, psnr = lines.setdefault(method, ([], []))
            photons_so_far.append(photons)
            psnr.append(figures.psnr)
    return dict(lines)


def _ordered(planes: Mapping[str, Plane]) -> list[tuple[str, Plane]]:
    """Input first, truth last."""
    rank = {"input": 0, "restored": 1, "truth": 3}
    return sorted(planes.items(), key=lambda item: rank.get(item[0], 2))
