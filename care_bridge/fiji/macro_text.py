"""Macro code that is written by care_bridge: values as ImageJ's macro language reads them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

_PLAIN = range(0x20, 0x7F)
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """An expression whose value is `text`: a path of Windows and any writing of the world.

    It is of ASCII alone, because ImageJ reads files by the machine's own encoding.
    """
    parts: list[str] = []
    plain = ""
    for letter in text:
        if letter in _ESCAPED or ord(letter) in _PLAIN:
            plain += _ESCAPED.get(letter, letter)
            continue
        units = letter.encode("utf-16-be")  # Java's characters
        codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
        parts += [f'"{plain}"'] * bool(plain) + [f"fromCharCode({', '.join(map(str, codes))})"]
        plain = ""
    if plain or not parts:
        parts.append(f'"{plain}"')
    return " + ".join(parts)


def unquoted(expression: str) -> str:
    """The inverse of `quoted`."""
    text = re.sub(
        r"fromCharCode\(([0-9, ]+)\)",
        lambda codes: '"' + "".join(f"\\u{int(code):04x}" for code in codes[1].split(",")) + '"',
        expression,
    )
    return str(json.loads(text.replace('" + "', "")))


def of_codes(codes: str) -> str:
    """The text whose characters' numbers (Java's, UTF-16) a macro has told, each with a comma."""
    units = [int(code) for code in codes.split(",") if code]
    return b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be")


def number(value: float) -> str:
    """An expression whose value is this number."""
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if math.isfinite(value) else ("1/0" if value > 0 else "-1/0")


def array(texts: Iterable[str]) -> str:
    """An expression whose value is an array of these texts."""
    return f"newArray({', '.join(map(quoted, texts))})"


def ascii_comment(text: str) -> str:
    """`text` as it may stand in a comment."""
    return text.replace("…", "...").encode("ascii", "replace").decode()
