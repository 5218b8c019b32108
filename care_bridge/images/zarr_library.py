"""The seam to zarr-python: it is loaded and set up here, and its errors become ours here."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from care_bridge.errors import CareBridgeError, ImageError, MissingExtraError

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


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what zarr-python and its decoders raise on damaged or foreign data into ImageError."""
    try:
        yield
    except CareBridgeError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into this machine's memory") from error
    except (
        ArithmeticError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"{path} cannot be read as Zarr ({reason}): copy it again from its source"
        ) from error
