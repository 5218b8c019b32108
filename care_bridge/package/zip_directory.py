"""A zip's list of entries, checked before any of them is unpacked.

Python's zipfile believes what a zip says. Here the list is held to what a package can be: few
files, of sizes that the zip's own size makes credible, each in bytes of its own.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from care_bridge.errors import PackageFormatError, PackageIntegrityError
from care_bridge.package.file_names import checked_name, same_file
from care_bridge.package.printable import shown

LARGEST_PACKAGE = (2 << 30) - 1  # beyond it zip is another format
MOST_FILES = 10_000
LARGEST_DIRECTORY = 2 << 20
# Deflate makes zeros a thousand times smaller; weights, which are most of a package, hardly.
MOST_UNPACKED, UNPACKED_ANYWAY = 100, 64 << 20

ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
    struct.error,
)
"""What zipfile raises where a zip is damaged or of a kind that it does not know."""

# Python unpacks these in parts of a given size; of the others a small part can fill the memory.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
_ENCRYPTED = 0x1 | 0x40 | 0x2000
# The record at a zip's end, the one before it in zip64, and an entry's own header (APPNOTE 4.3).
_END, _END_64, _HEADER = b"PK\x05\x06", b"PK\x06\x07", 30
_END_SIZE, _END_64_SIZE, _LONGEST_COMMENT = 22, 20, (1 << 16) - 1


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`, its list of entries read. PackageFormatError where it is none or is
    damaged, PackageIntegrityError where the list is longer than any package's."""
    with path.open("rb") as file:
        _check_end(file, path)
        try:
            opened = zipfile.ZipFile(file)
        except ZIP_ERRORS as error:
            raise _no_zip(file, path) from error
        with opened:
            yield opened


def check_entries(opened: zipfile.ZipFile, path: Path) -> None:
    """Raise PackageIntegrityError where an entry of the zip at `path` is not one of a package's,
    PackageFormatError where it is packed or encrypted in a way that is not read."""
    entries = opened.infolist()
    if len(entries) > MOST_FILES:
        raise PackageIntegrityError(
            f"the zip {path} holds {len(entries)} files, a package at most {MOST_FILES}: "
            "do not use this package"
        )
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry, path)
        same = same_file(checked_name(entry.filename, path))
        if same in seen:
            raise PackageIntegrityError(
                f'"{shown(entry.filename)}" is in {path} twice, in capitals or not: zip it again'
            )
        seen.add(same)
    _check_sizes(entries, path)
    _check_places(entries, opened.start_dir, path)


def _check_end(file: BinaryIO, path: Path) -> None:
    """The size of the list of entries, which zipfile would read whole, is told at the end."""
    length = file.seek(0, 2)
    start = max(0, length - _END_SIZE - _LONGEST_COMMENT - _END_64_SIZE)
    file.seek(start)
    tail = file.read()
    at = max(0, len(tail) - _END_SIZE)
    if tail[at : at + 4] != _END or tail[-2:] != b"\0\0":  # as zipfile looks for it
        at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_SIZE:
        raise _no_zip(file, path)
    if tail[max(0, at - _END_64_SIZE) :].startswith(_END_64):
        raise PackageIntegrityError(
            f"the zip {path} is a zip64, for files of more than 2 GiB or more than 65535 "
            "of them: zip the package again without it"
        )
    (size,) = struct.unpack_from("<I", tail, at + 12)
    if size > LARGEST_DIRECTORY:
        raise PackageIntegrityError(
            f"the zip {path} lists more files than a package can have: do not use this package"
        )


def _no_zip(file: BinaryIO, path: Path) -> PackageFormatError:
    file.seek(0)
    if file.read(2) == b"PK":
        return PackageFormatError(f"the zip {path} is truncated or damaged: get the package again")
    return PackageFormatError(
        f"{path} is no model package: give a package's folder, .zip or rdf.yaml"
    )


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode not in _KINDS:
        kind = "a link" if mode == stat.S_IFLNK else "no file"
        raise PackageIntegrityError(
            f'"{shown(entry.filename)}" in {path} is {kind}: put the file itself there'
        )
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _COMPRESSIONS:
        raise PackageFormatError(
            f'"{shown(entry.filename)}" in {path} is encrypted or not packed by deflate: '
            "zip the package again"
        )
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        raise _inconsistent(entry, path)


def _check_sizes(entries: list[zipfile.ZipInfo], path: Path) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > LARGEST_PACKAGE:
        raise PackageIntegrityError(
            f"the files of {path} take more than {LARGEST_PACKAGE} bytes, the most "
            "allowed: do not use this package"
        )
    packed = path.stat().st_size
    if unpacked > max(UNPACKED_ANYWAY, MOST_UNPACKED * packed):
        raise PackageIntegrityError(
            f"{path} has {packed} bytes and would unpack to {unpacked}: do not use this package"
        )


def _check_places(entries: list[zipfile.ZipInfo], directory: int, path: Path) -> None:
    """Entries that share bytes with others, or with the list at the byte `directory`, unpack to
    more than the zip's size lets expect."""
    end = directory
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if not 0 <= entry.header_offset <= end - _HEADER - entry.compress_size:
            raise _inconsistent(entry, path)
        end = entry.header_offset


def _inconsistent(entry: zipfile.ZipInfo, path: Path) -> PackageIntegrityError:
    return PackageIntegrityError(
        f'"{shown(entry.filename)}" in {path} has a size or a place that cannot be: '
        "do not use this package"
    )
