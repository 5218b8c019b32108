"""Files that appear under their name whole or not at all, and what a killed process leaves."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# Of this process: another one may get its number later, or have it on another machine.
_TOKEN = secrets.token_hex(4)
_PARTIAL = re.compile(
    r"\.(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]+)-(?P<token>[0-9a-f]{8})-[0-9a-f]{8}\.partial"
)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, which is renamed to `path` at the end.

    Folders that are missing are made. After any error the written part is removed and `path` is
    as before. OSError where the file system refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_beside(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def creating(path: Path) -> Iterator[Path]:
    """As `replacing`, but never in the place of another file: FileExistsError where there is one at
    the end, which another process may have written meanwhile."""
    with replacing(path) as partial:
        yield partial
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: an empty file holds the name for a moment
            path.touch(exist_ok=False)


def partial_beside(path: Path) -> Path:
    """A hidden name in the folder of `path` that nobody else uses: neither another thread nor
    another process, also of another machine, that writes the same file. It is short, so that it
    is legal wherever `path` is, and says who writes it: see `remove_leftovers`."""
    owner = f"{_machine()}-{os.getpid()}-{_TOKEN}"
    return path.with_name(f".{owner}-{secrets.token_hex(4)}.partial")


def remove_leftovers(folder: Path) -> int:
    """Remove the partial files and folders in `folder` whose writer, a process of this machine,
    was killed; returns how many there were. Those of other machines stay: they may be alive. What
    the file system keeps from being removed stays too: it is in nobody's way."""
    leftovers = [path for path in folder.glob(".*.partial") if _is_leftover(path.name)]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
    return sum(not path.exists() for path in leftovers)


def _is_leftover(name: str) -> bool:
    import psutil

    match = _PARTIAL.fullmatch(name)
    if match is None or match["machine"] != _machine():
        return False
    process = int(match["process"])
    if process == os.getpid():
        return match["token"] != _TOKEN
    return not psutil.pid_exists(process)


@cache
def _machine() -> str:
    """Short and legal in a file's name, other than the machine's own name."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
