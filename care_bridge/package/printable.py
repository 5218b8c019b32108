"""Texts from packages as they may be printed: a terminal obeys some letters, and does not show
others."""

from __future__ import annotations

_LONGEST_NAME = 60


def printable(text: str) -> str:
    """`text` without letters that are not shown, but for the ends of lines."""
    return "".join(each for each in text if each.isprintable() or each == "\n")


def one_line(text: str) -> str:
    """`text` on one line, as `printable`."""
    return printable(" ".join(text.split()))


def shown(name: str) -> str:
    """A name or a reason for a message: on one line, short, as `printable`."""
    plain = one_line(name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}…"
