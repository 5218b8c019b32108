"""YAML from strangers, read as plain data or refused."""

from __future__ import annotations

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


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(
                f"line {alias.start_mark.line + 1} holds the alias *{alias.anchor}, write the "
                "values out"
            )
        return super().compose_node(parent, index)
