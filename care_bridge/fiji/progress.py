"""What a running command shows in ImageJ's status bar, and how Escape ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from jpype import JClass, JProxy

from care_bridge.errors import InferenceError

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class StatusBar:
    """The status bar while the command `name` runs. Its methods are called with the steps done
    and all steps, and raise KeyboardInterrupt where Escape was pressed."""

    name: str

    def reading(self, done: int, total: int) -> None:
        """Show how much of the image's grey levels was read."""
        self._show(f"grey levels {100 * done // total} %", done, total)

    def tiles(self, done: int, total: int) -> None:
        """Show how many tiles were restored."""
        self._show(f"{done} of {total} tiles", done, total)

    def _show(self, text: str, done: int, total: int) -> None:
        imagej = JClass("ij.IJ")
        if imagej.escapePressed():
            raise KeyboardInterrupt
        imagej.showStatus(f"{self.name}: {text} (Esc cancels)")
        imagej.showProgress(done, total)


def in_background(work: Callable[[], None], name: str) -> None:
    """Do `work` in a thread of Java's."""
    JClass("java.lang.Thread")(JProxy("java.lang.Runnable", dict={"run": work}), name).start()


@contextmanager
def status_bar(name: str) -> Iterator[StatusBar]:
    """The status bar for the command `name`, which is empty again afterwards."""
    imagej = JClass("ij.IJ")
    imagej.resetEscape()
    imagej.showStatus(f"{name}…")
    try:
        yield StatusBar(name)
    finally:
        imagej.showProgress(1, 1)
        imagej.showStatus("")


@contextmanager
def stoppable(cancel: Callable[[], None]) -> Iterator[None]:
    """Escape calls `cancel` (a session's), and so ends the tile that runs in the `with` block:
    KeyboardInterrupt."""
    imagej = JClass("ij.IJ")
    ended = Event()

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            if imagej.escapePressed():
                cancel()

    if imagej.getInstance() is not None:
        in_background(watch, "CARE: Escape")
    try:
        yield
    except InferenceError as error:
        if imagej.escapePressed():
            raise KeyboardInterrupt from error
        raise
    finally:
        ended.set()
