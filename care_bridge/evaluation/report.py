"""The findings as one HTML page that holds its pictures itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from care_bridge.evaluation.assessment import Assessment
from care_bridge.evaluation.charts import Series, line_chart
from care_bridge.evaluation.figures import CONDITIONS
from care_bridge.evaluation.page import page, picture, table_of
from care_bridge.evaluation.pictures import ssim_map
from care_bridge.evaluation.tables import figure_table, findings, mean_rows

_ERROR_LIMITS = (0.0, 0.25)
_SSIM_LIMITS = (0.0, 1.0)
_SHOWN_LIMITS = (-0.05, 1.05)
_MAPPED = ("input", "restored")
_SEVERAL_ROWS = 200


def as_html(assessments: Sequence[Assessment], title: str) -> str:
    """The page; nothing in it is fetched from elsewhere."""
    parts = []
    means = mean_rows(assessments)
    if means:
        names = {assessment.name for assessment in assessments}
        parts.append(f"<h2>Figures, means of {len(names)} image{'s' * (len(names) > 1)}</h2>")
        parts.append(table_of(figure_table(means)))
        parts += [f'<p class="said">{escape(sentence)}</p>' for sentence in CONDITIONS]
        parts += _dose_chart(assessments)
    for heading, table in findings(assessments):
        parts.append(f"<h2>{escape(heading)}</h2>{table_of(table, words=True)}")
    parts += _reliability_chart(assessments)
    for assessment in assessments:
        parts += _one(assessment)
    parts += _single_rows(assessments)
    return page(title, parts)


def _one(one: Assessment) -> Iterator[str]:
    """Pictures and charts of one field of view."""
    dose = "" if one.photons is None else f", {one.photons:g} photons"
    heading = f"<h2>{escape(one.name)}{dose}</h2>"
    if one.planes:
        yield heading
        yield '<div class="panels">'
        yield from (picture(name, plane, _SHOWN_LIMITS) for name, plane in _ordered(one.planes))
        yield "</div><h3>Where they err</h3>"
        yield (
            '<p class="said">Error: absolute difference to the truth in its scale, black 0, white '
            f"{_ERROR_LIMITS[1]:g}. SSIM: black 0, white 1.</p>"
            '<div class="panels">'
        )
        truth = one.planes["truth"]
        for name in _MAPPED:
            if name in one.planes:
                error = np.abs(one.planes[name] - truth)
                yield picture(f"error of {name}", error, _ERROR_LIMITS)
                yield picture(f"SSIM of {name}", ssim_map(one.planes[name], truth), _SSIM_LIMITS)
        yield "</div>"
    if one.profiles:
        lines: dict[str, Series] = {
            name: (range(len(line)), line.tolist()) for name, line in _ordered(one.profiles)
        }
        yield f"<h3>Profile along the line, {escape(one.name)}{dose}</h3>"
        yield line_chart(lines, x_label="pixels along the line", y_label="in the truth's scale")
    if one.isotropy:
        shells: dict[str, Series] = {}
        for name, found in one.isotropy.items():
            ratios = (found.axial / found.lateral).tolist()
            shells[name] = (found.frequencies.tolist(), ratios)
        yield f"<h3>Axial against lateral energy, {escape(one.name)}{dose}</h3>"
        yield line_chart(
            shells,
            x_label="spatial frequency (cycles a unit)",
            y_label="axial / lateral",
            log_y=True,
        )
    if one.unexplained and one.unexplained.difference.ndim == 2:
        found_error = one.unexplained
        limit = 4 * found_error.error or 1.0
        yield f"<h3>What the blurred result does not explain, {escape(one.name)}{dose}</h3>"
        yield (
            f'<p class="said">Input - result, blurred with sigma {found_error.sigma:.2f} and '
            f"fitted; grey 0, black and white -+{limit:.3g} grey levels. Structures here were lost "
            "(bright) or invented (dark).</p>"
        )
        yield picture("difference", found_error.difference, (-limit, limit))


def _ordered(
    planes: Mapping[str, NDArray[np.float64]],
) -> list[tuple[str, NDArray[np.float64]]]:
    """Input first, truth last."""
    rank = {"input": 0, "restored": 1, "truth": 3}
    return sorted(planes.items(), key=lambda item: rank.get(item[0], 2))


def _dose_chart(assessments: Sequence[Assessment]) -> Iterator[str]:
    """PSNR against photons, a line a method, where exposures were simulated."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for (photons, method), figures in mean_rows(assessments).items():
        if photons is not None:
            xs, ys = lines.setdefault(method, ([], []))
            xs.append(photons)
            ys.append(figures.psnr)
    if lines:
        yield "<h2>Error against dose</h2>"
        yield line_chart(
            lines, x_label="photons in an average pixel", y_label="PSNR (dB)", log_x=True, dots=True
        )


def _reliability_chart(assessments: Sequence[Assessment]) -> Iterator[str]:
    lines: dict[str, Series] = {}
    for one in assessments:
        if one.reliability:
            lines[one.name] = (one.reliability.confidences, one.reliability.accuracies)
    if lines:
        yield "<h3>Calibration curve: below the diagonal, the model is too sure of itself</h3>"
        diagonal: dict[str, Series] = {"diagonal": ((0.0, 1.0), (0.0, 1.0))}
        yield line_chart(
            lines | diagonal, x_label="confidence", y_label="share of the truth inside"
        )


def _single_rows(assessments: Sequence[Assessment]) -> Iterator[str]:
    """Every image, frame and slice; hidden until it is opened."""
    rows = [row for one in assessments for row in one.rows]
    head = ["image", "photons", "method", "setting", "channel", "frame", "slice"]
    table = [[*head, "nrmse", "psnr", "ssim", "micro_ssim"]]
    for row in rows[:_SEVERAL_ROWS]:
        said = [row.image, row.photons, row.method, row.setting, row.channel, row.frame, row.slice]
        figures = row.figures
        found = ["the truth is blank", "", "", ""]
        if figures:
            found = [f"{figures.nrmse:.4f}", f"{figures.psnr:.2f}"]
            found += [f"{figures.ssim:.4f}", f"{figures.micro_ssim:.4f}"]
        table.append([*("all" if value is None else str(value) for value in said), *found])
    if rows:
        shown = "" if len(rows) <= _SEVERAL_ROWS else f", the first {_SEVERAL_ROWS} of {len(rows)}"
        yield f"<h2>By image, frame and slice{shown}</h2>"
        yield f"<details><summary>Show</summary>{table_of(table)}</details>"
