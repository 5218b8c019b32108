"""What a running command shows in ImageJ's status bar, and how Escape ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

from jpype import JClass, JProxy

Progress = Callable[[int, int], None]

_LOOK_SECONDS = 0.05


def in_background(work: Callable[[], None], name: str) -> None:
    """Do `work` in a thread of Java's."""
    JClass("java.lang.Thread")(JProxy("java.lang.Runnable", dict={"run": work}), name).start()


@contextmanager
def status_bar(name: str, cancel: Callable[[], None] | None = None) -> Iterator[Progress]:
    """Progress of the command `name` in the status bar, as (steps done, steps in all).

    Escape raises KeyboardInterrupt in the `with` block: at its next progress, or as soon as
    `cancel` (called from another thread) has made it fail.
    """
    imagej = JClass("ij.IJ")
    imagej.resetEscape()
    ended = Event()

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            if cancel and imagej.escapePressed():
                cancel()

    def progress(done: int, total: int) -> None:
        if imagej.escapePressed():
            raise KeyboardInterrupt
        imagej.showStatus(f"{name}: {done} of {total} tiles (Esc cancels)")
        imagej.showProgress(done, total)

    if imagej.getInstance() is not None:
        in_background(watch, f"{name}: Escape")
    imagej.showStatus(f"{name}…")
    try:
        yield progress
    except Exception as error:
        if imagej.escapePressed():
            raise KeyboardInterrupt from error
        raise
    finally:
        ended.set()
        imagej.showProgress(1, 1)
        imagej.showStatus("")
