"""The one list of a restoration's options and their defaults.

The command line (in kebab-case), YAML files, Python and the macros (in snake_case) all take their
options, defaults and help texts from `RestoreOptions`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from care_bridge.errors import ConfigError
from care_bridge.images.storage import COMPRESSIONS, FORMATS, Storage

DEVICES = ("auto", "cpu", "cuda", "openvino", "directml")
PRECISIONS = ("float32", "tf32", "bf16", "fp16")
DTYPES = ("auto", "input", "uint8", "uint16", "float32")
RANGES = ("input", "0-1", "full")
NORMALIZE = ("per-image", "per-frame")
UNCERTAINTIES = ("none", "scale", "interval", "samples", "disagreement")

_FLAGS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SMALLEST_MEMORY = 64 << 20
_MOST_SAMPLES = 1000


def _option(
    default: Any,
    help_text: str,
    value: str = "",
    *,
    files: bool = False,
    parse: Callable[[str], Any] | None = None,
) -> Any:
    """A field of RestoreOptions; see RestoreOptions.all for what is kept of these."""
    metadata: dict[str, Any] = {"help": help_text, "files": files}
    if value:
        metadata["value"] = value
    if parse:
        metadata["parse"] = parse
    return dataclasses.field(default=default, metadata=metadata)


def parse_tile(text: str) -> dict[str, int] | None:
    """A tile by axis letter: "256,256" is Y,X and "32,128,128" is Z,Y,X; "auto" gives None."""
    if text == "auto":
        return None
    parts = text.split(",")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f'tile "{text}" cannot be read: use auto, Y,X or Z,Y,X, e.g. 256,256')
    return dict(zip("ZYX"[-len(parts) :], map(int, parts), strict=True))


def parse_memory(text: str) -> int | None:
    """Bytes: "1GiB", "512 MB" (units of 1024) or a plain number; "auto" gives None."""
    if text == "auto":
        return None
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f'memory "{text}" cannot be read: use auto or a size, e.g. 512MiB or 2GiB'
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def parse_normalize(text: str) -> str | tuple[float, float]:
    """ "per-image", "per-frame", or the grey levels "LO,HI" as two numbers."""
    if text in NORMALIZE:
        return text
    low, comma, high = text.partition(",")
    if not comma or not _is_number(low) or not _is_number(high):
        raise ConfigError(
            f'normalize "{text}" cannot be read: use {", ".join(NORMALIZE)} or two grey levels, '
            "e.g. 100,2500"
        )
    return float(low), float(high)


def parse_channels(text: str) -> tuple[str, ...] | None:
    """Channels by name or by number from 1, separated by commas; "all" gives None."""
    if text in ("", "all"):
        return None
    return tuple(part.strip() for part in text.split(","))


def _parse_percentile(text: str) -> float | None:
    if text == "":
        return None
    if not _is_number(text):
        raise ConfigError(f'percentile "{text}" is no number: use a percentage, e.g. 99.8')
    return float(text)


def _parse_probability(text: str) -> float:
    if not _is_number(text):
        raise ConfigError(f'confidence "{text}" is no number: use a probability, e.g. 0.9')
    return float(text)


def _parse_samples(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f'samples "{text}" is no number: use a whole one, e.g. 8')
    return int(text)


@dataclass(frozen=True)
class RestoreOptions:
    """How images are restored; each option is explained by its help text (`RestoreOptions.all`).

    In Python, `tile` is in pixels by axis letter, `memory` in bytes, `normalize` "per-image",
    "per-frame" or a pair of grey levels, `channels` a tuple of names or of numbers from 1 as
    texts; None leaves `tile`, `memory`, the percentiles, `channels`, `rescale_to` and `axes` to
    care_bridge. ConfigError where a value is none of these.
    """

    tile: Mapping[str, int] | None = _option(
        None,
        "largest tile in pixels, halo included; auto: planned from the memory",
        "auto|Y,X|Z,Y,X",
        parse=parse_tile,
    )
    memory: int | None = _option(
        None,
        "most memory that the whole program may use, on a GPU the model on it; auto: half of what "
        "is free",
        "auto|SIZE",
        parse=parse_memory,
    )
    device: str = _option(
        "auto",
        "where to compute; auto: a GPU where one can be used",
        "auto|cpu|cuda|cuda:N|openvino|openvino:GPU|directml",
    )
    precision: str = _option(
        "float32",
        "arithmetic of the engine; lower ones are faster where the device has them",
        "|".join(PRECISIONS),
    )
    dtype: str = _option(
        "auto",
        "type of the result; auto: the input's, but float32 where rounding to the input's integers "
        "would cost precision",
        "|".join(DTYPES),
    )
    range: str = _option(
        "input",
        "grey levels of the result; input: the input's; 0-1: its low percentile 0 and its high one "
        "1; full: its darkest pixel 0 and its brightest the most that the integer type holds",
        "|".join(RANGES),
    )
    normalize: str | tuple[float, float] = _option(
        "per-image",
        "what the percentiles are taken over; per-frame for movies that bleach; LO,HI: these grey "
        "levels in their place",
        "per-image|per-frame|LO,HI",
        parse=parse_normalize,
    )
    percentile_low: float | None = _option(
        None, "low percentile in percent (the package's)", "PERCENT", parse=_parse_percentile
    )
    percentile_high: float | None = _option(
        None, "high percentile in percent (the package's)", "PERCENT", parse=_parse_percentile
    )
    ignore_zeros: bool = _option(
        False, "leave pixels of 0 out of the percentiles: borders of deskewed or stitched images"
    )
    ignore_nonfinite: bool = _option(
        False, "accept pixels that are NaN or infinite: they stay as they are"
    )
    channels: tuple[str, ...] | None = _option(
        None,
        "channels to restore, by name or number from 1; the result has these only",
        "all|NAME,…",
        parse=parse_channels,
    )
    with_raw: bool = _option(
        False, "put the raw channels before the restored ones, as one image to compare"
    )
    uncertainty: str = _option(
        "none",
        "how sure a probabilistic model is of each pixel, as a second image in float32; scale: the "
        "standard deviation; interval: the two ends of the interval that holds the truth with the "
        "probability of confidence; samples: random draws; disagreement: of an ensemble's members, "
        "0 to 1",
        "|".join(UNCERTAINTIES),
    )
    confidence: float = _option(
        0.9,
        "probability that the truth lies in the interval of uncertainty",
        "PROBABILITY",
        parse=_parse_probability,
    )
    samples: int = _option(8, "how many random draws uncertainty gives", "N", parse=_parse_samples)
    rescale_to: Path | None = _option(
        None,
        "fit the result's grey levels to this image of the same scene (gain and offset by least "
        "squares); a folder: to the image of the same name in it",
        "FILE|FOLDER",
        files=True,
        parse=lambda text: Path(text) if text else None,
    )
    format: str = _option(
        "auto",
        "file format of the result; auto: the input's, OME-TIFF for those that are only read",
        "|".join(FORMATS),
        files=True,
    )
    compression: str = _option(
        "none", "compression of the result's file", "|".join(COMPRESSIONS), files=True
    )
    multiscale: bool = _option(
        False, "write smaller copies of the image into an OME-Zarr, for viewers", files=True
    )
    axes: str | None = _option(
        None,
        "axes of plain TIFF files that do not say their own, e.g. ZYX or TYX",
        "LETTERS",
        files=True,
        parse=lambda text: text or None,
    )
    overwrite: bool = _option(False, "replace results that are there already", files=True)
    include_subfolders: bool = _option(
        False, "restore a folder with all its subfolders", files=True
    )

    def __post_init__(self) -> None:
        for name, known in (
            ("precision", PRECISIONS),
            ("dtype", DTYPES),
            ("range", RANGES),
            ("uncertainty", UNCERTAINTIES),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} "{getattr(self, name)}" is unknown: use one of {", ".join(known)}'
                )
        _ = self.storage
        _check_tile(self.tile)
        _check_memory(self.memory)
        _check_device(self.device)
        _check_normalize(self.normalize)
        _check_uncertainty(self.confidence, self.samples)
        _check_together(self)

    @property
    def storage(self) -> Storage:
        """How results are written."""
        return Storage(self.format, self.compression, self.multiscale, self.overwrite)

    @classmethod
    def all(cls) -> tuple[Field[Any], ...]:
        """The options with name, default and metadata: "help", "value" unless it is a flag, and
        "files", true where it is about files and means nothing for an open image."""
        return fields(cls)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> RestoreOptions:
        """Options from texts, as a macro or the command line gives them; a flag's text may be
        empty. ConfigError where a key is unknown (it names the nearest) or a value unreadable."""
        check_names(texts, [option.name for option in cls.all()])
        parsed: dict[str, Any] = dict(texts)
        for option in cls.all():
            if option.name not in texts:
                continue
            text = texts[option.name]
            if option.default is False:
                parsed[option.name] = _parse_flag(option.name, text)
            elif "parse" in option.metadata:
                parsed[option.name] = option.metadata["parse"](text)
        return cls(**parsed)


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not known; it names the nearest one."""
    known = tuple(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"use one of {', '.join(known)}"
            raise ConfigError(f'there is no option "{name}": {hint}')


def _check_tile(tile: object) -> None:
    if tile is None:
        return
    if not isinstance(tile, Mapping) or not all(
        axis in ("Z", "Y", "X") and isinstance(size, int) and size > 0
        for axis, size in tile.items()
    ):
        raise ConfigError(
            f"tile {tile!r} is no tile: give pixels by axis, e.g. {{'Y': 256, 'X': 256}}, or None"
        )


def _check_memory(memory: int | None) -> None:
    if memory is not None and memory < _SMALLEST_MEMORY:
        raise ConfigError(
            f"memory of {memory} bytes is too little for any model: give at least "
            f"{_SMALLEST_MEMORY >> 20}MiB"
        )


def _check_device(device: str) -> None:
    kind, colon, which = device.partition(":")
    numbered = kind == "cuda" and which.isdigit()
    named = kind == "openvino" and which.isalnum()
    if kind not in DEVICES or (colon and not (numbered or named)):
        raise ConfigError(
            f'device "{device}" is unknown: use auto, cpu, cuda, cuda:NUMBER, openvino, '
            "openvino:GPU or directml"
        )


def _check_normalize(normalize: str | tuple[float, float]) -> None:
    if isinstance(normalize, str):
        if normalize not in NORMALIZE:
            raise ConfigError(
                f'normalize "{normalize}" is unknown: use {", ".join(NORMALIZE)} or two grey levels'
            )
        return
    low, high = normalize
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"normalize {low:g},{high:g}: the first grey level must be the lower one")


