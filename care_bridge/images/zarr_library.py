"""The seam to zarr-python: it is loaded and set up here, and its errors become ours here."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from care_bridge.errors import MissingExtraError
from care_bridge.images.foreign import foreign

if TYPE_CHECKING:
    import zarr

    ZarrArray: TypeAlias = zarr.Array[Any]


# Chunks that are decoded or encoded at a time. Each thread keeps memory of its own, some chunks'
# worth; more threads than these gain little beside a network that computes.
THREADS = min(4, os.cpu_count() or 1)


def load_zarr() -> Any:
    """The module zarr; MissingExtraError where it is not installed."""
    try:
        zarr = import_module("zarr")
    except ModuleNotFoundError as error:
        raise MissingExtraError("OME-Zarr", "zarr") from error
    if zarr.config.get("threading.max_workers") is None:
        zarr.config.set({"threading.max_workers": THREADS})
    return zarr


def reading(path: Path) -> AbstractContextManager[None]:
    """Turn what zarr-python and its decoders raise on damaged or foreign data into ImageError."""
    return foreign(path, "as Zarr", "copy it again from its source", (OSError,))
