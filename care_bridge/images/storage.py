"""How a result is stored: the file format, which its name decides or follows, and compression."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import ConfigError, ImageError

FORMATS = ("auto", "imagej", "ome", "zarr")
COMPRESSIONS = ("none", "zlib")
TIFF_SUFFIXES = (".tif", ".tiff")
OME_TIFF_SUFFIXES = (".ome.tif", ".ome.tiff")
ZARR_SUFFIX = ".zarr"
UNCERTAINTY_SUFFIXES = {
    kind: f"_{kind}" for kind in ("scale", "interval", "samples", "disagreement", "members")
}
"""What is added to a restored image's name to name the one beside it that tells its uncertainty, by
what that tells."""
_ENDINGS = (".ome.zarr", *OME_TIFF_SUFFIXES, *TIFF_SUFFIXES, ZARR_SUFFIX)


@dataclass(frozen=True)
class Storage:
    """How an image is written; ConfigError where a value is none of the named ones.

    format: "imagej" (hyperstack), "ome" (OME-TIFF), "zarr" (OME-Zarr), or "auto", by the name and
    by what the image came in. compression: "none" or "zlib". multiscale: smaller copies beside
    the image, in OME-Zarr alone. overwrite: replace what is there already.
    """

    format: str = "auto"
    compression: str = "none"
    multiscale: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, known in (("format", FORMATS), ("compression", COMPRESSIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f'{name} "{getattr(self, name)}" is unknown: use one of {", ".join(known)}'
                )

    def name(self, name: str) -> str:
        """The file name that a result of a source of this name gets: its own where the format
        allows, else with the ending that the format asks for.

        In "auto", names that cannot be written (like those of microscope formats) end in .ome.tif.
        """
        ending = ending_of(name)
        if _fits(name.lower(), self.format):
            return name
        stem = name[: -len(ending)] if ending else name.rpartition(".")[0] or name
        return stem + {"imagej": ".tif", "zarr": ".ome.zarr"}.get(self.format, ".ome.tif")

    def check_name(self, name: str) -> None:
        """Raise ImageError for a file name that the format cannot have, ConfigError where smaller
        copies are asked for and the name is none of an OME-Zarr."""
        lower = name.lower()
        if not _fits(lower, "auto"):
            raise ImageError(
                f"{name} cannot be written: end the name in {', '.join(TIFF_SUFFIXES)} or "
                f"{ZARR_SUFFIX}"
            )
        if self.format != "auto" and not (
            _fits(lower, self.format) or (self.format == "ome" and _fits(lower, "imagej"))
        ):
            raise ImageError(
                f'{name} is no name for the format {self.format}: name it "{self.name(name)}"'
            )
        if self.multiscale and not _fits(lower, "zarr"):
            raise ConfigError(
                f"multiscale is for OME-Zarr, {name} is a TIFF: use format zarr, or leave it out"
            )

    def format_of(self, name: str, container: str) -> str:
        """The format ("imagej", "ome" or "zarr") of a file of this name, for an image that came in
        `container`. Raises the errors of `check_name`."""
        self.check_name(name)
        lower = name.lower()
        if self.format != "auto":
            return self.format
        if lower.endswith(ZARR_SUFFIX):
            return "zarr"
        return "ome" if container == "ome" or lower.endswith(OME_TIFF_SUFFIXES) else "imagej"


def ending_of(name: str) -> str:
    """The end of a file's name that says its format, e.g. ".ome.tif"; "" where none does."""
    found = next((end for end in _ENDINGS if name.lower().endswith(end)), "")
    return name[len(name) - len(found) :]


def stem_of(path: Path) -> str:
    """A file's name without the end that says its format."""
    ending = ending_of(path.name) or ("" if path.is_dir() else path.suffix)
    return path.name[: len(path.name) - len(ending)]


def _fits(name: str, file_format: str) -> bool:
    """Whether a name (in lower case) is as the format would give it."""
    if file_format == "zarr":
        return name.endswith(ZARR_SUFFIX)
    if file_format == "ome":
        return name.endswith(OME_TIFF_SUFFIXES)
    if file_format == "imagej":
        return name.endswith(TIFF_SUFFIXES) and not name.endswith(OME_TIFF_SUFFIXES)
    return name.endswith((*TIFF_SUFFIXES, ZARR_SUFFIX))
