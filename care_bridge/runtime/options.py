"""The one list of a restoration's options and their defaults.

The command line (in kebab-case), Python and the macros (in snake_case) all take their options,
defaults and help texts from `RestoreOptions`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from care_bridge.errors import ConfigError

DTYPES = ("auto", "input", "uint8", "uint16", "float32")
DEVICES = ("auto", "cpu", "cuda")

_FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class RestoreOptions:
    """How images are restored. `tile` is in pixels by axis letter, None for automatic; the other
    options are explained by `help_text`."""

    tile: Mapping[str, int] | None = field(
        default=None,
        metadata={
            "value": "auto|Y,X|Z,Y,X",
            "help": "largest tile in pixels, halo included; auto: planned from free memory",
        },
    )
    device: str = field(
        default="auto",
        metadata={
            "value": "auto|cpu|cuda|cuda:N",
            "help": "where to compute; auto: a GPU where one can be used",
        },
    )
    dtype: str = field(
        default="auto",
        metadata={
            "value": "|".join(DTYPES),
            "help": "type of the result; auto: the input's, but float32 where rounding to the "
            "input's integers would cost precision",
        },
    )
    axes: str | None = field(
        default=None,
        metadata={
            "value": "LETTERS",
            "help": "axes of plain TIFF files that do not say their own, e.g. ZYX or TYX",
            "files": True,
        },
    )
    overwrite: bool = field(
        default=False,
        metadata={"help": "replace results that are there already", "files": True},
    )
    include_subfolders: bool = field(
        default=False,
        metadata={"help": "restore a folder with all its subfolders", "files": True},
    )

    def __post_init__(self) -> None:
        if self.tile is not None and not _is_tile(self.tile):
            raise ConfigError(
                f"tile {self.tile!r} is no tile: give pixels by axis, e.g. {{'Y': 256, 'X': 256}}, "
                "or None"
            )
        if self.dtype not in DTYPES:
            raise ConfigError(f'dtype "{self.dtype}" is unknown: use one of {", ".join(DTYPES)}')
        kind, _, number = self.device.partition(":")
        if kind not in DEVICES or (
            ":" in self.device and not (kind == "cuda" and number.isdigit())
        ):
            raise ConfigError(
                f'device "{self.device}" is unknown: use auto, cpu, cuda or cuda:NUMBER'
            )

    @classmethod
    def all(cls) -> tuple[Field[Any], ...]:
        """The options with name, default and metadata: "help", "value" unless it is a flag, and
        "files" where it is about files and means nothing for an open image."""
        return fields(cls)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> RestoreOptions:
        """Options from texts, as a macro or the command line gives them; a flag's text may be
        empty. ConfigError where a key is unknown (it names the nearest) or a value unreadable."""
        check_names(texts, [option.name for option in cls.all()])
        parsed: dict[str, Any] = dict(texts)
        for option in cls.all():
            if option.name in texts and option.default is False:
                parsed[option.name] = _parse_flag(option.name, texts[option.name])
        if "tile" in texts:
            parsed["tile"] = parse_tile(texts["tile"])
        if not texts.get("axes"):
            parsed["axes"] = None
        return cls(**parsed)


def _is_tile(tile: object) -> bool:
    return isinstance(tile, Mapping) and all(
        axis in ("Z", "Y", "X") and isinstance(size, int) and size > 0
        for axis, size in tile.items()
    )


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not known; it names the nearest one."""
    known = tuple(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"use one of {', '.join(known)}"
            raise ConfigError(f'there is no option "{name}": {hint}')


def parse_tile(text: str) -> dict[str, int] | None:
    """A tile by axis letter: "256,256" is Y,X and "32,128,128" is Z,Y,X; "auto" gives None."""
    if text == "auto":
        return None
    parts = text.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f'tile "{text}" cannot be read: use auto, Y,X or Z,Y,X, e.g. 256,256')
    return dict(zip("ZYX"[-len(parts) :], map(int, parts), strict=True))


def _parse_flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ConfigError(f'{name}="{text}" cannot be read: use true or false')
    return _FLAGS[text.lower()]
