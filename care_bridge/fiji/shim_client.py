"""What a shim starts: it lets the worker do the command, and answers in the shim's folder.

The shim and this process share a folder of files, because a macro can exchange nothing else:
the shim writes the images and, again and again, waiting.txt; this writes beat.txt as often,
progress.txt comes from the worker, and answer.ijm ends it: macro code that returns "done" or what
went wrong. taken.txt says that the shim has seen it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from care_bridge.errors import WorkerError
from care_bridge.fiji.macro_text import quoted

ANSWER = "answer.ijm"
PREPARED = "prepared.ijm"
PROGRESS = "progress.txt"
TAKEN = "taken.txt"

_BEAT_SECONDS = 0.5
_PATIENCE_BEATS = 12
_LOOKS = 12
_OLD_SECONDS = 3600.0
_FOLDER = re.compile(r"care_bridge-\d+-\d+")
_PREFIX = "care-bridge fiji: "


def answer_shim(words: Sequence[str]) -> int:
    """Do the command line `words` ("COMMAND FOLDER key=value …") in the worker, and answer; its
    exit status. Ends this process where the macro does not wait any more."""
    folder = Path(words[1])
    _sweep(folder)
    try:
        return _answer(words, folder)
    except KeyboardInterrupt:  # the terminal's, which ends ImageJ, too
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _answer(words: Sequence[str], folder: Path) -> int:
    from care_bridge.runtime.worker_client import ask_worker

    threading.Thread(target=_beat, args=[folder], daemon=True).start()
    told: list[str] = []

    def keep(name: str, text: str) -> None:
        if name == "err":
            told.append(text)

    try:
        code = ask_worker(["fiji", "shim-work", *words], keep)
    except WorkerError as error:
        code, told = 1, [str(error)]
    lines = "".join(told).strip().splitlines()
    prepared = folder / PREPARED
    if code:
        *lines, message = lines or ["it failed without a word"]
        prepared.write_text(f"return {quoted(message.removeprefix(_PREFIX))};\n", "ascii")
    logged = "".join(f"print({quoted(line)});\n" for line in lines)
    prepared.write_text(logged + prepared.read_text("ascii"), "ascii")
    prepared.rename(folder / ANSWER)
    _leave(folder)
    return code


def _sweep(folder: Path) -> None:
    """Remove this user's folders of calls that were ended so that nobody could: a living one has
    a new beat.txt all the time."""
    owner, now = folder.stat().st_uid, time.time()
    for other in folder.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another call has just ended
            if _FOLDER.fullmatch(other.name) and other.lstat().st_uid == owner:
                changed = max(each.lstat().st_mtime for each in (other, *other.iterdir()))
                if now - changed > _OLD_SECONDS:
                    shutil.rmtree(other, ignore_errors=True)


def _leave(folder: Path) -> None:
    """Remove the folder, unless the macro has taken the answer: then it will do so itself."""
    for _ in range(_LOOKS):
        if not folder.is_dir() or (folder / TAKEN).exists():
            return
        time.sleep(_BEAT_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _beat(folder: Path) -> None:
    """Tell the macro that this lives, and end this where the macro was ended by Escape."""
    waiting, last, unchanged = folder / "waiting.txt", "", 0
    for number in range(1 << 31):
        if not folder.is_dir() or (folder / ANSWER).exists():
            return
        (folder / "beat.txt").write_text(str(number), "ascii")
        now = waiting.read_text("ascii") if waiting.exists() else ""
        unchanged = 0 if now != last else unchanged + 1
        last = now
        if unchanged > _PATIENCE_BEATS:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(1)  # the connection closes, and with it the worker's request ends
        time.sleep(_BEAT_SECONDS)
