"""Packages mended: what can be put right from the package alone, written as a new package."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import (
    CareBridgeError,
    ExportError,
    PackageFormatError,
    PackageNotRunError,
)
from care_bridge.package.archive import Archive, check_hash, open_archive
from care_bridge.package.consumers import RULES, Draft
from care_bridge.package.file_names import checked_name, same_file
from care_bridge.package.package import load_package
from care_bridge.package.publish import package_target, whole_package
from care_bridge.package.rdf import parse_rdf
from care_bridge.package.store import bundled_models, find_package
from care_bridge.runtime.check import check_package
from care_bridge.runtime.checked import Checked
from care_bridge.runtime.mends import MENDS
from care_bridge.runtime.report import CheckReport, Finding
from care_bridge.runtime.session import Session


@dataclass(frozen=True)
class Mended:
    """What was changed, a line each, and the check of the package as it is now."""

    changes: tuple[str, ...]
    report: CheckReport


def mend_package(source: str | Path, out: Path | None = None) -> Mended:
    """Mend the package at `source` (as `load_package` takes it) as far as that can be done.

    out: the package to write, a folder or a zip; None: in place of the one at `source`. It appears
    whole or not at all, with the files that the description does not name; where there is nothing
    to mend, nothing is written. PackageError where the package cannot be read, or not as a model
    after all that can be mended, a file is not the one that it was made with, or one that is not
    named cannot be carried over; ExportError where `out` cannot be written.
    """
    path = find_package(source)
    draft = Draft.of(open_archive(path))
    for name, sha256 in draft.files.items():
        if sha256:
            check_hash(draft.read(name), sha256, name, path)
    others = _others(draft)
    overwrite, carried = out is None, others if out is None else ()
    target = package_target(out or _in_place(draft.archive), overwrite=overwrite, carried=carried)
    draft, changes = _mended_by_rules(draft)
    if changes:
        _check_describes_a_model(draft)
    with tempfile.TemporaryDirectory() as folder:
        draft, more = _mended_by_running(draft, Path(folder))
        changes += more
        if not changes:
            return Mended((), check_package(source))
        with whole_package(target, overwrite=overwrite, carried=carried) as staging:
            _write(draft, staging)
            _carry_over(draft, others, staging)
            report = check_package(staging)
    findings = tuple(_said_of(target, staging, each) for each in report.findings)
    report = dataclasses.replace(report, source=str(target), findings=findings)
    return Mended(tuple(changes), report)


def _said_of(target: Path, staging: Path, finding: Finding) -> Finding:
    """The finding with the name that the package has now, not the hidden one."""
    return dataclasses.replace(finding, what=finding.what.replace(str(staging), str(target)))


def _others(draft: Draft) -> tuple[str, ...]:
    """The files of the package that its description does not name."""
    known = {same_file(name) for name in (draft.archive.rdf_name, *draft.files)}
    return tuple(
        name
        for name in draft.archive.names()
        if same_file(checked_name(name, draft.archive.path)) not in known
    )


def _in_place(archive: Archive) -> Path:
    if archive.path in bundled_models().values():
        raise ExportError(f"{archive.path} came with care_bridge: give another package to write")
    return archive.path


def _mended_by_rules(draft: Draft) -> tuple[Draft, list[str]]:
    changes: list[str] = []
    for rule in RULES:
        draft, gone = rule.mended(draft)
        changes += [f"{rule.id}: {breach}" for breach in gone]
    return draft, changes


def _check_describes_a_model(draft: Draft) -> None:
    """Raise PackageFormatError where nobody could open the package for all that was mended."""
    try:
        parse_rdf(draft.text(), str(draft.archive.path))
    except PackageNotRunError:  # others may run it
        return
    except PackageFormatError as error:
        raise PackageFormatError(
            f"{error}: that cannot be mended here, so nothing is written; mend it by hand first"
        ) from None


def _mended_by_running(draft: Draft, scratch: Path) -> tuple[Draft, list[str]]:
    """What needs the network, where the package can be run and does what it says; a mend that takes
    no breach away is left out."""
    changes: list[str] = []
    folder, report = _written_and_checked(draft, scratch / "as-it-is")
    for rule, mend in MENDS.items():
        broken = _breaches(report, rule)
        if not broken:
            continue
        if any(finding.rule == "test-tensors" for finding in report.errors):
            break
        try:
            package = load_package(folder)
            checked = Checked(package, Session(package.weights(), "cpu"))
        except CareBridgeError:  # told by the check of the package
            break
        mended = draft.copy()
        mend(mended, checked)
        tried, after = _written_and_checked(mended, scratch / rule)
        left = _breaches(after, rule)
        if len(left) < len(broken):
            draft, folder, report = mended, tried, after
            changes += [f"{rule}: {breach}" for breach in broken if breach not in left]
    return draft, changes


def _written_and_checked(draft: Draft, folder: Path) -> tuple[Path, CheckReport]:
    _write(draft, folder)
    return folder, check_package(folder)


def _breaches(report: CheckReport, rule: str) -> list[str]:
    return [finding.what for finding in report.findings if finding.rule == rule]


def _write(draft: Draft, folder: Path) -> None:
    """The whole package into `folder`, which is made where it is not there."""
    folder.mkdir(exist_ok=True)
    for name in draft.files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(draft.read(name))
    (folder / draft.rdf_name).write_bytes(draft.text())


def _carry_over(draft: Draft, others: tuple[str, ...], folder: Path) -> None:
    """Put the `others`, which the description did not name, into `folder` beside the package."""
    for name in others:
        if name in draft.changed:  # taken into the package
            continue
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            opened.writelines(draft.archive.chunks(name))
