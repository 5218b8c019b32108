"""A lock on an open file that the operating system gives back when its process ends, however."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO

# What file systems say that have no locks, as some network shares: there two processes are on
# their own.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)

if sys.platform == "win32":
    import msvcrt

    # Windows refuses others to read what is locked, so the lock lies far behind the file's end.
    _LOCKED_BYTE = 1 << 62

    def lock_file(stream: BinaryIO) -> bool:
        """Lock an open file until it is closed; false where somebody else holds it."""
        stream.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def lock_file(stream: BinaryIO) -> bool:
        """Lock an open file until it is closed; false where somebody else holds it."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True


def open_locked(path: Path) -> BinaryIO | None:
    """The file at `path`, made with its folders if it is not there, open to be read and appended
    to, and locked; None where somebody else holds it. OSError where the file system refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = path.open("ab+")
        if not lock_file(stream):
            stream.close()
            return None
        if _is_at(path, stream):
            return stream
        # Who held it removed it after it was opened here: it has no name any more.
        stream.close()


def remove_locked(path: Path, stream: BinaryIO) -> None:
    """Remove the file at `path`, which `open_locked` gave, and close it. Windows removes no open
    file: there it stays if somebody else opens it at this moment."""
    if sys.platform == "win32":
        stream.close()
        with contextlib.suppress(PermissionError):
            path.unlink()
    else:
        path.unlink(missing_ok=True)
        stream.close()


def _is_at(path: Path, stream: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
