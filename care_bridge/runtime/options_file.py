"""The options of a restoration in a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from care_bridge.errors import ConfigError
from care_bridge.plain_yaml import read_yaml_file
from care_bridge.runtime.options import RestoreOptions

# A comma may be part of a name in it.
_KEPT_AS_LIST = "channels"


def read_options(path: Path) -> dict[str, Any]:
    """The options in a YAML file (`name: value`, any of RestoreOptions), as RestoreOptions.parse
    takes them. Lists stand for what is separated by commas, but those of channels stay lists; a
    value left empty is not given.

    ConfigError, which names the file, where it cannot be read, or for what RestoreOptions refuses.
    """
    content = read_yaml_file(path, str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no options: write a line NAME: VALUE for each")
    given = {
        str(name): value if _is_list_of_names(name, value) else _as_text(path, name, value)
        for name, value in content.items()
        if value is not None
    }
    try:
        RestoreOptions.parse(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return given


def _is_list_of_names(name: object, value: Any) -> bool:
    return name == _KEPT_AS_LIST and isinstance(value, list)


def _as_text(path: Path, name: object, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return ",".join(map(str, value))
    raise ConfigError(f"{path}: {name} is no text, number or list of these: {value!r}")
