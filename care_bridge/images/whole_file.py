"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from care_bridge.errors import ImageError


@contextmanager
def whole_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which is renamed to `path` at the end;
    folders that are missing are made.

    After any error the written part is removed and `path` is as before. Raises ImageError for
    what the file system refuses, and where `path` is there already and `overwrite` is not set.
    """
    # The process id keeps two processes that write the same file from mixing their bytes.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _check_target(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        # numpy reports a short write without an error number
        reason = error.strerror or "only a part of it could be written, is the disk full?"
        raise ImageError(f"{path} cannot be written: {reason}") from error


def _check_target(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise ImageError(f"{path} cannot be written: it is a folder, give a file name")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already: choose another name or overwrite it")
