"""The worker: a process that stays, and does one request of its user after another.

A request is a command line, which is run here as it would be in a process of its own; what it
prints is sent back as it comes, and its exit status at the end.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from care_bridge.errors import WorkerError
from care_bridge.lock import lock_file
from care_bridge.runtime.worker_address import (
    HOST,
    Address,
    Line,
    key_file,
    meet_client,
    open_lock,
    read_address,
    write_address,
)

_GREETING_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_WAITING = 16
_INTERRUPTED = 130
_TRIES = 30
_BETWEEN_TRIES = 0.05

Run = Callable[[Sequence[str]], int]


def serve(idle: float, run: Run, cancel: Callable[[], None]) -> None:
    """Serve until nothing was asked for `idle` seconds, until asked to stop, or until the key file
    is another's or gone, so that nobody can ask any more.

    run: does a command line and returns its exit status; cancel: called from another thread where
    the client is gone, before KeyboardInterrupt is raised in `run`. WorkerError where this user
    has a worker already.
    """
    with open_lock() as lock, socket.create_server((HOST, 0), backlog=_WAITING) as server:
        if not _locked(lock):
            raise WorkerError("a worker of yours is running already: care-bridge worker --stop")
        address = Address.new(server.getsockname()[1])
        write_address(address)
        try:
            _serve(server, address, idle, run, cancel)
        finally:
            if read_address() == address:
                key_file().unlink()


def _locked(lock: BinaryIO) -> bool:
    """Whether the lock could be had; a client that looks whether it is held has it for a moment."""
    for _ in range(_TRIES):
        if lock_file(lock):
            return True
        time.sleep(_BETWEEN_TRIES)
    return False


def _serve(
    server: socket.socket, address: Address, idle: float, run: Run, cancel: Callable[[], None]
) -> None:
    end = time.monotonic() + idle
    while (left := end - time.monotonic()) > 0 and read_address() == address:
        server.settimeout(min(left, _LOOK_SECONDS))
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        # A client that is gone, or is none, is not to end the worker.
        with contextlib.suppress(OSError, WorkerError), Line(connection) as line:
            request = _request(connection, line, address.key)
            if request.get("stop"):
                return
            if "arguments" in request:
                code = _run(request, connection, line, run, cancel)
                end = time.monotonic() + idle
                line.send(exit=code)


def _request(connection: socket.socket, line: Line, key: str) -> Mapping[str, Any]:
    """What a client that has the key asks for; nothing for one that has not. OSError or
    WorkerError where it takes too long."""
    # One end for all of it: a timeout of the connection would begin anew with each byte.
    late = threading.Timer(_GREETING_SECONDS, connection.shutdown, [socket.SHUT_RDWR])
    late.daemon = True
    late.start()
    try:
        return line.receive() if meet_client(line, key) else {}
    finally:
        late.cancel()


def _run(
    request: Mapping[str, Any],
    connection: socket.socket,
    line: Line,
    run: Run,
    cancel: Callable[[], None],
) -> int:
    """The exit status of the command line that was asked for, run in the client's folder."""
    folder = Path(request["folder"])
    if not folder.is_dir():
        line.send(err=f"care-bridge: the folder {folder} is not there: change to another one\n")
        return 1
    ended = threading.Event()

    def watch() -> None:
        # The client sends nothing more: what is received is its end.
        with contextlib.suppress(OSError):
            connection.recv(1)
        if not ended.is_set():
            cancel()
            _thread.interrupt_main()

    watcher = threading.Thread(target=watch, daemon=True)
    printed, told = (_Sent(line, name, name in request["terminals"]) for name in ("out", "err"))
    try:
        with (
            _working_in(folder),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(told),
        ):
            watcher.start()
            try:
                return run(request["arguments"])
            except SystemExit as end:  # argparse, on a wrong usage
                return end.code if isinstance(end.code, int) else 1
            finally:
                ended.set()
                with contextlib.suppress(OSError):  # the client is gone already
                    connection.shutdown(socket.SHUT_RD)
                watcher.join()
    except KeyboardInterrupt:
        return _INTERRUPTED


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Be in the folder of the client, so that its paths are meant as it means them; afterwards in
    one that nobody will want to remove."""
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(Path.home())


class _Sent(io.TextIOBase):
    """A text stream whose text is sent to the client, as long as it is there."""

    def __init__(self, line: Line, name: str, terminal: bool) -> None:
        self._line = line
        self._name = name
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether the client shows it on a terminal, which progress bars are for."""
        return self._terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._line.send(**{self._name: text})
        return len(text)
