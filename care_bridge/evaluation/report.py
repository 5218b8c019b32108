"""The findings as one HTML page that holds its pictures itself."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from care_bridge.evaluation.assessment import Assessment
from care_bridge.evaluation.charts import Series, line_chart
from care_bridge.evaluation.figures import CONDITIONS
from care_bridge.evaluation.pictures import ssim_map
from care_bridge.evaluation.tables import figure_table, findings, mean_rows
from care_bridge.images.picture import to_grey

_LARGEST = 384
_ERROR_LIMITS = (0.0, 0.25)
_SSIM_LIMITS = (0.0, 1.0)
_SHOWN_LIMITS = (-0.05, 1.05)
_MAPPED = ("input", "restored")
_SEVERAL_ROWS = 200

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2530; margin: 2rem auto; max-width: 1240px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d8dee6; text-align: right; }
th:first-child, td:first-child { text-align: left; } .words td, .words th { text-align: left; }
.panels { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; }
figcaption { font-size: .85rem; color: #46525f; }
img { display: block; image-rendering: pixelated; background: #000; }
.said { color: #46525f; font-size: .88rem; } svg text { font: 12px system-ui, sans-serif; }
details { margin: .6rem 0; } summary { cursor: pointer; }
"""


def as_html(assessments: Sequence[Assessment], title: str) -> str:
    """The page; nothing in it is fetched from elsewhere."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title>",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
    ]
    means = mean_rows(assessments)
    if means:
        names = {assessment.name for assessment in assessments}
        parts.append(f"<h2>Figures, means of {len(names)} image{'s' * (len(names) > 1)}</h2>")
        parts.append(_table(figure_table(means)))
        parts += [f'<p class="said">{escape(sentence)}</p>' for sentence in CONDITIONS]
        parts += _dose_chart(assessments)
    for heading, table in findings(assessments):
        parts.append(f"<h2>{escape(heading)}</h2>{_table(table, words=True)}")
    parts += _reliability_chart(assessments)
    for assessment in assessments:
        parts += _one(assessment)
    parts += _single_rows(assessments)
    return "\n".join([*parts, "</body></html>", ""])


def _one(one: Assessment) -> Iterator[str]:
    """Pictures and charts of one field of view."""
    dose = "" if one.photons is None else f", {one.photons:g} photons"
    heading = f"<h2>{escape(one.name)}{dose}</h2>"
    if one.planes:
        yield heading
        yield '<div class="panels">'
        yield from (_figure(name, plane, _SHOWN_LIMITS) for name, plane in _ordered(one.planes))
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
                yield _figure(f"error of {name}", error, _ERROR_LIMITS)
                yield _figure(f"SSIM of {name}", ssim_map(one.planes[name], truth), _SSIM_LIMITS)
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
        yield _figure("difference", found_error.difference, (-limit, limit))


def _ordered(
    planes: Mapping[str, NDArray[np.float64]],
) -> list[tuple[str, NDArray[np.float64]]]:
    """Input first, truth last."""
    rank = {"input": 0, "restored": 1, "truth": 3}
    return sorted(planes.items(), key=lambda item: rank.get(item[0], 2))


def _figure(label: str, plane: NDArray[np.float64], limits: tuple[float, float]) -> str:
    picture = Picture.fromarray(to_grey(plane, limits))
    if max(picture.size) > _LARGEST:
        picture.thumbnail((_LARGEST, _LARGEST), Picture.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    data = b64encode(file.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{escape(label)}" width="{picture.width}" height="{picture.height}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(label)}</figcaption></figure>'
    )


def _table(table: Sequence[Sequence[str]], *, words: bool = False) -> str:
    head, *lines = table
    rows = "".join(f"<tr>{_cells('td', line)}</tr>" for line in lines)
    kind = ' class="words"' if words else ""
    return f"<table{kind}><thead><tr>{_cells('th', head)}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


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
        yield f"<details><summary>Show</summary>{_table(table)}</details>"
