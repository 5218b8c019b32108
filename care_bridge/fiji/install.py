"""Puts the commands and macros into a Fiji that is started by itself, and takes them away.

In a Fiji without Python the commands are shims (`shim_text`), in Fiji's Python mode scripts
(`python_scripts`): one or the other. A file that care_bridge wrote says so in its last line, with
the hash of what is before it. Any other file is the user's and is not touched; nor is one of ours
that was changed.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from care_bridge.atomic import replacing
from care_bridge.errors import FijiError
from care_bridge.fiji.described import ABOUT
from care_bridge.fiji.macros import bundled_macros
from care_bridge.fiji.python_scripts import python_script
from care_bridge.fiji.shim_text import shim

Way = Literal["shims", "python"]

COMMANDS_FOLDER = Path("plugins") / "CARE Bridge"
SCRIPTS_FOLDER = Path("scripts") / "Plugins" / "CARE Bridge"
MACROS_FOLDER = Path("macros") / "CARE Bridge"

_MARK = 'care_bridge wrote this ("care-bridge fiji install"); sha256 '
# As shim_text writes it; a file that the user has changed may hold anything.
_PYTHON = re.compile(r'var python = ((?:"(?:[^"\\]|\\.)*"|fromCharCode\([0-9, ]+\)| \+ )+);')
_COMMENTS = {".ijm": "// ", ".py": "# "}


@dataclass(frozen=True)
class Change:
    """What was done to a file."""

    file: Path
    what: str


def install(fiji: Path, way: Way | None = None, *, dry_run: bool = False) -> list[Change]:
    """Write the commands and the bundled macros, and remove those of the other way.

    way: None takes what the Fiji is set to (`way_of`). FijiError where `fiji` is no Fiji or
    ImageJ, or cannot be written to.
    """
    check_fiji(fiji)
    wanted = _files(fiji, way or way_of(fiji))
    changes = [_write(file, text, dry_run) for file, text in sorted(wanted.items())]
    others = [file for file in _ours(fiji) if file not in wanted]
    return changes + [_remove(fiji, file, dry_run) for file in others]


def uninstall(fiji: Path, *, dry_run: bool = False) -> list[Change]:
    """Remove what was installed, but what was changed since; FijiError as `install`."""
    check_fiji(fiji)
    return [_remove(fiji, file, dry_run) for file in _ours(fiji)]


def way_of(fiji: Path) -> Way:
    """The way that fits a Fiji: "python" where it is set to start in Python mode (Edit > Options >
    Python...)."""
    settings = (
        line.partition("=")
        for file in fiji.glob("config/jaunch/*.cfg")
        for line in file.read_text("utf-8", errors="replace").splitlines()
    )
    modes = [value.strip() for key, _, value in settings if key.strip() == "launch-mode"]
    return "python" if "PYTHON" in modes else "shims"


def installed_python(shim_file: Path) -> Path | None:
    """The Python that an installed shim calls; None where the file is no shim of ours."""
    from care_bridge.fiji.macro_text import unquoted

    if _state(shim_file) == "theirs":
        return None
    lines = shim_file.read_text("utf-8", errors="replace").splitlines()
    found = next((match for line in lines if (match := _PYTHON.fullmatch(line))), None)
    return Path(unquoted(found[1])) if found else None


def python_of_this() -> Path:
    """The Python that runs here, in its form without a console window on Windows."""
    python = Path(sys.executable)
    windowless = python.with_name("pythonw.exe")
    return windowless if windowless.is_file() else python


def _files(fiji: Path, way: Way) -> Mapping[Path, str]:
    files = {
        fiji / MACROS_FOLDER / path.name: path.read_text("utf-8")
        for path in bundled_macros().values()
    }
    for name in ABOUT:
        stem = name.replace(" ", "_")
        if way == "shims":
            files[fiji / COMMANDS_FOLDER / f"{stem}.ijm"] = shim(name, python_of_this())
        else:
            files[fiji / SCRIPTS_FOLDER / f"{stem}.py"] = python_script(name)
    return {file: _marked(text, file.suffix) for file, text in files.items()}


def _marked(text: str, suffix: str) -> str:
    return f"{text}{_COMMENTS[suffix]}{_MARK}{_hash(text)}\n"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _state(file: Path) -> Literal["ours", "changed", "theirs"]:
    text = file.read_text("utf-8", errors="replace")
    body, mark, told = text.rpartition(_COMMENTS[file.suffix] + _MARK)
    if not mark:
        return "theirs"
    return "ours" if told.strip() == _hash(body) else "changed"


def _ours(fiji: Path) -> Iterator[Path]:
    """Files that care_bridge wrote, changed or not."""
    for folder in (COMMANDS_FOLDER, SCRIPTS_FOLDER, MACROS_FOLDER):
        for file in sorted((fiji / folder).glob("*")):
            if file.suffix in _COMMENTS and _state(file) != "theirs":
                yield file


def _write(file: Path, text: str, dry_run: bool) -> Change:
    what = "written"
    if file.exists():
        if file.read_text("utf-8", errors="replace") == text:
            return Change(file, "unchanged")
        kept = {
            "theirs": "kept, as it is not of care_bridge: rename it, and install again",
            "changed": "kept, as you changed it: rename it, and install again, for the new one",
        }
        state = _state(file)
        if state in kept:
            return Change(file, kept[state])
        what = "updated"
    if not dry_run:
        _in_folder(file)
        with replacing(file) as partial:
            partial.write_text(text, "utf-8", newline="\n")
    return Change(file, f"would be {what}" if dry_run else what)


def _remove(fiji: Path, file: Path, dry_run: bool) -> Change:
    if _state(file) == "changed":
        return Change(file, "kept, as you changed it")
    if not dry_run:
        file.unlink()
        for folder in file.parents:
            if folder == fiji / "plugins" or any(folder.iterdir()):  # ImageJ needs its plugins
                break
            folder.rmdir()
    return Change(file, "would be removed" if dry_run else "removed")


def _in_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FijiError(
            f"{file.parent} cannot be made ({error.strerror}): install as the user that owns the "
            "Fiji, or into a Fiji of your own"
        ) from error


def check_fiji(fiji: Path) -> None:
    """Raise FijiError where the folder is no Fiji or ImageJ."""
    has_jar = any(fiji.glob("jars/ij-1*.jar")) or any(fiji.glob("ij*.jar"))
    if not has_jar:
        raise FijiError(
            f"{fiji} is no Fiji or ImageJ: it has no jars/ij-1*.jar and no ij.jar; give its "
            "folder, e.g. /path/to/Fiji.app"
        )
