"""Names of files in packages: what every system can hold, and nothing outside the package."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath

from care_bridge.errors import PackageIntegrityError
from care_bridge.package.printable import shown

_LONGEST_NAME = 240
# Windows takes these for devices, with any ending and in any folder.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)
_NOT_ON_WINDOWS = re.compile(r'[<>"|?*]')
_FROM_ROOT = re.compile(r"[/\\]|[a-z]:", re.I)
_RENAME = "rename or leave out that file, or zip the package again with another program"


def checked_name(name: str, package: Path) -> str:
    """`name` (a relative path with "/") without "./" before it.

    PackageIntegrityError where it leaves the package (`..`, from the root of a disk or server), or
    is a name that some system takes for something else: a folder and a file, a device, a stream,
    the same name with a dot less.
    """
    if not name or _FROM_ROOT.match(name) or ".." in re.split(r"[/\\]", name):
        raise _refused(name, package, "leaves the package: do not use this package")
    if "\\" in name or ":" in name:
        why = f"has \\ or : in it, which not every system takes: {_RENAME}"
        raise _refused(name, package, why)
    plain = str(PurePosixPath(name))
    if len(plain) > _LONGEST_NAME or not all(map(is_legal_name, PurePosixPath(plain).parts)):
        raise _refused(name, package, f"is not a file's name on every system: {_RENAME}")
    return plain


def is_legal_name(part: str) -> bool:
    """Whether every system lets a file or folder have this name."""
    return (
        part.isprintable()
        and not part.endswith((".", " "))
        and not _DEVICES.fullmatch(part)
        and not _NOT_ON_WINDOWS.search(part)
    )


def same_file(name: str) -> str:
    """What names have in common that some system takes for one file."""
    return unicodedata.normalize("NFC", name).casefold()


def _refused(name: str, package: Path, why: str) -> PackageIntegrityError:
    hidden = "" if name.isprintable() else " and signs that are not shown"
    return PackageIntegrityError(f'the name "{shown(name)}"{hidden} in the package {package} {why}')
