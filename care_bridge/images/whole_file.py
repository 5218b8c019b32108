"""Results that appear whole or not at all, and replace nothing unasked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from care_bridge.atomic import replacing
from care_bridge.errors import ImageError


@contextmanager
def whole_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which is renamed to `path` at the end;
    folders that are missing are made.

    After any error the written part is removed and `path` is as before. Raises ImageError for
    what the file system refuses, and where `path` is there already and `overwrite` is not set.
    """
    with writing(path):
        check_target(path, overwrite=overwrite)
        with replacing(path) as partial:
            yield partial


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into ImageError; `path` is the result's final name."""
    try:
        yield
    except OSError as error:
        # numpy reports a short write without an error number
        reason = error.strerror or "only a part of it could be written, is the disk full?"
        raise ImageError(f"{path} cannot be written: {reason}") from error


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise ImageError where `path` is a folder, or is there already and cannot or is not to be
    overwritten: it is told before the work, not after it."""
    if path.is_dir():
        raise ImageError(f"{path} cannot be written: it is a folder, give a file name")
    if path.exists() and not overwrite:
        raise ImageError(f"{path} exists already: choose another name or overwrite it")
    if path.exists():
        try:
            path.open("r+b").close()
        except OSError as error:
            raise ImageError(
                f"{path} cannot be replaced, it is open in another program or read-only "
                f"({error.strerror}): close it there, or use another output"
            ) from error
