"""Packages whose zip is hostile or broken."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case, Files, good, in_zip

LEAVES = "leaves the package"
NOT_EVERYWHERE = "has \\ or : in it"
ILLEGAL = "is not a file's name on every system"
IMPOSSIBLE = "a size or a place that cannot be"
DAMAGED = "is damaged"
# Signatures and places of an entry's own header, its line in the directory, and the end (APPNOTE).
_HEADER, _LINE, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def named(name: str) -> Callable[[Path], Path]:
    """With one more file of this name, which zipfile itself would not always write so."""

    def make(folder: Path) -> Path:
        return _with_entry(in_zip(folder, good()), name, b"written by a hostile package")

    return make


def _with_entry(package: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(package, "a") as opened:
        entry = zipfile.ZipInfo("?")
        entry.filename = name
        opened.writestr(entry, data)
    return package


def absolute(folder: Path) -> Path:
    return named(str(folder.parent / "evil"))(folder)


def of_kind(kind: int, target: bytes = b"/etc/passwd") -> Callable[[Path], Path]:
    """With an entry that is a link, a pipe or a device."""

    def make(folder: Path) -> Path:
        package = in_zip(folder, {name: good()[name] for name in good() if name != "cover.png"})
        with zipfile.ZipFile(package, "a") as opened:
            entry = zipfile.ZipInfo("cover.png")
            entry.external_attr = (kind | 0o777) << 16
            opened.writestr(entry, target)
        return package

    return make


def through_a_link(folder: Path) -> Path:
    package = of_kind(stat.S_IFLNK, str(folder.parent).encode())(folder)
    with zipfile.ZipFile(package, "a") as opened:
        opened.writestr("cover.png/evil", b"written through the link")
    return package


def twice(first: str, second: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return _with_entry(in_zip(folder, {**good(), first: b"one"}), second, b"two")

    return make


def overlapping(folder: Path) -> Path:
    """Two lines of the directory lead to the same bytes."""
    package = in_zip(folder, {**good(), "other.png": good()["cover.png"]})
    data = bytearray(package.read_bytes())
    lines = {name: data.find(name, data.find(_LINE)) - 46 for name in (b"cover.png", b"other.png")}
    data[lines[b"other.png"] + 42 : lines[b"other.png"] + 46] = data[
        lines[b"cover.png"] + 42 : lines[b"cover.png"] + 46
    ]
    package.write_bytes(data)
    return package


def nested(folder: Path) -> Path:
    """A file of the zip holds the headers and bytes of others, which the directory lists too."""
    inner = in_zip(folder, {"inner.bin": bytes(1000)}, zipfile.ZIP_STORED).read_bytes()
    entry = inner[: inner.find(_LINE)]
    package = in_zip(folder, {**good(), "outer.bin": entry}, zipfile.ZIP_STORED)
    data = package.read_bytes()
    at, directory, end = data.find(entry), data.find(_LINE), data.rfind(_END)
    line = inner[inner.find(_LINE) : inner.rfind(_END)]
    lines = data[directory:end] + line[:42] + struct.pack("<I", at) + line[46:]
    count = struct.unpack_from("<H", data, end + 10)[0] + 1
    record = struct.pack("<4s4HIIH", _END, 0, 0, count, count, len(lines), directory, 0)
    package.write_bytes(data[:directory] + lines + record)
    return package


def bomb(folder: Path) -> Path:
    """A hundred megabytes of nothing, a thousandth of it packed."""
    return in_zip(folder, {**good(), "cover.png": bytes(100 << 20)})


def many_files(folder: Path) -> Path:
    return in_zip(folder, {**good(), **{f"{number}": b"" for number in range(10_000)}})


def long_directory(folder: Path) -> Path:
    return in_zip(folder, {**good(), **{f"{number:0100}": b"" for number in range(15_000)}})


def patched(
    changes: dict[tuple[bytes, int], bytes], name: bytes = b"rdf.yaml"
) -> Callable[[Path], Path]:
    """With bytes of the header or the directory's line of a file replaced: {(which, at): new}."""

    def make(folder: Path) -> Path:
        package = in_zip(folder, good())
        data = bytearray(package.read_bytes())
        starts = {
            _HEADER: data.find(name) - 30,
            _LINE: data.find(name, data.find(_LINE)) - 46,
            _END: data.rfind(_END),
        }
        for (which, at), new in changes.items():
            data[starts[which] + at : starts[which] + at + len(new)] = new
        package.write_bytes(data)
        return package

    return make


