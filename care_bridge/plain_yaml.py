"""YAML from strangers, read as plain data or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from care_bridge.errors import ConfigError, UnsafeYamlError

MOST_VALUES = 20_000
_MOST_BRACKETS = 100
_LONGEST_NUMBER = 40
_LONGEST_REASON = 160
_TOO_DEEP = "its values are nested too deep"

# The loader checks what it reads as it goes, but lets Python's own errors out where a value does
# not have the form of its type (2024-13-45, !!bool maybe) or values are nested too deep.
_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError)


def read_plain_yaml(text: str | bytes, what: str) -> Any:
    """The plain data (dicts, lists, texts, numbers, dates, None) in YAML text, bytes being UTF-8.

    Numbers with colons (1:20, which is 80 in YAML 1.1 only) are texts, as for most readers.
    ConfigError, whose line begins with `what`, where it is no YAML, cannot be read or has a key
    twice. UnsafeYamlError where others may read it: it is nested deep, has more than MOST_VALUES
    values, keys or values that JSON cannot hold, or an alias: a few lines of nested aliases stand
    for more data than any memory holds.
    """
    try:
        # Of bytes the loader takes UTF-16, too.
        return yaml.load(text.decode() if isinstance(text, bytes) else text, _PlainLoader)
    except _RefusedError as why:
        raise UnsafeYamlError(f"{what} is refused: {str(why)[:_LONGEST_REASON]}") from None
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ConfigError(f"{what} is not valid YAML: {reason}") from None
    except RecursionError:
        raise UnsafeYamlError(f"{what} is refused: {_TOO_DEEP}") from None


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


class _RefusedError(Exception):
    """Why YAML that is right is not read."""


class _PlainLoader(yaml.SafeLoader):
    """What JSON could hold, and dates; each key once, and no more values than anybody writes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()  # type: ignore[no-untyped-call]
            raise _RefusedError(
                f"line {alias.start_mark.line + 1} holds the alias *{alias.anchor}, write the "
                "values out"
            )
        self._values += 1
        if self._values > MOST_VALUES:
            raise _RefusedError(f"it holds more than {MOST_VALUES} values")
        return super().compose_node(parent, index)

    def fetch_flow_collection_start(self, kind: Any) -> None:
        """Looking ahead takes the square of the brackets' depth in time."""
        if self.flow_level >= _MOST_BRACKETS:
            raise _RefusedError(_TOO_DEEP)
        super().fetch_flow_collection_start(kind)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                raise _RefusedError(f"line {line} has a key that is no word or number")
            if (key.tag, key.value) in seen:
                raise yaml.YAMLError(f'line {line} has the key "{key.value}" again')
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        value.encode()  # fails on half a letter ("\\ud800"), which nobody could print
        return value

    def whole_number(self, node: yaml.ScalarNode) -> int | str:
        """An integer; a text with colons. Python gives up on thousands of digits."""
        if ":" in node.value:
            return str(node.value)
        if len(node.value) > _LONGEST_NUMBER:
            raise _RefusedError(f"line {node.start_mark.line + 1} has a number too long to read")
        return self.construct_yaml_int(node)

    def number(self, node: yaml.ScalarNode) -> float | str:
        """A number; a text with colons."""
        return str(node.value) if ":" in node.value else self.construct_yaml_float(node)

    def refuse(self, node: yaml.Node) -> None:
        """Of a value that JSON cannot hold: bytes, sets, lists of pairs."""
        kind = node.tag.removeprefix(_TAG)
        raise _RefusedError(f"line {node.start_mark.line + 1} has a value of the type {kind}")


_TAG = "tag:yaml.org,2002:"
_KEY_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null")}
_TAGS = _KEY_TAGS | {_TAG + kind for kind in ("timestamp", "seq", "map")}
_PlainLoader.yaml_constructors = {
    tag: construct if tag is None or tag in _TAGS else _PlainLoader.refuse
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
} | {
    _TAG + "int": _PlainLoader.whole_number,
    _TAG + "float": _PlainLoader.number,
}
