"""Where the worker of a user listens, and how both ends of a connection know each other.

The worker writes its port and a random key into a file that its user alone can read. Whoever
connects proves to have read it, and so does the worker, without sending the key.

Nothing here loads numpy or ONNX Runtime: a request is to cost no more than Python's start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_cache_path

import care_bridge
from care_bridge.atomic import replacing
from care_bridge.errors import WorkerError
from care_bridge.lock import lock_file

HOST = "127.0.0.1"
_LONGEST_LINE = 1 << 20
_KEY_BYTES = 32


@dataclass(frozen=True)
class Address:
    """A worker: the port on this machine, its key (hexadecimal), the number of its process, and
    the installation of care_bridge that it runs."""

    port: int
    key: str
    process: int
    installation: str

    @classmethod
    def new(cls, port: int) -> Address:
        """Of this process, with a new key."""
        return cls(port, secrets.token_hex(_KEY_BYTES), os.getpid(), this_installation())


def this_installation() -> str:
    """The care_bridge that runs here: its version and its Python."""
    return f"{care_bridge.__version__} {sys.prefix}"


def key_file() -> Path:
    """The file with the address of this user's worker."""
    return user_cache_path("care_bridge") / "worker.json"


def write_address(address: Address) -> None:
    """Write the key file, for its user alone (on Windows the folder is the user's own)."""
    with replacing(key_file()) as partial:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(asdict(address), stream)


def read_address() -> Address | None:
    """What the key file says, also that of a worker that was killed; None where there is none, or a
    damaged one."""
    try:
        return Address(**json.loads(key_file().read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def open_lock() -> BinaryIO:
    """The file that the worker keeps locked, as long as it lives; its user's alone, because whoever
    may read a file may lock it."""
    file = made_folder() / key_file().with_suffix(".lock").name
    opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    return os.fdopen(opened, "ab")


def made_folder() -> Path:
    """The folder of the key file, which is made where it is not there."""
    folder = key_file().parent
    folder.mkdir(0o700, parents=True, exist_ok=True)
    return folder


def is_held() -> bool:
    """Whether a worker of this user lives."""
    with open_lock() as lock:
        return not lock_file(lock)


class Line:
    """A connection on which each message is a line of JSON; it is closed with the `with` block."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reading: BinaryIO = connection.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        # Else the connection would stay open as long as this reads from it.
        self._reading.close()
        self._connection.close()

    def send(self, **message: object) -> None:
        """Send a message; OSError where the other end is gone."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """The next message; WorkerError where the other end is gone, or sends something else."""
        line = self._reading.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise WorkerError("the connection was closed before a message was complete: try again")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise WorkerError("a message came that is no JSON: another program answers") from error
        if not isinstance(message, dict):
            raise WorkerError("a message came that is no JSON object: another program answers")
        return message


def meet_client(line: Line, key: str) -> bool:
    """The worker's side of getting to know each other; false where the client has not the key."""
    ours = secrets.token_hex(_KEY_BYTES)
    line.send(challenge=ours)
    answer = line.receive()
    theirs, proof = str(answer.get("challenge")), str(answer.get("proof"))
    if not hmac.compare_digest(proof.encode(), _proof(key, "client", ours, theirs).encode()):
        return False
    line.send(proof=_proof(key, "worker", ours, theirs))
    return True


def meet_worker(line: Line, key: str) -> None:
    """The client's side; WorkerError where it is not the worker that wrote the key."""
    theirs, ours = str(line.receive().get("challenge")), secrets.token_hex(_KEY_BYTES)
    line.send(challenge=ours, proof=_proof(key, "client", theirs, ours))
    proof = str(line.receive().get("proof"))
    if not hmac.compare_digest(proof.encode(), _proof(key, "worker", theirs, ours).encode()):
        raise WorkerError("another program than the worker answers: stop it, or try again")


def _proof(key: str, who: str, of_worker: str, of_client: str) -> str:
    text = f"{who} {of_worker} {of_client}".encode()
    return hmac.new(bytes.fromhex(key), text, hashlib.sha256).hexdigest()
