"""A lock on an open file that the operating system gives back when its process ends, however."""

from __future__ import annotations

import errno
import sys
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
