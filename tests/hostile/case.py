"""What a hostile package is to the tests, and the good one that each is made of."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.packages import tiny_package

EVERY = ("inspect", "check", "restore", "add")
"""Verbs that refuse a package whose description or archive cannot be read."""
RUNNING = ("check", "restore", "add")
"""Verbs that refuse a package whose network cannot be used."""
COMPUTING = ("check", "restore")
"""Verbs that refuse a package whose network cannot be computed."""
WHOLE = ("check", "add")
"""Verbs that read every file of a package."""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Case:
    """make: puts the package into an empty folder and says where it is. said: part of the line by
    which the verbs refuse it."""

    make: Callable[[Path], Path]
    said: str
    verbs: tuple[str, ...] = EVERY


@cache
def good() -> Files:
    """The files of a package with nothing wrong."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_package(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def in_folder(folder: Path, files: Files) -> Path:
    """A package that is a folder."""
    package = folder / "package"
    for name, data in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(data)
    return package


def in_zip(folder: Path, files: Files, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A package that is a zip."""
    package = folder / "package.zip"
    with zipfile.ZipFile(package, "w", compression) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return package


def described(change: Callable[[dict[str, Any]], None]) -> Files:
    """The good package with another description."""
    content = yaml.safe_load(good()["rdf.yaml"])
    change(content)
    return {**good(), "rdf.yaml": yaml.safe_dump(content, sort_keys=False).encode()}


def with_file(name: str, data: bytes) -> Files:
    """The good package with another file, whose hash the description gives."""
    old, new = (hashlib.sha256(each).hexdigest().encode() for each in (good()[name], data))
    return {**good(), name: data, "rdf.yaml": good()["rdf.yaml"].replace(old, new)}
