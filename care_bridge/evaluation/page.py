"""The parts of a self-contained HTML page: pictures inside it, tables, a style."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from care_bridge.images.picture import to_grey

_LARGEST, _SMALL = 384, 320
_NUMBER = re.compile(r"-?[\d.]+( %)?|inf|all|-")

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2530; margin: 2rem auto; max-width: 1240px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d8dee6; text-align: left; }
.number { text-align: right; }
.panels { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; }
.pair { display: flex; gap: .2rem; } .pair img { max-width: 290px; height: auto; }
figcaption { font-size: .85rem; color: #46525f; }
img { display: block; image-rendering: pixelated; background: #000; }
.said { color: #46525f; font-size: .88rem; }
details { margin: .6rem 0; } summary { cursor: pointer; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page with these parts below its title; it fetches nothing."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title>",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
            *parts,
            "</body></html>",
            "",
        ]
    )


def picture(label: str, plane: NDArray[np.float64], limits: tuple[float, float]) -> str:
    """A grey picture of a plane (Y, X), `limits` as black and white, at most 384 pixels wide; a
    small one is shown in larger pixels."""
    shown = Picture.fromarray(to_grey(plane, limits))
    if max(shown.size) > _LARGEST:
        shown.thumbnail((_LARGEST, _LARGEST), Picture.Resampling.BOX)
    file = io.BytesIO()
    shown.save(file, format="PNG", optimize=True)
    times = max(_SMALL // max(shown.size), 1)
    data = b64encode(file.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{escape(label)}" width="{times * shown.width}" '
        f'height="{times * shown.height}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(label)}</figcaption></figure>'
    )


def table_of(table: Sequence[Sequence[str]]) -> str:
    """An HTML table of a header and lines; columns of numbers to the right, others to the left."""
    head, *lines = table
    numbers = [all(map(_NUMBER.fullmatch, cells)) for cells in zip(*lines, strict=True)]
    rows = "".join(f"<tr>{_cells('td', line, numbers)}</tr>" for line in lines)
    top = _cells("th", head, numbers)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(tag: str, texts: Sequence[str], numbers: Sequence[bool]) -> str:
    return "".join(
        f"<{tag}{' class=number' if number else ''}>{escape(text)}</{tag}>"
        for text, number in zip(texts, numbers, strict=True)
    )
