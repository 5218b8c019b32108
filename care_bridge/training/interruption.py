"""Ctrl-C and termination, held back until the step at hand is done and saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from care_bridge.errors import Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within the `with` block the first SIGINT or SIGTERM only sets `requested`; the second one
    acts as usual. Signals reach the main thread alone: elsewhere this does nothing. kind: what is
    to be raised when all is saved."""

    def __init__(self) -> None:
        self.requested = False
        self.kind: type[KeyboardInterrupt] = KeyboardInterrupt
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._usual = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self.kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        self._restore()

    def _restore(self) -> None:
        while self._usual:
            number, handler = self._usual.popitem()
            signal.signal(number, handler)
