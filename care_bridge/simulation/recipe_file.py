"""Recipes as YAML: read with every key and value checked, and written in full."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from care_bridge.errors import ConfigError
from care_bridge.plain_yaml import read_yaml_file, set_key
from care_bridge.simulation.ranges import is_range
from care_bridge.simulation.recipe import Recipe, default_recipe

Section = TypeVar("Section")


def load_recipe(path: Path | None, kind: str | None, settings: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file (None: the defaults of `kind`), changed by "section.key=value"
    texts.

    A point spread function's relative name in the file is looked up beside the file. ConfigError
    where the file cannot be read, a key is unknown (it names the nearest one) or a value cannot
    be used.
    """
    values = _read(path) if path else {}
    optics = values.get("optics")
    if path and isinstance(optics, dict) and isinstance(optics.get("psf"), str):
        values["optics"] = {**optics, "psf": str(path.parent / optics["psf"])}
    for setting in settings:
        set_key(values, setting)
    kind = kind or values.get("kind")
    if kind is None:
        raise ConfigError("no kind is given: name one, or give a recipe that has the key kind")
    if values.setdefault("kind", kind) != kind:
        raise ConfigError(f"the recipe is for {values['kind']}, not for {kind}: give one kind")
    return _overlay(default_recipe(str(kind)), values, "")


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML that `load_recipe` reads again; a fixed value is one number."""
    text: str = yaml.safe_dump(_plain(recipe), sort_keys=False, default_flow_style=None)
    return text


def _plain(section: Any) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            value = _plain(value)
        elif is_range(field):
            value = value[0] if value[0] == value[1] else list(value)
        elif isinstance(value, tuple):
            value = list(value)
        values[field.name] = value
    return values


def _read(path: Path) -> dict[str, Any]:
    values = read_yaml_file(path, f"the recipe {path}")
    if not isinstance(values, dict):
        raise ConfigError(f"the recipe {path} holds no keys: write lines like kind: tubules")
    return values


def _overlay(section: Section, values: Any, where: str) -> Section:
    """`section` with the values of a mapping; `where` is its name and a dot, or empty."""
    given: Any = section
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where[:-1]} has the value {values!r}: it is a section, set its keys")
    fields = {field.name: field for field in dataclasses.fields(given)}
    hints = get_type_hints(type(section))
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in fields:
            known = [where + near for near in _keys(given)]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise ConfigError(f'the recipe has no key "{name}": did you mean "{near}"?')
        current = getattr(given, key)
        if dataclasses.is_dataclass(current):
            changes[key] = _overlay(current, value, name + ".")
        elif is_range(fields[key]):
            changes[key] = _range(value, name)
        else:
            changes[key] = _value(value, hints[key], name)
    changed: Section = dataclasses.replace(given, **changes)
    return changed


def _keys(section: Any) -> Iterator[str]:
    for field in dataclasses.fields(section):
        yield field.name
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from (f"{field.name}.{key}" for key in _keys(value))


def _range(value: Any, name: str) -> tuple[float, float]:
    limits = value if isinstance(value, list) else [value, value]
    numbers = [number for limit in limits if (number := _number(limit)) is not None]
    if len(limits) != 2 or len(numbers) != 2:
        raise ConfigError(f"{name} has the value {value!r}: give a number or [lowest, highest]")
    return numbers[0], numbers[1]


def _value(value: Any, hint: Any, name: str) -> Any:
    """A value of the type that the field has."""
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ConfigError(f"{name} has the value {value!r}: choose {' or '.join(get_args(hint))}")
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        values = value if isinstance(value, list) else [value]
        return tuple(_value(item, inner, name) for item in values)
    number = _number(value)
    if hint is float and number is not None:
        return number
    if hint is int and number is not None and number.is_integer():
        # Not by way of a float, which has no room for a long seed
        return value if isinstance(value, int) else int(number)
    if hint not in (float, int) and isinstance(value, hint):
        return value
    raise ConfigError(f"{name} has the value {value!r}: expected {_TYPES.get(hint, 'a name')}")


_TYPES = {float: "a number", int: "a whole number", bool: "true or false"}


def _number(value: Any) -> float | None:
    """A finite number, also where YAML took it for text (1e-3), else None."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
