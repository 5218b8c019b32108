"""YAML from strangers, read as plain data or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from care_bridge.errors import ConfigError

# The loader checks what it reads as it goes, but lets Python's own errors out where a value does
# not have the form of its type (2024-13-45, !!bool maybe) or values are nested too deep.
_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError)


def read_plain_yaml(text: str | bytes, what: str) -> Any:
    """The plain data (dicts, lists, texts, numbers, dates, None) in YAML text.

    ConfigError, whose line begins with `what`, where it is no YAML, cannot be read or holds an
    alias: a few lines of nested aliases stand for more data than any memory holds.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except _UNREADABLE as error:
        raise ConfigError(f"{what} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{what} is not valid YAML: its values are nested too deep") from None


def read_yaml_file(path: Path, what: str) -> Any:
    """The plain data in a YAML file; ConfigError as in `read_plain_yaml`, or where it cannot be
    read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} cannot be read: {error}") from None
    return read_plain_yaml(text, what)


def set_key(values: dict[str, Any], setting: str) -> None:
    """Set what a text "section.key=value" says in nested `values`; ConfigError where it is none."""
    key, separator, text = setting.partition("=")
    *sections, name = key.strip().split(".")
    if not separator or not name:
        raise ConfigError(f'"{setting}" is no setting: write section.key=value')
    for section in sections:
        inner = values.get(section)
        values[section] = dict(inner) if isinstance(inner, dict) else {}
        values = values[section]
    values[name] = read_plain_yaml(text, f'the value of "{setting}"')


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(
                f"line {alias.start_mark.line + 1} holds the alias *{alias.anchor}, write the "
                "values out"
            )
        return super().compose_node(parent, index)
