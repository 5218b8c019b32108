"""A check ends before the network of a stranger takes what the computer needs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_SHARE = 0.75
_SECONDS = 600.0
_EVERY = 0.05


@contextmanager
def stopped_at_limits(
    package: str, *, share: float = _SHARE, seconds: float = _SECONDS
) -> Iterator[None]:
    """While this is open, the process ends with a line and the status 1 once it takes more than
    this share of the memory that was free at the beginning, or more time.

    What a network takes is estimated before it is run, but of some operators it cannot be told.
    The engine stops between operators alone, so nothing less than the process can be ended. Files
    that were made in the temporary folder are deleted.
    """
    process = psutil.Process()
    most = process.memory_info().rss + int(share * psutil.virtual_memory().available)
    end, done = time.monotonic() + seconds, threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            if process.memory_info().rss > most:
                leave(f"it takes more than {most >> 20} MB of memory")
            if time.monotonic() > end:
                leave(f"it takes more than {seconds:g} seconds")

    def leave(why: str) -> None:
        print(
            f"care-bridge check: the network of {package} was stopped: {why}; do not use this "
            "package, unless you know that it needs so much",
            file=sys.stderr,
            flush=True,
        )
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="care-bridge-", ignore_cleanup_errors=True) as scratch:
        tempfile.tempdir = scratch
        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()
            tempfile.tempdir = before