def size_told_small(folder: Path) -> Path:
    """64 MB of description whose headers say 100 bytes."""
    package = in_zip(folder, {**good(), "rdf.yaml": bytes(64_000_000)})
    data = bytearray(package.read_bytes())
    for which, behind, at in ((_HEADER, 30, 22), (_LINE, 46, 24)):
        start = data.find(b"rdf.yaml", data.find(_LINE) if which == _LINE else 0) - behind
        struct.pack_into("<I", data, start + at, 100)
    package.write_bytes(data)
    return package


def packed_as(method: int) -> Callable[[Path], Path]:
    return lambda folder: in_zip(folder, good(), method)


def cut(folder: Path) -> Path:
    package = in_zip(folder, good())
    package.write_bytes(package.read_bytes()[: package.stat().st_size // 2])
    return package


def end_of_zip64(folder: Path) -> Path:
    package = in_zip(folder, good())
    data = package.read_bytes()
    at = data.rfind(_END)
    directory = struct.unpack_from("<I", data, at + 16)[0]
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, at, directory)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    package.write_bytes(data[:at] + wide + locator + data[at:])
    return package


def wide_sizes(folder: Path) -> Path:
    """Of zip64, by an extra field: an exbibyte."""
    package = folder / "package.zip"
    with zipfile.ZipFile(package, "w") as opened:
        for name, data in good().items():
            entry = zipfile.ZipInfo(name)
            entry.extra = struct.pack("<2HQ", 1, 8, 1 << 60) if name == "cover.png" else b""
            opened.writestr(entry, data)
    data = bytearray(package.read_bytes())
    line = data.find(b"cover.png", data.find(_LINE)) - 46
    struct.pack_into("<I", data, line + 24, 0xFFFFFFFF)
    package.write_bytes(data)
    return package


def text(folder: Path) -> Path:
    (folder / "package.zip").write_text("<html>404 Not Found</html>")
    return folder / "package.zip"


def of_files(files: Files) -> Callable[[Path], Path]:
    return lambda folder: in_zip(folder, files)


def empty_file(folder: Path) -> Path:
    (folder / "package.zip").touch()
    return folder / "package.zip"


def without_rdf(folder: Path) -> Path:
    return in_zip(folder, {name: data for name, data in good().items() if name != "rdf.yaml"})


def zip_of_a_zip(folder: Path) -> Path:
    inner = in_zip(folder, good())
    return in_zip(folder, {"package.zip": inner.read_bytes()})


def rdf_is_a_folder(folder: Path) -> Path:
    package = without_rdf(folder)
    with zipfile.ZipFile(package, "a") as opened:
        opened.mkdir("rdf.yaml")
    return package


ZIPS = {
    "name-above": Case(named("../evil"), LEAVES),
    "name-above-within": Case(named("a/../../evil"), LEAVES),
    "name-absolute": Case(absolute, LEAVES),
    "name-on-a-drive": Case(named("C:/evil"), LEAVES),
    "name-on-the-current-folder-of-a-drive": Case(named("C:evil"), LEAVES),
    "name-on-a-server": Case(named("//server/share/evil"), LEAVES),
    "name-with-backslashes": Case(named("..\\..\\evil"), LEAVES),
    "name-of-a-windows-namespace": Case(named("\\\\?\\C:\\evil"), LEAVES),
    "name-of-a-stream": Case(named("cover.png:evil"), NOT_EVERYWHERE),
    "name-with-a-backslash-within": Case(named("inside\\evil"), NOT_EVERYWHERE),
    "name-of-a-device": Case(named("aux.onnx"), ILLEGAL),
    "name-that-ends-with-a-dot": Case(named("weights.onnx."), ILLEGAL),
    "name-that-ends-with-a-blank": Case(named("weights.onnx "), ILLEGAL),
    "name-that-a-terminal-obeys": Case(named("a\x1b[2J\nb"), ILLEGAL),
    "name-that-is-long": Case(named("a" * 5000), ILLEGAL),
    "name-that-is-no-text": Case(
        patched({(_HEADER, 30): b"\xff\xfe", (_LINE, 46): b"\xff\xfe", (_LINE, 9): b"\x08"}),
        "truncated or damaged",
    ),
    "link": Case(of_kind(stat.S_IFLNK), "is a link"),
    "file-through-a-link": Case(through_a_link, "is a link"),
    "pipe": Case(of_kind(stat.S_IFIFO), "is no file"),
    "device": Case(of_kind(stat.S_IFCHR), "is no file"),
    "file-twice": Case(twice("a", "a"), "twice"),
    "file-twice-in-capitals": Case(twice("a", "A"), "twice"),
    "file-twice-as-unicode": Case(twice("é", unicodedata.normalize("NFD", "é")), "twice"),
    "description-twice": Case(twice("a", "rdf.yaml"), "twice"),
    "overlapping": Case(overlapping, IMPOSSIBLE),
    "nested": Case(nested, IMPOSSIBLE),
    "bomb": Case(bomb, "would unpack to"),
    "bomb-of-files": Case(many_files, "holds 10008 files"),
    "bomb-of-names": Case(long_directory, "lists more files"),
    "size-told-small": Case(size_told_small, DAMAGED),
    "size-told-large": Case(
        patched({(_LINE, 24): struct.pack("<I", 0xFFFFFFF0)}, b"cover.png"), "take more than"
    ),
    "size-of-stored-unequal": Case(
        patched({(_LINE, 10): b"\0\0", (_LINE, 24): b"\1\0\0\0"}), IMPOSSIBLE
    ),
    "data-behind-the-end": Case(patched({(_LINE, 20): struct.pack("<I", 1 << 30)}), IMPOSSIBLE),
    "header-behind-the-end": Case(patched({(_LINE, 42): struct.pack("<I", 1 << 30)}), IMPOSSIBLE),
    "encrypted": Case(patched({(_LINE, 8): b"\1"}), "is encrypted"),
    "packed-by-bzip2": Case(packed_as(zipfile.ZIP_BZIP2), "not packed by deflate"),
    "packed-by-lzma": Case(packed_as(zipfile.ZIP_LZMA), "not packed by deflate"),
    "packed-by-nobody": Case(patched({(_LINE, 10): b"\x63"}), "not packed by deflate"),
    "cut": Case(cut, "truncated or damaged"),
    "checksum-wrong": Case(patched({(_LINE, 16): bytes(4)}), DAMAGED),
    "checksum-of-the-weights-wrong": Case(
        patched({(_LINE, 16): bytes(4)}, b"weights.onnx"), DAMAGED, ("check", "restore", "add")
    ),
    "deflated-nonsense": Case(patched({(_HEADER, 40): b"\xff" * 20}), DAMAGED),
    "names-differ": Case(patched({(_HEADER, 30): b"RDF.yaml"}), DAMAGED),
    "end-of-zip64": Case(end_of_zip64, "is a zip64"),
    "sizes-of-zip64": Case(wide_sizes, IMPOSSIBLE),
    "directory-elsewhere": Case(patched({(_END, 16): struct.pack("<I", 1 << 31)}), IMPOSSIBLE),
    "text": Case(text, "is no model package"),
    "empty-file": Case(empty_file, "is no model package"),
    "empty-zip": Case(of_files({}), "has no rdf.yaml"),
    "no-description": Case(without_rdf, "has no rdf.yaml"),
    "zip-of-a-zip": Case(zip_of_a_zip, "has no rdf.yaml"),
    "description-is-a-folder": Case(rdf_is_a_folder, "has no rdf.yaml"),
}
