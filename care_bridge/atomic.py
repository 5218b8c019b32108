"""Files that appear under their name whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def partial_beside(path: Path) -> Path:
    """A hidden name in the folder of `path` that nobody else uses: neither another thread nor
    another process, also of another machine, that writes the same file. It is short, so that it
    is legal wherever `path` is."""
    return path.with_name(f".{secrets.token_hex(8)}.partial")
