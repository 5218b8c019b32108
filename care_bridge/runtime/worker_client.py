"""Asks this user's worker to do a command line, and starts one where there is none."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from care_bridge.errors import WorkerError
from care_bridge.runtime.worker_address import (
    HOST,
    Address,
    Line,
    is_held,
    key_file,
    made_folder,
    meet_worker,
    read_address,
    this_installation,
)

_PATIENCE = 5.0
_STARTING = 60.0
_LOOK_SECONDS = 0.02
# The worker outlives the terminal or the Fiji that it was started from.
if sys.platform == "win32":
    _DETACHED: dict[str, Any] = {
        "creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    }
else:
    _DETACHED: dict[str, Any] = {"start_new_session": True}


def ask_worker(
    arguments: Sequence[str],
    on_output: Callable[[str, str], None],
    terminals: Sequence[str] = (),
) -> int:
    """The exit status of a command line that the worker does in the current folder.

    on_output gets "out" or "err" and a text, as it is printed; terminals: those of the two that are
    shown on a terminal, with progress bars. Where this process ends or is
    interrupted, so is the command. WorkerError where the current folder was removed, where no
    worker can be started, or where it ends before its time.
    """
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise WorkerError("the current folder was removed: change to another one") from error
    with Line(_connected_or_started()) as line:
        line.send(arguments=list(arguments), folder=str(folder), terminals=list(terminals))
        while True:
            try:
                message = line.receive()
            except (OSError, WorkerError) as error:
                raise WorkerError(f"the worker ended before its time: {_log()} says why") from error
            if "exit" in message:
                return int(message["exit"])
            for name, text in message.items():
                on_output(name, text)


def running_worker() -> Address | None:
    """The worker that runs, of whichever installation; None where none answers."""
    connection = _connected()
    if connection is None:
        return None
    connection.close()
    return read_address()


def stop_worker() -> bool:
    """Ask the worker to end when it has done what it does; false where none runs. WorkerError where
    one does that nobody can ask."""
    connection = _connected()
    if connection is None and is_held():
        raise WorkerError(_without_key())
    if connection is None:
        return False
    with Line(connection) as line:
        line.send(stop=True)
    return True


def _connected_or_started() -> socket.socket:
    connection = _connected()
    if connection is not None and _is_ours(read_address()):
        return connection
    if connection is not None:
        # It would do the work as another version does.
        with Line(connection) as line:
            line.send(stop=True)
    log, folder = _log(), made_folder()
    with log.open("wb") as told:
        process = subprocess.Popen(
            # -P: the modules of this Python, and not files of that name in the current folder.
            [sys.executable, "-P", "-m", "care_bridge", "worker"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            **_DETACHED,
        )
    end = time.monotonic() + _STARTING
    while (now := time.monotonic()) < end:
        # One that another client has started in the meantime is as good.
        if _is_ours(read_address()):
            connection = _connected()
            if connection is not None:
                return connection
        if process.poll() is not None:
            if not is_held():
                break
            # Another one lives: it has a key soon, or has lost it and does what it was asked for.
            end = min(end, now + _PATIENCE)
        time.sleep(_LOOK_SECONDS)
    process.kill()
    if process.poll() is not None and is_held():
        raise WorkerError(_without_key())
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    reason = lines[-1] if lines else "it did not answer"
    raise WorkerError(f"the worker could not be started: {reason}")


def _connected() -> socket.socket | None:
    """A connection to the worker that wrote the key file; None where none answers."""
    address = read_address()
    if address is None or not is_held():
        return None
    # It may just have ended, and its port may be another program's.
    try:
        connection = socket.create_connection((HOST, address.port), _PATIENCE)
    except OSError:
        return None
    with contextlib.suppress(OSError, WorkerError):
        if _greeted(connection, address):
            connection.settimeout(None)
            meet_worker(Line(connection), address.key)
            return connection
    connection.close()
    return None


def _greeted(connection: socket.socket, address: Address) -> bool:
    """Whether the worker begins to speak: it may have to finish what others asked for."""
    while True:
        try:
            return bool(connection.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            if read_address() != address or not is_held():
                return False


def _without_key() -> str:
    return (
        f"the key file of the worker, {key_file()}, is gone: it ends when it has done what it "
        "does; try again then"
    )


def _log() -> Path:
    return key_file().with_suffix(".log")


def _is_ours(address: Address | None) -> bool:
    return address is not None and address.installation == this_installation()
