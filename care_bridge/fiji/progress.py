"""What a running command shows in the status bar, and how Escape and ImageJ's end cancel it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from jpype import JClass, JProxy

from care_bridge.errors import InferenceError

_LOOK_SECONDS = 0.05
# Set when ImageJ ends: what runs is cancelled.
ending = Event()


@dataclass(frozen=True)
class StatusBar:
    """The status bar while the command `name` runs. Its methods are called with the steps done
    and all steps, and raise KeyboardInterrupt where Escape was pressed or ImageJ ends."""

    name: str

    def reading(self, done: int, total: int) -> None:
        """Show how much of the image's grey levels was read."""
        self._show(f"grey levels {100 * done // total} %", done, total)

    def tiles(self, done: int, total: int) -> None:
        """Show how many tiles were restored."""
        self._show(f"{done} of {total} tiles", done, total)

    def _show(self, text: str, done: int, total: int) -> None:
        imagej = JClass("ij.IJ")
        if _is_cancelled():
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
    """Escape and ImageJ's end call `cancel` (a session's), and so end the tile that runs in the
    `with` block: KeyboardInterrupt."""
    ended = Event()

    def watch() -> None:
        while not ended.wait(_LOOK_SECONDS):
            if _is_cancelled():
                cancel()

    if JClass("ij.IJ").getInstance() is not None:
        in_background(watch, "CARE: Escape")
    try:
        yield
    except InferenceError as error:
        if _is_cancelled():
            raise KeyboardInterrupt from error
        raise
    finally:
        ended.set()


def _is_cancelled() -> bool:
    return ending.is_set() or bool(JClass("ij.IJ").escapePressed())
