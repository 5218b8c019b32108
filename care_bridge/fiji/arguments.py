"""The options that a macro writes in run("command", "options"), read and written like ImageJ's.

    key=value   key=[a value with blanks]   flag

ImageJ itself ignores what it does not understand; here it is an error, so that no misspelt
option is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from care_bridge.errors import ConfigError

_KEY = re.compile(r"[A-Za-z_]\w*")


def parse_arguments(text: str) -> dict[str, str]:
    """Values by key; a bare flag gets an empty value.

    Brackets may hold brackets, as in ImageJ. Raises ConfigError for a word that is no key, a key
    that comes twice and a bracket that is not closed.
    """
    values: dict[str, str] = {}
    rest = text.strip()
    while rest:
        key = _KEY.match(rest)
        if key is None or rest[key.end() : key.end() + 1].strip() not in ("", "="):
            word = rest.split(maxsplit=1)[0]
            raise ConfigError(
                f'"{word}" in the options "{text.strip()}" is no key=value: '
                "put values with blanks into brackets, e.g. model=[my model]"
            )
        name, rest = key.group(), rest[key.end() :]
        value, rest = _value(name, rest[1:]) if rest.startswith("=") else ("", rest)
        if name in values:
            raise ConfigError(
                f'the option "{name}" is given twice in "{text.strip()}": '
                f"give it once, with blanks in brackets, e.g. {name}=[a value]"
            )
        values[name] = value
        rest = rest.lstrip()
    return values


def format_arguments(values: Mapping[str, str]) -> str:
    """The options text that `parse_arguments` and ImageJ's Macro.getValue read as `values`.

    Raises ConfigError for a key that is no word and a value whose brackets do not match.
    """
    words = []
    for name, value in values.items():
        if not _KEY.fullmatch(name):
            raise ConfigError(f'"{name}" is no key for a macro: use letters, digits and _')
        if _closing_bracket(f"[{value}]") != len(value) + 1:
            raise ConfigError(
                f"{name}={value} has brackets that do not match, which a macro cannot read: "
                "rename the file or folder"
            )
        words.append(f"{name}=[{value}]" if value else name)
    return " ".join(words)


def _value(name: str, rest: str) -> tuple[str, str]:
    """The value at the start of `rest`, and what follows it."""
    if not rest.startswith("["):
        value = re.split(r"\s", rest, maxsplit=1)[0]
        return value, rest[len(value) :]
    end = _closing_bracket(rest)
    if end is None:
        raise ConfigError(f"the bracket after {name}= is not closed: write {name}=[…]")
    return rest[1:end], rest[end + 1 :]


def _closing_bracket(text: str) -> int | None:
    """Where the bracket that opens `text` is closed."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth == 0:
            return place
    return None
