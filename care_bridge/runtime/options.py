"""The one list of a restoration's options and their defaults.

The command line, Python and the macros all take their options, defaults and texts from
`RestoreOptions`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from care_bridge.errors import ConfigError

DTYPES = ("auto", "input", "uint8", "uint16", "float32")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class RestoreOptions:
    """How images are restored.

    tile: the largest tile in pixels by axis letter, halo included; None: planned from free
    memory. device: auto, cpu or cuda (cuda:1 for the second one). dtype: type of the result;
    auto is the input's integer type where the normalisation spans at least 64 grey levels, else
    float32. axes: of plain TIFF files that do not say their own, e.g. "ZYX". overwrite: replace
    results that are there already. include_subfolders: restore folders with all they hold.
    """

    tile: Mapping[str, int] | None = None
    device: str = "auto"
    dtype: str = "auto"
    axes: str | None = None
    overwrite: bool = False
    include_subfolders: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f'dtype "{self.dtype}" is unknown: use one of {", ".join(DTYPES)}')
        kind, _, number = self.device.partition(":")
        if kind not in DEVICES or (number and not (kind == "cuda" and number.isdigit())):
            raise ConfigError(
                f'device "{self.device}" is unknown: use auto, cpu, cuda or cuda:NUMBER'
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The options' names, as macros and Python write them."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> RestoreOptions:
        """Options from texts, as a macro or the command line gives them. ConfigError where a key
        is unknown (names the nearest one) or a value cannot be read."""
        check_names(texts, cls.names())
        parsed: dict[str, Any] = dict(texts)
        if "tile" in parsed:
            parsed["tile"] = parse_tile(texts["tile"])
        for name in ("overwrite", "include_subfolders"):
            if name in parsed:
                parsed[name] = _parse_flag(name, texts[name])
        if not parsed.get("axes", True):
            parsed["axes"] = None
        return cls(**parsed)


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not known; it names the nearest one."""
    known = tuple(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"use one of {', '.join(known)}"
            raise ConfigError(f'there is no option "{name}": {hint}')


def parse_tile(text: str) -> dict[str, int] | None:
    """ "256,256" (Y,X) or "32,128,128" (Z,Y,X) by axis letter; "auto" gives None."""
    if text == "auto":
        return None
    parts = text.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f'tile "{text}" cannot be read: use auto, Y,X or Z,Y,X, e.g. 256,256')
    return dict(zip("ZYX"[-len(parts) :], map(int, parts), strict=True))


def _parse_flag(name: str, text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise ConfigError(f'{name}="{text}" cannot be read: use true or false')
    return values[text.lower()]
