"""A package's files, read from a folder or straight from a zip, never unpacked.

What a package may hold is checked before it is read: names stay inside the package, nothing is a
link, nothing is encrypted, and sizes are bounded. So a zip from a stranger cannot reach other
files of this machine or fill its memory.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from care_bridge.errors import PackageFormatError, PackageIntegrityError

RDF_NAMES = ("rdf.yaml", "bioimageio.yaml")
LARGEST_RDF = 4 << 20
LARGEST_FILE = 4 << 30
LARGEST_PACKAGE = 8 << 30
MOST_FILES = 10_000
# Python unpacks these in parts of a given size; of the others a small part can fill the memory.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Archive:
    """The files of one package: `path` is its folder or zip, `rdf_name` its description."""

    path: Path
    rdf_name: str

    @property
    def is_zip(self) -> bool:
        """Whether the package is one zip file."""
        return not self.path.is_dir()

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """The bytes of the file `name` (a relative path with "/").

        PackageFormatError where it is missing, PackageIntegrityError where the name leaves the
        package, the file is a link or larger than `most` bytes, or its zip entry is damaged.
        """
        _check_name(name, self.path)
        read = self._read_zipped if self.is_zip else self._read_in_folder
        return read(name, most)

    def description(self) -> bytes:
        """The RDF's bytes, at most LARGEST_RDF; errors as in `read`."""
        return self.read(self.rdf_name, LARGEST_RDF)

    def _read_in_folder(self, name: str, most: int) -> bytes:
        file = self.path
        for part in PurePosixPath(name).parts:
            file = file / part
            if file.is_symlink():
                raise PackageIntegrityError(
                    f'"{name}" in the package {self.path} is a link: put the file itself there'
                )
        if not file.is_file():
            raise _missing(name, self.path)
        _check_size(name, file.stat().st_size, most, self.path)
        return file.read_bytes()

    def _read_zipped(self, name: str, most: int) -> bytes:
        with _opened(self.path) as opened:
            if name not in opened.namelist():
                raise _missing(name, self.path)
            entry = opened.getinfo(name)
            _check_size(name, entry.file_size, most, self.path)
            try:
                with opened.open(entry) as file:
                    # The size in the zip may be a lie: without it all is unpacked before it is cut.
                    return file.read(entry.file_size)
            except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError) as error:
                raise PackageIntegrityError(
                    f'"{name}" in {self.path} is damaged ({error}): get the package again'
                ) from error


def open_archive(path: Path) -> Archive:
    """The package at `path`: a folder, a zip, or the description file (.yaml) in its folder.

    PackageFormatError where this is no package, PackageIntegrityError where a zip holds names or
    sizes that are not allowed.
    """
    if path.is_dir():
        return Archive(path, _rdf_name_in_folder(path))
    if path.suffix.lower() in (".yaml", ".yml"):
        return Archive(path.parent, path.name)
    with _opened(path) as opened:
        _check_entries(opened.infolist(), path)
        return Archive(path, _rdf_name_in_zip(opened.namelist(), path))


def check_hash(data: bytes, sha256: str, name: str, package: Path) -> bytes:
    """`data`, if its SHA-256 is `sha256` (hex); else PackageIntegrityError."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise PackageIntegrityError(
            f'"{name}" in {package} is not the file the package was made with (SHA-256 '
            f"{found[:12]}…, expected {sha256.lower()[:12]}…): get the package again"
        )
    return data


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise PackageFormatError(_why_no_zip(path)) from error
    with opened:
        yield opened


def _rdf_name_in_folder(folder: Path) -> str:
    for name in RDF_NAMES:
        if (folder / name).is_file():
            return name
    inside = sorted(rdf.parent.name for rdf in folder.glob("*/rdf.yaml"))
    hint = f'use the folder "{inside[0]}" in it' if inside else "give the folder that has one"
    raise PackageFormatError(f"the folder {folder} is no model package, it has no rdf.yaml: {hint}")


def _rdf_name_in_zip(names: list[str], path: Path) -> str:
    for name in RDF_NAMES:
        if name in names:
            return name
    inside = sorted(name for name in names if PurePosixPath(name).name in RDF_NAMES)
    hint = (
        f'it holds "{inside[0]}": zip the files of that folder, not the folder'
        if inside
        else "zip a package's files with rdf.yaml at the top"
    )
    raise PackageFormatError(f"the zip {path} is no model package, it has no rdf.yaml: {hint}")


def _why_no_zip(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        return f"the zip {path} is truncated or damaged: get the package again"
    return f"{path} is no model package: give a package's folder, .zip or rdf.yaml"


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MOST_FILES:
        raise PackageIntegrityError(
            f"the zip {path} holds {len(entries)} files, a package at most {MOST_FILES}"
        )
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.filename, path)
        _check_size(entry.filename, entry.file_size, LARGEST_FILE, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PackageIntegrityError(
                f'"{entry.filename}" in {path} is a link: put the file itself there'
            )
        if entry.flag_bits & 0x1 or entry.compress_type not in _COMPRESSIONS:
            raise PackageFormatError(
                f'"{entry.filename}" in {path} is encrypted or not packed by deflate: '
                "zip the package again"
            )
        if entry.filename in seen:
            raise PackageIntegrityError(f'"{entry.filename}" is in {path} twice: zip it again')
        seen.add(entry.filename)
    if sum(entry.file_size for entry in entries) > LARGEST_PACKAGE:
        raise PackageIntegrityError(
            f"the files of {path} take more than {LARGEST_PACKAGE >> 30} GiB, the most allowed"
        )


def _check_name(name: str, path: Path) -> None:
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise PackageIntegrityError(
            f'the name "{name}" in the package {path} leaves the package: do not use this package'
        )


def _check_size(name: str, size: int, most: int, path: Path) -> None:
    if size > most:
        raise PackageIntegrityError(
            f'"{name}" in {path} has {size} bytes, it may have at most {most}: '
            "do not use this package"
        )


def _missing(name: str, path: Path) -> PackageFormatError:
    return PackageFormatError(f'the package {path} has no file "{name}": get the package again')