def _check_uncertainty(confidence: float, samples: int) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(
            f"confidence {confidence:g} is no probability of an interval: use one between 0 and 1, "
            "e.g. 0.9"
        )
    if not 1 <= samples <= _MOST_SAMPLES:
        raise ConfigError(f"samples {samples}: use a number from 1 to {_MOST_SAMPLES}")


def _check_together(options: RestoreOptions) -> None:
    """What contradicts itself."""
    percentiles = (options.percentile_low, options.percentile_high)
    if isinstance(options.normalize, tuple) and percentiles != (None, None):
        raise ConfigError(
            "percentiles and the grey levels of normalize were both given: use one of the two"
        )
    low, high = (0.0 if percentiles[0] is None else percentiles[0]), percentiles[1]
    if not 0 <= low < (100 if high is None else high) <= 100:
        raise ConfigError(
            f"percentiles {low:g} and {100 if high is None else high:g} do not satisfy "
            "0 <= low < high <= 100"
        )
    if options.range == "0-1" and options.dtype not in ("auto", "float32"):
        raise ConfigError(f"range 0-1 needs dtype float32, {options.dtype} was given")
    if options.range == "full" and options.dtype == "float32":
        raise ConfigError("range full needs an integer dtype, float32 was given")
    if options.rescale_to is not None and options.with_raw:
        raise ConfigError(
            "rescale_to and with_raw were both given: the raw channels cannot be fitted, use one "
            "of the two"
        )
    if options.rescale_to is not None and options.range != "input":
        raise ConfigError(
            f"rescale_to gives the result the other image's grey levels, range {options.range} "
            "others: use one of the two"
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _parse_flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ConfigError(f'{name}="{text}" cannot be read: use true or false')
    return _FLAGS[text.lower()]
