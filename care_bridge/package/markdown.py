"""Texts that people give, for model cards in Markdown: every reader shows them as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from care_bridge.package.printable import one_line

# "_" between letters or digits is shown, and names are full of it.
_MARKS = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK = re.compile(r"^(\d*)(#|>|[-+.)](?=[\s-]|$))")


def inline(text: str) -> str:
    """`text` on one line for a place within a line or a table's cell: no mark-up, no HTML."""
    escaped = _ENTITY.sub("&amp;", one_line(text))
    return _MARKS.sub(r"\\\g<0>", _TAG.sub("&lt;", escaped))


def block(text: str) -> str:
    """As `inline` for the beginning of a line, where a heading, a list or a quotation may begin."""
    return _BLOCK.sub(r"\1\\\2", inline(text))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table of plain texts, which are escaped."""
    cells = [[inline(cell) for cell in row] for row in (head, *rows)]
    ruled = [cells[0], ["---"] * len(head), *cells[1:]]
    return [f"| {' | '.join(row)} |" for row in ruled]
