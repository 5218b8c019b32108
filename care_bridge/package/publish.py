"""A package that appears under its name whole or not at all, as a folder or as a zip."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from care_bridge.atomic import partial_beside
from care_bridge.errors import ExportError
from care_bridge.package.archive import RDF_NAMES, Archive
from care_bridge.package.packing import pack
from care_bridge.package.rdf_files import named_files


@contextmanager
def whole_package(out: Path, *, overwrite: bool, carried: Collection[str] = ()) -> Iterator[Path]:
    """Give a hidden folder beside `out` to fill and to check; at the end it gets the name `out`,
    or its files become the zip `out` where that ends in .zip. carried: as in `package_target`.

    What is replaced keeps its modes. After an error `out` is as before; errors as in
    `package_target`. A folder is replaced in two steps: where the machine stops between them, the
    former package is left under the hidden name .NAME.replaced, and gets its name back at the next
    writing.
    """
    out = package_target(out, overwrite=overwrite, carried=carried)
    staging = partial_beside(out)
    with _writing(out):
        staging.mkdir()
        try:
            yield staging
            if out.suffix.lower() == ".zip":
                _zip(staging, out)
            else:
                _rename(staging, out)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def package_target(out: Path, *, overwrite: bool, carried: Collection[str] = ()) -> Path:
    """`out` as an absolute path without links, where a package can be written.

    carried: the files of a folder `out` that the new package will have as well. ExportError where
    there is no folder for it, it exists already and `overwrite` is not set, or it is a folder with
    more in it than a package and these.
    """
    out = out.resolve()
    if not out.parent.is_dir():
        raise ExportError(f"{out} cannot be written: {out.parent} is no folder, create it first")
    with _writing(out):
        _recover(out)
        if out.exists():
            _check_replaceable(out, overwrite, carried)
    return out


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(f"{out} cannot be written: {error.strerror or error}") from error


def _check_replaceable(out: Path, overwrite: bool, carried: Collection[str]) -> None:
    if not overwrite:
        raise ExportError(f"{out} exists already: choose another name or overwrite it")
    if out.is_dir() != (out.suffix.lower() != ".zip"):
        raise ExportError(f"{out} is not what would be written: choose another name")
    if out.is_dir():
        rdf = next((name for name in RDF_NAMES if (out / name).is_file()), None)
        known = {rdf, *named_files(Archive(out, rdf).description())} if rdf else set()
        others = sorted(set(_files(out)) - known - set(carried))
        if others:
            raise ExportError(
                f"the folder {out} holds {others[0]}, which is no part of a package and would be "
                "lost: choose another name"
            )


def _zip(staging: Path, out: Path) -> None:
    files = ((name, [(staging / name).read_bytes()]) for name in _files(staging))
    mode = stat.S_IMODE(out.stat().st_mode) if out.exists() else None
    pack(out, files, zipfile.ZIP_DEFLATED)
    if mode is not None:
        out.chmod(mode)


def _files(folder: Path) -> list[str]:
    """The names of all files in a folder, with "/"."""
    return sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    )


def _rename(staging: Path, out: Path) -> None:
    if not out.exists():
        staging.rename(out)
        return
    for name in _files(staging):
        if (out / name).is_file():
            shutil.copymode(out / name, staging / name)
    shutil.copymode(out, staging)
    replaced = _replaced(out)
    out.rename(replaced)
    try:
        staging.rename(out)
    except OSError:
        replaced.rename(out)
        raise
    shutil.rmtree(replaced)


def _recover(out: Path) -> None:
    """Finish a replacement that was cut short: its first step is undone, its second one kept."""
    replaced = _replaced(out)
    if not replaced.is_dir():
        return
    if out.exists():
        shutil.rmtree(replaced)
    else:
        replaced.rename(out)


def _replaced(out: Path) -> Path:
    return out.with_name(f".{out.name}.replaced")
