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


def checked_name(name: str, package: Path) -> str:
    """`name` (a relative path with "/") without "./" before it.

    PackageIntegrityError where it leaves the package, or is a name that some system takes for
    something else: a device, a drive, a stream, the same name with a dot less.
    """
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise _refused(name, package, "leaves the package")
    plain = str(PurePosixPath(name))
    if len(plain) > _LONGEST_NAME or not all(map(is_legal_name, PurePosixPath(plain).parts)):
        raise _refused(name, package, "is not a file's name on every system")
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
    return PackageIntegrityError(
        f'the name "{shown(name)}" in the package {package} {why}: do not use this package'
    )
