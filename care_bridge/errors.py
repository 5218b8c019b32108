"""The error tree: everything care_bridge raises on purpose.

    CareBridgeError
    ├ AxesError, TilingError, ConfigError  (also ValueError)
    │  └ UnsafeYamlError                   a ConfigError: others may read it
    ├ MissingExtraError                    (also ImportError; names the extra)
    ├ ImageError                           unreadable, truncated, unsupported, not writable
    ├ PackageError
    │  ├ PackageNotFoundError              (also FileNotFoundError)
    │  ├ PackageFormatError
    │  │  └ PackageNotRunError             nothing is wrong with it
    │  ├ PackageIntegrityError             path, size, what may do harm
    │  │  └ PackageHashError               another file than the package was made with
    │  └ PackageCheckError                 carries the report
    ├ BatchError                           carries the files that failed
    ├ TrainingError, ExportError
    ├ ClusterError                         the workers cannot be reached, or cannot do the work
    ├ WorkerError                          the warm process cannot be started, or was lost
    ├ InferenceError, DeviceError, OutOfMemoryError (carries the tile)
    └ FijiError
       └ MacroError                        macro name and line

A message is one line: what came, what was expected, what to do. The command line prints it and
exits with 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends things as Ctrl-C does."""


class CareBridgeError(Exception):
    """Base of every error that care_bridge raises on purpose."""


class AxesError(CareBridgeError, ValueError):
    """Axes that cannot be read, or that do not fit the array or the model."""


class TilingError(CareBridgeError, ValueError):
    """A tile that cannot cover the image with the model's halo and size step."""


class ConfigError(CareBridgeError, ValueError):
    """An option or a configuration key that is unknown or has an unusable value."""


class UnsafeYamlError(ConfigError):
    """YAML that is right, and refused: its like can stand for more than any memory holds."""


class MissingExtraError(CareBridgeError, ImportError):
    """A part of care_bridge whose optional packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f'{what} needs the extra "{extra}": in the folder of care_bridge, '
            f'pip install -c constraints.txt ".[{extra}]"'
        )
        self.extra = extra


class ImageError(CareBridgeError):
    """An image file that cannot be read, understood or written."""


class PackageError(CareBridgeError):
    """Something is wrong with a model package."""


class PackageNotFoundError(PackageError, FileNotFoundError):
    """No package lies where it was looked for."""

    __str__ = Exception.__str__


class PackageFormatError(PackageError):
    """A folder or file that is no package, or one of which nobody can open a part: its description
    is no YAML or not what the spec allows, a file is missing, its network or a tensor is damaged.
    """


class PackageNotRunError(PackageFormatError):
    """A package that is right as far as is known, and that care_bridge does not run."""


class PackageIntegrityError(PackageError):
    """A package that is refused since it may do harm, or is not what it was: files with other
    hashes, names and links that leave its folder, sizes, YAML and networks that no model needs."""


class PackageHashError(PackageIntegrityError):
    """A file that is not the one that the package was made with."""


class PackageCheckError(PackageError):
    """A package that does not do what it promises; `report` says what was found."""

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report


class BatchError(CareBridgeError):
    """Some files of a batch failed; `failures` holds (file, message) pairs."""

    def __init__(self, message: str, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class TrainingError(CareBridgeError):
    """Data that cannot be trained on, or a run that went wrong."""


class ExportError(CareBridgeError):
    """An exported model that differs from the trained one, or cannot be written."""


class InferenceError(CareBridgeError):
    """The inference engine refused the model or failed while running it."""


class DeviceError(CareBridgeError):
    """The device that was named cannot be used."""


class OutOfMemoryError(CareBridgeError):
    """Memory ran out; `tile` is the tile (pixels by axis) that did not fit, empty where none is
    known or to blame."""

    def __init__(self, message: str, tile: Mapping[str, int]) -> None:
        super().__init__(message)
        self.tile: dict[str, Any] = dict(tile)


class ClusterError(CareBridgeError):
    """The workers of a cluster cannot be reached, or cannot do their part."""


class WorkerError(CareBridgeError):
    """The warm process (`care-bridge worker`) cannot be started, or was lost."""


class FijiError(CareBridgeError):
    """ImageJ or Fiji could not be started, or a command in it failed."""


class MacroError(FijiError):
    """A macro stopped with an error; `macro` is its name, `line` its line (None if unknown)."""

    def __init__(self, message: str, macro: str, line: int | None) -> None:
        super().__init__(message)
        self.macro = macro
        self.line = line
