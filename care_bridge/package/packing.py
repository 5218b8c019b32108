"""Files packed into a zip: the same files give the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from care_bridge.atomic import creating, replacing
from care_bridge.errors import PackageError

# The earliest date a zip can hold.
_DATE = (1980, 1, 1, 0, 0, 0)


def pack(
    out: Path,
    files: Iterable[tuple[str, Iterable[bytes]]],
    compression: int = zipfile.ZIP_STORED,
    *,
    only_new: bool = False,
) -> None:
    """Write the zip `out` of (name, bytes in parts) pairs, whole or not at all.

    PackageError where they take more than 2 GiB, OSError where the file system refuses; what
    `files` raises leaves `out` as it was. only_new: FileExistsError where there is an `out`, even
    one that came meanwhile.
    """
    try:
        with (creating if only_new else replacing)(out) as partial:
            _write(partial, files, compression)
    except zipfile.LargeZipFile as error:
        raise PackageError(
            f"{out} would take more than 2 GiB, the most that a package may: leave weights out"
        ) from error


def _write(out: Path, files: Iterable[tuple[str, Iterable[bytes]]], compression: int) -> None:
    with zipfile.ZipFile(out, "w", allowZip64=False) as opened:
        for name, parts in files:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = compression
            entry.external_attr = 0o644 << 16
            with opened.open(entry, "w") as file:
                for part in parts:
                    file.write(part)
