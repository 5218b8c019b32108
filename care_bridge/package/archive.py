"""A package's files, read from a folder or straight from a zip, never unpacked.

What a package may hold is checked before it is read: names stay inside the package, nothing is a
link, nothing is encrypted, and sizes are bounded. So a zip from a stranger cannot reach other
files of this machine or fill its memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from care_bridge.errors import (
    PackageFormatError,
    PackageHashError,
    PackageIntegrityError,
    PackageNotRunError,
)
from care_bridge.package.file_names import checked_name
from care_bridge.package.printable import shown
from care_bridge.package.zip_directory import (
    LARGEST_PACKAGE,
    MOST_FILES,
    ZIP_ERRORS,
    check_entries,
    opened_zip,
)

RDF_NAMES = ("rdf.yaml", "bioimageio.yaml")
LARGEST_RDF = 1 << 18
LARGEST_FILE = LARGEST_PACKAGE  # as an ONNX file
_CHUNK = 1 << 20

_OpenFile = tuple[IO[bytes], int]  # and its size


@dataclass(frozen=True)
class Archive:
    """The files of one package: `path` is its folder or zip, `rdf_name` its description.

    fetched: files of the web that the description names by their addresses, where they lie here.
    A package that was added with them has them in itself.
    """

    path: Path
    rdf_name: str
    fetched: Mapping[str, Path] = field(default_factory=dict)

    @property
    def is_zip(self) -> bool:
        """Whether the package is one zip file."""
        return not self.path.is_dir()

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """The bytes of the file `name` (a relative path with "/").

        PackageFormatError where it is missing or cannot be read, PackageIntegrityError where the
        name leaves the package, the file is a link or larger than `most` bytes, or its zip entry is
        damaged.
        """
        with self._opened(name, most) as (file, size):
            # The size in a zip may be a lie: without it all is unpacked before it is cut.
            return file.read(size)

    def check(self, name: str, sha256: str | None) -> None:
        """Raise PackageIntegrityError where the SHA-256 of the file `name` is not this one (hex,
        None for any), found without holding the file; other errors as in `read`."""
        digest = hashlib.sha256()
        for part in self.chunks(name):
            digest.update(part)
        if sha256 is not None:
            check_digest(digest.hexdigest(), sha256, name, self.path)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of the file `name` in parts of a bounded size; errors as in `read`."""
        with self._opened(name, LARGEST_FILE) as (file, size):
            while chunk := file.read(min(_CHUNK, size)):
                size -= len(chunk)
                yield chunk

    def names(self) -> list[str]:
        """The names of all files in it, in order, named in the description or not.

        PackageIntegrityError where a folder holds more files or bytes than a package may.
        """
        if self.is_zip:
            with reading(self.path), opened_zip(self.path) as opened:
                return sorted(entry.filename for entry in opened.infolist() if not entry.is_dir())
        found, size = [], 0
        for path in self.path.rglob("*"):
            if path.is_symlink() or not path.is_dir():
                found.append(path.relative_to(self.path).as_posix())
                size += path.lstat().st_size
            if len(found) > MOST_FILES or size > LARGEST_PACKAGE:
                raise PackageIntegrityError(
                    f"the folder {self.path} holds more than {MOST_FILES} files or "
                    f"{LARGEST_PACKAGE} bytes, the most that a package may: put the package's "
                    "files into a folder of their own"
                )
        return sorted(found)

    def description(self) -> bytes:
        """The RDF's bytes, at most LARGEST_RDF; errors as in `read`."""
        return self.read(self.rdf_name, LARGEST_RDF)

    @contextmanager
    def _opened(self, name: str, most: int) -> Iterator[_OpenFile]:
        """The file `name`, open to read, and its size."""
        with reading(self.path), self._found(name) as opened:
            if opened is None and is_address(name):
                raise PackageNotRunError(
                    f'the package {self.path} has not "{shown(name)}" in it: care-bridge models '
                    "add PACKAGE --allow-download fetches such files and keeps the whole"
                )
            if opened is None:
                raise PackageFormatError(
                    f'the package {self.path} has no file "{shown(name)}": get the package again'
                )
            if opened[1] > most:
                raise PackageIntegrityError(
                    f'"{shown(name)}" in {self.path} has {opened[1]} bytes, it may have at most '
                    f"{most}: do not use this package"
                )
            yield opened

    def _found(self, name: str) -> AbstractContextManager[_OpenFile | None]:
        if name in self.fetched:
            return self._opened_elsewhere(name)
        plain = checked_name(name_in_package(name), self.path)
        return self._opened_in_zip(plain) if self.is_zip else self._opened_in_folder(plain)

    @contextmanager
    def _opened_elsewhere(self, address: str) -> Iterator[_OpenFile | None]:
        with self.fetched[address].open("rb") as file:
            yield file, self.fetched[address].stat().st_size

    @contextmanager
    def _opened_in_folder(self, name: str) -> Iterator[_OpenFile | None]:
        path = self.path
        for part in PurePosixPath(name).parts:
            path = path / part
            if path.is_symlink():
                raise PackageIntegrityError(
                    f'"{name}" in the package {self.path} is a link: put the file itself there'
                )
        if not path.is_file():  # a pipe would never end
            yield None
            return
        with path.open("rb") as file:
            yield file, path.stat().st_size

    @contextmanager
    def _opened_in_zip(self, name: str) -> Iterator[_OpenFile | None]:
        with opened_zip(self.path) as opened:
            if name not in opened.namelist():
                yield None
                return
            entry = opened.getinfo(name)
            try:
                with opened.open(entry) as file:
                    yield file, entry.file_size
            except ZIP_ERRORS as error:
                raise PackageIntegrityError(
                    f'"{shown(name)}" in {self.path} is damaged ({shown(str(error))}): get the '
                    "package again"
                ) from error


