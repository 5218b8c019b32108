"""What the value of an option may be: each function takes a text, as a macro or the command line
gives it, or a value as Python has it, and returns it as RestoreOptions keeps it.

ConfigError, which names the option, for anything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from care_bridge.axes import Axes
from care_bridge.errors import AxesError, ConfigError

DEVICES = ("auto", "cpu", "cuda", "openvino", "directml")
NORMALIZE = ("per-image", "per-frame")

_FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_MOST_SAMPLES = 1000
_PAIR = 2


def choice(known: tuple[str, ...]) -> Callable[[str, object], object]:
    """The function for an option that is one of the `known` words."""

    def chosen(name: str, value: object) -> object:
        if value not in known:
            raise ConfigError(f'{name} "{value}" is unknown: use one of {", ".join(known)}')
        return value

    return chosen


def flag(name: str, value: object) -> bool:
    """Whether it is set; a text may be empty, as a macro's option without a value is."""
    if isinstance(value, str) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    if not isinstance(value, bool):
        raise ConfigError(f'{name}="{value}" cannot be read: use true or false')
    return value


def tile(name: str, value: object) -> dict[str, int] | None:
    """A tile by axis letter: "256,256" is Y,X and "32,128,128" is Z,Y,X; "auto" gives None."""
    if value is None or value == "auto":
        return None
    given = value
    if isinstance(value, str):
        parts = value.split(",")
        if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
            raise ConfigError(
                f'{name} "{value}" cannot be read: use auto, Y,X or Z,Y,X, e.g. 256,256'
            )
        value = dict(zip("ZYX"[-len(parts) :], map(int, parts), strict=True))
    if not isinstance(value, Mapping) or not all(
        axis in ("Z", "Y", "X") and _is_whole(size) and size > 0 for axis, size in value.items()
    ):
        raise ConfigError(
            f'{name} "{given}" is no tile: give pixels, from 1, as Y,X or Z,Y,X, e.g. 256,256; in '
            "Python by axis letter"
        )
    return dict(value)


def memory(name: str, value: object) -> int | None:
    """Bytes: "1GiB", "512 MB" (units of 1024) or a plain number; "auto" gives None."""
    if value is None or value == "auto":
        return None
    match = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    given = int(float(match[1]) * _UNITS[match[2].lower()]) if match else value
    if not isinstance(given, int) or isinstance(given, bool):
        raise ConfigError(
            f'{name} "{value}" cannot be read: use auto or a size, e.g. 512MiB or 2GiB'
        )
    if given < 1:
        raise ConfigError(f'{name} "{value}" is no memory: use auto or a size, e.g. 512MiB or 2GiB')
    return given


def device(name: str, value: object) -> str:
    """A kind of device, cuda and openvino with the one that is meant: cuda:1, openvino:GPU."""
    kind, colon, which = str(value).partition(":")
    numbered = kind == "cuda" and which.isdigit()
    named = kind == "openvino" and which.isalnum()
    if kind not in DEVICES or (colon and not (numbered or named)):
        raise ConfigError(
            f'{name} "{value}" is unknown: use auto, cpu, cuda, cuda:NUMBER, openvino, '
            "openvino:GPU or directml"
        )
    return str(value)


def normalize(name: str, value: object) -> str | tuple[float, float]:
    """ "per-image", "per-frame", or two grey levels: "LO,HI" or a pair of numbers."""
    if isinstance(value, str) and value in NORMALIZE:
        return value
    pair = value.split(",") if isinstance(value, str) else value
    levels = [_number(level) for level in pair] if isinstance(pair, (list, tuple)) else []
    if len(levels) != _PAIR or None in levels:
        raise ConfigError(
            f'{name} "{value}" cannot be read: use {", ".join(NORMALIZE)} or two grey levels, '
            "e.g. 100,2500"
        )
    low, high = (level for level in levels if level is not None)
    if low >= high:
        raise ConfigError(f"{name} {low:g},{high:g}: the first grey level must be the lower one")
    return low, high


def percentile(name: str, value: object) -> float | None:
    """A percentage; "" gives None."""
    if value is None or value == "":
        return None
    number = _number(value)
    if number is None:
        raise ConfigError(f'{name} "{value}" is no number: use a percentage, e.g. 99.8')
    return number


def channels(name: str, value: object) -> tuple[str, ...] | None:
    """Channels by name or by number from 1, separated by commas or, in Python and YAML, each by
    itself, so that a name may have a comma; "all" gives None."""
    if value is None or value in ("", "all"):
        return None
    given = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(
        part and (isinstance(part, str) or _is_whole(part)) for part in given
    ):
        raise ConfigError(
            f"{name} {value!r} cannot be read: use all, or names and numbers from 1, e.g. DAPI,2"
        )
    return tuple(map(str, given))


def confidence(name: str, value: object) -> float:
    """A probability that is no certainty."""
    number = _number(value)
    if number is None:
        raise ConfigError(f'{name} "{value}" is no number: use a probability, e.g. 0.9')
    if not 0 < number < 1:
        raise ConfigError(
            f"{name} {number:g} is no probability of an interval: use one between 0 and 1, e.g. 0.9"
        )
    return number


def samples(name: str, value: object) -> int:
    """How many."""
    given = int(value) if isinstance(value, str) and value.isdecimal() else value
    if not isinstance(given, int) or isinstance(given, bool):
        raise ConfigError(f'{name} "{value}" is no number: use a whole one, e.g. 8')
    if not 1 <= given <= _MOST_SAMPLES:
        raise ConfigError(f"{name} {given}: use a number from 1 to {_MOST_SAMPLES}")
    return given


def path(name: str, value: object) -> Path | None:
    """A file or a folder; "" gives None."""
    if _is_empty(value):
        return None
    if not isinstance(value, (str, Path)):
        raise ConfigError(f"{name} {_shown(value)} is no path: name a file or a folder")
    return Path(value)


def word(name: str, value: object) -> str | None:
    """A name; "" gives None."""
    if _is_empty(value):
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} {value!r} is no name: give a text")
    return value


def named_files(name: str, value: object) -> dict[str, Path] | None:
    """Files by name: "mask=a.tif,edges=b.tif" or, in Python and YAML, each by itself; "" gives
    None."""
    if _is_empty(value):
        return None
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",")]
        value = {key.strip(): file.strip() for key, _, file in pairs}
    wanted = "give names and files, e.g. mask=a.tif"
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} {_shown(value)} cannot be read: {wanted}")
    for key, file in value.items():
        if not key or not isinstance(file, (str, Path)) or not str(file):
            raise ConfigError(f'{name}: "{key}" is {_shown(file)}, no file: {wanted}')
    return {str(key): Path(file) for key, file in value.items()}


def axes(name: str, value: object) -> str | None:
    """Letters of axes in either case; "" gives None."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} {value!r} cannot be read: use letters, e.g. ZYX or TYX")
    try:
        return str(Axes(value))
    except AxesError as error:
        raise ConfigError(str(error)) from error


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _shown(value: object) -> str:
    """A value in a message: an array would take many lines."""
    plain = value is None or isinstance(value, (str, int, float, Path))
    return repr(value) if plain else f"of type {type(value).__name__}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> float | None:
    """The finite number that a text or a number stands for, None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
