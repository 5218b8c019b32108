"""The findings as one HTML page that holds its pictures itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from care_bridge.evaluation.assessment import Assessment
from care_bridge.evaluation.figures import CONDITIONS
from care_bridge.evaluation.page import page, picture, table_of
from care_bridge.evaluation.shown import (
    PANEL_LIMITS,
    PANELS_EXPLAINED,
    charts_of,
    charts_over,
    panels,
)
from care_bridge.evaluation.tables import figure_cells, findings, mean_table

_SEVERAL_ROWS = 200
_SHOWN = ("nrmse", "psnr", "ssim", "micro_ssim")


def as_html(
    assessments: Sequence[Assessment], title: str, failed: Sequence[tuple[str, str]] = ()
) -> str:
    """The page; nothing in it is fetched from elsewhere. failed: (name, reason) of images without
    assessment."""
    parts = []
    if failed:
        parts.append("<h2>Not evaluated</h2>")
        parts += [f'<p class="said">{escape(reason)}</p>' for _, reason in failed]
    if any(one.rows for one in assessments):
        names = {assessment.name for assessment in assessments}
        parts.append(f"<h2>Figures, means of {len(names)} image{'s' * (len(names) > 1)}</h2>")
        parts.append(table_of(mean_table(assessments)))
        parts += [f'<p class="said">{escape(sentence)}</p>' for sentence in CONDITIONS]
    for heading, table in findings(assessments):
        parts.append(f"<h2>{escape(heading)}</h2>{table_of(table)}")
    parts += [f"<h2>{name}</h2>{chart}" for name, chart in charts_over(assessments).items()]
    for assessment in assessments:
        parts += _one(assessment)
    parts += _single_rows(assessments)
    return page(title, parts)


def _one(one: Assessment) -> Iterator[str]:
    """Pictures and charts of one field of view."""
    dose = "" if one.photons is None else f", {one.photons:g} photons"
    label = f"{escape(one.name)}{dose}"
    yield from (f'<p class="said">{label}: {escape(note)}</p>' for note in one.notes)
    if one.planes:
        yield f'<h2>{label}</h2><div class="panels">'
        yield from (picture(name, plane, PANEL_LIMITS) for name, plane in panels(one))
        yield f'</div><p class="said">{PANELS_EXPLAINED}</p>'
    for heading, chart in charts_of(one).items():
        yield f"<h3>{heading}, {label}</h3>{chart}"
    found = one.unexplained
    if found and found.difference.size and found.difference.ndim == 2:
        limit = 4 * found.error or 1.0
        yield f"<h3>What the blurred result does not explain, {label}</h3>"
        yield (
            f'<p class="said">Input - result, blurred with sigma {found.sigma:.2f} and fitted; '
            f"grey 0, black and white -+{limit:.3g} grey levels. Structures here were lost "
            "(bright) or invented (dark).</p>"
        )
        yield picture("difference", found.difference, (-limit, limit))


def _single_rows(assessments: Sequence[Assessment]) -> Iterator[str]:
    """Every image, frame and slice; hidden until it is opened."""
    rows = [row for one in assessments for row in one.rows]
    head = ["image", "photons", "method", "setting", "channel", "frame", "slice"]
    table = [[*head, *_SHOWN]]
    for row in rows[:_SEVERAL_ROWS]:
        said = [row.image, row.photons, row.method, row.setting, row.channel, row.frame, row.slice]
        figures = row.figures
        found = ["the truth is blank", *[""] * (len(_SHOWN) - 1)]
        if figures:
            cells = dict(zip(vars(figures), figure_cells(figures), strict=True))
            found = [cells[name] for name in _SHOWN]
        table.append([*("all" if value is None else str(value) for value in said), *found])
    if rows:
        shown = "" if len(rows) <= _SEVERAL_ROWS else f", the first {_SEVERAL_ROWS} of {len(rows)}"
        yield f"<h2>By image, frame and slice{shown}</h2>"
        yield f"<details><summary>Show</summary>{table_of(table)}</details>"
