"""The one list of a restoration's options and their defaults.

The command line (in kebab-case), YAML files, Python and the macros (in snake_case) all take their
options, defaults and help texts from `RestoreOptions`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from care_bridge.errors import ConfigError
from care_bridge.images.storage import COMPRESSIONS, FORMATS, UNCERTAINTY_SUFFIXES, Storage
from care_bridge.runtime import option_values as values

PRECISIONS = ("float32", "tf32", "bf16", "fp16")
DTYPES = ("auto", "input", "uint8", "uint16", "float32")
RANGES = ("input", "0-1", "full")
UNCERTAINTIES = ("none", *UNCERTAINTY_SUFFIXES)


def _option(
    default: Any,
    help_text: str,
    read: Callable[[str, object], Any],
    value: str = "",
    *,
    files: bool = False,
) -> Any:
    """A field of RestoreOptions; see RestoreOptions.all for what is kept of these."""
    metadata: dict[str, Any] = {"help": help_text, "files": files, "read": read}
    if value:
        metadata["value"] = value
    return dataclasses.field(default=default, metadata=metadata)


def _choice(default: str, help_text: str, known: tuple[str, ...], *, files: bool = False) -> Any:
    return _option(default, help_text, values.choice(known), "|".join(known), files=files)


def _flag(help_text: str, *, files: bool = False) -> Any:
    return _option(False, help_text, values.flag, files=files)


@dataclass(frozen=True)
class RestoreOptions:
    """How images are restored; each option is explained by its help text (`RestoreOptions.all`).

    A value may be a text, as on the command line. In Python, `tile` is in pixels by axis letter,
    `memory` in bytes, `normalize` "per-image", "per-frame" or a pair of grey levels, `channels` a
    tuple of names or of numbers from 1; None leaves `tile`, `memory`, the percentiles, `channels`,
    `rescale_to`, `inputs`, `output_tensor` and `axes` to care_bridge. ConfigError where a value
    is none of these.
    """

    tile: Mapping[str, int] | None = _option(
        None,
        "largest tile in pixels, halo included; auto: planned from the memory",
        values.tile,
        "auto|Y,X|Z,Y,X",
    )
    memory: int | None = _option(
        None,
        "most memory that the whole program may use, on a GPU the model on it; auto: half of what "
        "is free",
        values.memory,
        "auto|SIZE",
    )
    device: str = _option(
        "auto",
        "where to compute; auto: a GPU where one can be used",
        values.device,
        "auto|cpu|cuda|cuda:N|openvino|openvino:GPU|directml",
    )
    precision: str = _choice(
        "float32",
        "arithmetic of the engine; lower ones are faster where the device has them",
        PRECISIONS,
    )
    dtype: str = _choice(
        "auto",
        "type of the result; auto: the input's, but float32 where rounding to the input's integers "
        "would cost precision",
        DTYPES,
    )
    range: str = _choice(
        "input",
        "grey levels of the result; input: the input's; 0-1: the input's low percentile 0 and its "
        "high one 1; full: the input's darkest pixel 0 and its brightest the most that the integer "
        "type holds, what lies beyond is clipped",
        RANGES,
    )
    normalize: str | tuple[float, float] = _option(
        "per-image",
        "what the percentiles are taken over; per-frame for movies that bleach; LO,HI: these grey "
        "levels in their place",
        values.normalize,
        "per-image|per-frame|LO,HI",
    )
    percentile_low: float | None = _option(
        None, "low percentile in percent (the package's)", values.percentile, "PERCENT"
    )
    percentile_high: float | None = _option(
        None, "high percentile in percent (the package's)", values.percentile, "PERCENT"
    )
    ignore_zeros: bool = _flag(
        "leave pixels of 0 out of the percentiles: borders of deskewed or stitched images"
    )
    ignore_nonfinite: bool = _flag("accept pixels that are NaN or infinite: they stay as they are")
    channels: tuple[str, ...] | None = _option(
        None,
        "channels to restore, by name or number from 1; the result has these only",
        values.channels,
        "all|NAME,…",
    )
    inputs: Mapping[str, Path] | None = _option(
        None,
        "images for the inputs of a model besides the first one, by their names, of the size of "
        "the image to restore",
        values.named_files,
        "NAME=FILE,…",
    )
    output_tensor: str | None = _option(
        None,
        "which output of a model with several is the result (the first image)",
        values.word,
        "NAME",
    )
    with_raw: bool = _flag("put the raw channels before the restored ones, as one image to compare")
    uncertainty: str = _choice(
        "none",
        "how sure a probabilistic model is of each pixel, as a second image in float32; scale: the "
        "standard deviation; interval: the two ends of the interval that holds the truth with the "
        "probability of confidence; samples: random draws; disagreement: of an ensemble's members, "
        "0 to 1; members: mean and scale of each member's Laplace distribution",
        UNCERTAINTIES,
    )
    confidence: float = _option(
        0.9,
        "probability that the truth lies in the interval of uncertainty",
        values.confidence,
        "PROBABILITY",
    )
    samples: int = _option(8, "how many random draws uncertainty gives", values.samples, "N")
    rescale_to: Path | None = _option(
        None,
        "fit the result's grey levels to this image of the same scene (gain and offset by least "
        "squares); a folder: to the image of the same name in it",
        values.path,
        "FILE|FOLDER",
        files=True,
    )
    format: str = _choice(
        "auto",
        "file format of the result; auto: the input's, OME-TIFF for those that are only read",
        FORMATS,
        files=True,
    )
    compression: str = _choice("none", "compression of the result's file", COMPRESSIONS, files=True)
    multiscale: bool = _flag(
        "write smaller copies of the image into an OME-Zarr, for viewers", files=True
    )
    axes: str | None = _option(
        None,
        "axes of plain TIFF files that do not say their own, e.g. ZYX or TYX",
        values.axes,
        "LETTERS",
        files=True,
    )
    overwrite: bool = _flag("replace results that are there already", files=True)
    include_subfolders: bool = _flag("restore a folder with all its subfolders", files=True)

    def __post_init__(self) -> None:
        for option in self.all():
            value = option.metadata["read"](option.name, getattr(self, option.name))
            object.__setattr__(self, option.name, value)
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
    def parse(cls, given: Mapping[str, Any]) -> RestoreOptions:
        """Options from texts, as a macro or the command line gives them, or other values; a flag's
        text may be empty. ConfigError where a key is unknown (it names the nearest) or a value
        unreadable."""
        check_names(given, [option.name for option in cls.all()])
        return cls(**given)


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not known; it names the nearest one."""
    known = tuple(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"use one of {', '.join(known)}"
            raise ConfigError(f'there is no option "{name}": {hint}')


def _check_together(options: RestoreOptions) -> None:
    """What contradicts itself."""
    percentiles = (options.percentile_low, options.percentile_high)
    if isinstance(options.normalize, tuple) and percentiles != (None, None):
        raise ConfigError(
            "percentiles and the grey levels of normalize were both given: use one of the two"
        )
    if percentiles != (None, None):
        from care_bridge.normalization import check_percentiles  # with numpy: not for --help

        low, high = percentiles
        check_percentiles(0.0 if low is None else low, 100.0 if high is None else high)
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
