"""Folders of Zarr data that appear under their name whole or not at all.

What is written lies in `.NAME.partial` beside NAME until it is complete. One that it replaces is
`.NAME.old` for the moment between the two renames, from which `recover` brings it back if the
program is killed just then.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from care_bridge.errors import ImageError

_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def holds_zarr(path: Path) -> bool:
    """Whether a folder holds a Zarr group or array, of version 2 or 3."""
    return any((path / marker).is_file() for marker in _MARKERS)


def partial_of(path: Path) -> Path:
    """Where the data are until they are complete."""
    return path.with_name(f".{path.name}.partial")


def begin(path: Path, *, overwrite: bool) -> Path:
    """Make the empty folder to write to, and folders above it that are missing.

    What a killed run left of `path` is tidied up first. ImageError where `path` is there already
    and `overwrite` is not set, or is something else than Zarr data; OSError where the file system
    refuses.
    """
    recover(path)
    if path.exists():
        if not (path.is_dir() and holds_zarr(path)):
            raise ImageError(f"{path} is there already and is no Zarr: choose another name")
        if not overwrite:
            raise ImageError(f"{path} exists already: choose another name or overwrite it")
    partial = partial_of(path)
    partial.mkdir(parents=True)
    return partial


def commit(path: Path) -> None:
    """Give what was written its name."""
    old = _old_of(path)
    if path.exists():
        path.rename(old)
    partial_of(path).rename(path)
    if old.exists():
        shutil.rmtree(old)


def discard(path: Path) -> None:
    """Remove what was written, unless it has its name already."""
    shutil.rmtree(partial_of(path), ignore_errors=True)


def recover(path: Path) -> None:
    """Undo what a killed run left: bring back what it was replacing, remove what it had begun."""
    old, partial = _old_of(path), partial_of(path)
    if old.exists():
        if path.exists():
            shutil.rmtree(old)
        else:
            old.rename(path)
    if partial.exists():
        shutil.rmtree(partial)


def _old_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
