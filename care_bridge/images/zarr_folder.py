"""Folders of Zarr data that appear under their name whole or not at all.

What is written lies in a hidden folder of its own beside NAME until it is complete. One that it
replaces is `.NAME.old` for the moment between the two renames, from which `recover` brings it back
if the program is killed just then.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from care_bridge.atomic import partial_beside
from care_bridge.errors import ImageError

_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def holds_zarr(path: Path) -> bool:
    """Whether a folder holds a Zarr group or array, of version 2 or 3."""
    return any((path / marker).is_file() for marker in _MARKERS)


def begin(path: Path, *, overwrite: bool) -> Path:
    """Make the empty folder to write to, and folders above it that are missing.

    ImageError where `path` is there already and `overwrite` is not set, or is something else than
    Zarr data; OSError where the file system refuses.
    """
    recover(path)
    _check_free(path, overwrite=overwrite)
    partial = partial_beside(path)
    partial.mkdir(parents=True)
    return partial


def commit(partial: Path, path: Path, *, overwrite: bool) -> None:
    """Give what was written its name. ImageError where somebody else took it meanwhile; after
    any error what had the name has it again."""
    _check_free(path, overwrite=overwrite)
    old = _old_of(path)
    if path.exists():
        path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        recover(path)
        raise
    if old.exists():
        shutil.rmtree(old)


def discard(partial: Path) -> None:
    """Remove what was written, unless it has its name already.

    It is gone at once for others who write to it, who are to look for it.
    """
    if partial.exists():
        doomed = partial_beside(partial)
        partial.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)  # the rest is a leftover


def recover(path: Path) -> None:
    """Bring back what a run was replacing when it was killed."""
    old = _old_of(path)
    if old.exists():
        if path.exists():
            shutil.rmtree(old)
        else:
            old.rename(path)


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.exists():
        if not (path.is_dir() and holds_zarr(path)):
            raise ImageError(f"{path} is there already and is no Zarr: choose another name")
        if not overwrite:
            raise ImageError(f"{path} exists already: choose another name or overwrite it")


def _old_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
