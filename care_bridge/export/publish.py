"""A package that appears under its name whole or not at all, as a folder or as a zip."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from care_bridge.errors import ExportError
from care_bridge.package.archive import RDF_NAMES
from care_bridge.package.rdf_files import named_files

# The earliest date a zip can hold: the same files give the same zip.
_DATE = (1980, 1, 1, 0, 0, 0)


@contextmanager
def whole_package(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a hidden folder beside `out` to fill and to check; at the end it gets the name `out`,
    or its files become the zip `out` where that ends in .zip.

    After an error `out` is as before. ExportError where it cannot be written, exists already and
    `overwrite` is not set, or is a folder with more in it than a package.
    """
    staging = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        _check_target(out, overwrite)
        staging.mkdir()
        yield staging
        if out.suffix.lower() == ".zip":
            _zip(staging, out)
        else:
            _rename(staging, out)
    except OSError as error:
        raise ExportError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_target(out: Path, overwrite: bool) -> None:
    if not out.parent.is_dir():
        raise ExportError(f"{out} cannot be written: {out.parent} is no folder, create it first")
    if not out.exists():
        return
    if not overwrite:
        raise ExportError(f"{out} exists already: choose another name or overwrite it")
    if out.is_dir() != (out.suffix.lower() != ".zip"):
        raise ExportError(f"{out} is not what would be written: choose another name")
    if out.is_dir():
        rdf = out / RDF_NAMES[0]
        known = {RDF_NAMES[0], *named_files(rdf.read_bytes())} if rdf.is_file() else set()
        others = sorted({file.name for file in out.iterdir()} - known)
        if others:
            raise ExportError(
                f"the folder {out} holds {others[0]}, which is no part of a package and would be "
                "lost: choose another name"
            )


def _zip(staging: Path, out: Path) -> None:
    packed = staging.with_suffix(".zip")
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
            for file in sorted(staging.iterdir()):
                entry = zipfile.ZipInfo(file.name, _DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                opened.writestr(entry, file.read_bytes())
        packed.replace(out)
    finally:
        packed.unlink(missing_ok=True)


def _rename(staging: Path, out: Path) -> None:
    if not out.exists():
        staging.rename(out)
        return
    replaced = staging.with_suffix(".old")
    out.rename(replaced)
    try:
        staging.rename(out)
    except OSError:
        replaced.rename(out)
        raise
    shutil.rmtree(replaced)
