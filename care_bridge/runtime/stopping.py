"""Long calls into an engine, ended from outside.

Python runs what a signal is to do in its main thread, between two instructions: a call into C that
takes minutes there would hold up Ctrl-C for so long, unless another thread ends the call.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

_ENDING = (signal.SIGINT, signal.SIGTERM)
# On Windows a signal does not wake a thread that waits.
_LOOK_SECONDS = 0.1

_left: list[Future[Any]] = []
_stops: list[Callable[[], None]] = []


@contextmanager
def stoppable(stop: Callable[[], None]) -> Iterator[None]:
    """While the `with` block runs, `stop` is what ends it soon, called from any thread."""
    _stops.append(stop)
    try:
        yield
    finally:
        _stops.remove(stop)


def stop_all() -> None:
    """End all that is stoppable and runs now, from another thread. What comes next runs again, so
    the callers must ask for none."""
    for stop in list(_stops):
        stop()


def stop_at_signals() -> None:
    """From now on Ctrl-C and SIGTERM end what is stoppable in this process, and then do what they
    do. To be called once, in the main thread of a program of its own."""
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.detach(), warn_on_full_buffer=False)

    def watch() -> None:
        while number := told.recv(1):
            if number[0] in _ENDING:
                stop_all()

    threading.Thread(target=watch, name="care_bridge-signals", daemon=True).start()


def left_at_signals(call: Callable[[], Result]) -> Result:
    """What `call`, which nothing can end, returns; its errors pass. In the main thread it is left
    to itself where a signal raises KeyboardInterrupt: see `is_left`."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    engine = ThreadPoolExecutor(1, "care_bridge-engine")
    running = engine.submit(call)
    try:
        while not wait((running,), _LOOK_SECONDS).done:
            pass
    except KeyboardInterrupt:
        _left.append(running)
        raise
    finally:
        engine.shutdown(wait=False)
    return running.result()


def is_left() -> bool:
    """Whether a call that was left to itself still runs: Python would wait for it at its end."""
    return any(not running.done() for running in _left)