def open_archive(path: Path) -> Archive:
    """The package at `path`: a folder, a zip, or the description file (.yaml) in its folder.

    PackageFormatError where this is no package or cannot be read, PackageIntegrityError where a zip
    holds names or sizes that are not allowed.
    """
    with reading(path):
        if path.is_dir():
            return Archive(path, _rdf_name_in_folder(path))
        if not path.is_file():
            raise PackageFormatError(
                f"{path} is neither a file nor a folder: give a package's folder, .zip or rdf.yaml"
            )
        if path.suffix.lower() in (".yaml", ".yml"):
            return Archive(path.parent, path.name)
        with opened_zip(path) as opened:
            check_entries(opened, path)
            return Archive(path, _rdf_name_in_zip(opened.namelist(), path))


def is_address(name: str) -> bool:
    """Whether a name in a description is a web address."""
    return "://" in name


def name_in_package(name: str) -> str:
    """Where a package has the file that its description calls `name`; of a web address, where it
    was put when the package was added."""
    if not is_address(name):
        return name
    return f"downloaded/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def check_hash(data: bytes, sha256: str, name: str, package: Path) -> bytes:
    """`data`, if its SHA-256 is `sha256` (hex); else PackageHashError."""
    check_digest(hashlib.sha256(data).hexdigest(), sha256, name, package)
    return data


def check_digest(found: str, sha256: str, name: str, package: Path) -> None:
    """Raise PackageHashError where the SHA-256 `found` is not `sha256` (both hex)."""
    if found != sha256.lower():
        raise PackageHashError(
            f'"{shown(name)}" in {package} is not the file the package was made with (SHA-256 '
            f"{found[:12]}…, expected {sha256.lower()[:12]}…): get the package again"
        )


@contextmanager
def reading(package: Path) -> Iterator[None]:
    """Turn what the file system refuses while `package` is looked at into PackageFormatError."""
    try:
        yield
    except OSError as error:
        raise PackageFormatError(
            f"the package {package} cannot be read ({error.strerror or error}): see that it is "
            "there and that you may read it"
        ) from error


def _rdf_name_in_folder(folder: Path) -> str:
    for name in RDF_NAMES:
        if (folder / name).is_file():
            return name
    inside = sorted(
        shown(rdf.parent.name) for name in RDF_NAMES for rdf in folder.glob(f"*/{name}")
    )
    hint = f'use the folder "{inside[0]}" in it' if inside else "give the folder that has one"
    raise PackageFormatError(f"the folder {folder} is no model package, it has no rdf.yaml: {hint}")


def _rdf_name_in_zip(names: list[str], path: Path) -> str:
    for name in RDF_NAMES:
        if name in names:
            return name
    inside = sorted(name for name in names if PurePosixPath(name).name in RDF_NAMES)
    hint = (
        f'it holds "{shown(inside[0])}": zip the files of that folder, not the folder'
        if inside
        else "zip a package's files with rdf.yaml at the top"
    )
    raise PackageFormatError(f"the zip {path} is no model package, it has no rdf.yaml: {hint}")
