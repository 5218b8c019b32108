"""Packages mended: what can be put right from the package alone, written as a new package."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import (
    CareBridgeError,
    ExportError,
    PackageFormatError,
    PackageNotRunError,
)
from care_bridge.package.archive import Archive, open_archive
from care_bridge.package.consumers import RULES, Draft
from care_bridge.package.file_names import checked_name, same_file
from care_bridge.package.package import load_package
from care_bridge.package.publish import package_target, whole_package
from care_bridge.package.rdf import parse_rdf
from care_bridge.package.store import bundled_models, find_package
from care_bridge.runtime.check import check_draft, check_package
from care_bridge.runtime.checked import Checked
from care_bridge.runtime.mends import MENDS
from care_bridge.runtime.report import STOPS, CheckReport, Finding, stopped_by


@dataclass(frozen=True)
class Mended:
    """What was changed, a line each, and the check of the package as it is now."""

    changes: tuple[str, ...]
    report: CheckReport


def mend_package(source: str | Path, out: Path | None = None) -> Mended:
    """Mend the package at `source` (as `load_package` takes it) as far as that can be done.

    out: the package to write, a folder or a zip; None: in place of the one at `source`. It appears
    whole or not at all, with the files that the description does not name; where there is nothing
    to mend without harm to something else, nothing is written. PackageError where the package
    cannot be read, or not as a model after all that can be mended, a file is not the one that it
    was made with, or one that is not named cannot be carried over; ExportError where `out` cannot
    be written.
    """
    path = find_package(source)
    if out is not None and out.exists():
        raise ExportError(
            f"{out} exists already: give another name, or none to mend the package in its place"
        )
    draft = Draft.of(open_archive(path))
    for name, sha256 in draft.files.items():
        if sha256:
            draft.check(name, sha256)
    others = _others(draft)
    overwrite, carried = out is None, others if out is None else ()
    target = package_target(out or _in_place(draft.archive), overwrite=overwrite, carried=carried)
    report = check_package(source)
    with tempfile.TemporaryDirectory() as folder:
        draft, changes = _mended(draft, report, Path(folder))
        if not changes:
            return Mended((), report)
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


def _mended(draft: Draft, report: CheckReport, scratch: Path) -> tuple[Draft, list[str]]:
    """The draft as far as it can be mended without harm, and what was mended of the `report`.

    After a mend of the description the network may need one too (of the halo, for tiles that others
    make only now). So those are judged by the description first, and one by one by running the
    package where the whole turns out to be worse.
    """

    def run(tried: Draft) -> CheckReport:
        return _written_and_checked(tried, scratch)[1]

    for look in (_described, run):
        mended, changes = _mended_by_rules(draft, look)
        if changes:
            _check_describes_a_model(mended)
        mended, more, after = _mended_by_running(mended, scratch)
        if not _harms(report, after):
            return mended, changes + more
    return draft, []


def _harms(before: CheckReport, after: CheckReport, mended: str | None = None) -> bool:
    """Whether a mend of the rule `mended` is to be left out: another rule has more errors than
    before it, or the package opened before it and no longer does."""
    was, now = (Counter(each.rule for each in report.errors) for report in (before, after))
    compared = now.keys() - {mended}
    if was.keys() & STOPS:  # the check did not come to what is seen by running
        compared &= {rule.id for rule in RULES}
    return any(now[rule] > was[rule] for rule in compared)


def _mended_by_rules(draft: Draft, look: Callable[[Draft], CheckReport]) -> tuple[Draft, list[str]]:
    """What can be mended in the description and files, without harm to what `look` sees."""
    changes: list[str] = []
    report = look(draft)
    for rule in RULES:
        tried, gone = rule.mended(draft)
        if not gone:
            continue
        after = look(tried)
        if not _harms(report, after, rule.id):
            draft, report = tried, after
            changes += [f"{rule.id}: {breach}" for breach in gone]
    return draft, changes


def _described(draft: Draft) -> CheckReport:
    """What can be said of the package without running it."""
    source = str(draft.archive.path)
    findings = list(check_draft(draft))
    try:
        parse_rdf(draft.text(), source)
    except CareBridgeError as error:
        findings.append(stopped_by(error))
    return CheckReport(source, tuple(findings))


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


def _mended_by_running(draft: Draft, scratch: Path) -> tuple[Draft, list[str], CheckReport]:
    """What needs the network, where the package can be run and does what it says, and the check of
    the package then; a mend that takes no breach away, or harms, is left out."""
    changes: list[str] = []
    folder, report = _written_and_checked(draft, scratch)
    for rule, mend in MENDS.items():
        broken = _breaches(report, rule)
        if not broken:
            continue
        if any(finding.rule == "test-tensors" for finding in report.errors):
            break
        try:
            checked = Checked.of(load_package(folder))
        except CareBridgeError:  # told by the check of the package
            break
        mended = draft.copy()
        mend(mended, checked)
        tried, after = _written_and_checked(mended, scratch)
        left = _breaches(after, rule)
        if len(left) < len(broken) and not _harms(report, after, rule):
            draft, folder, report = mended, tried, after
            changes += [f"{rule}: {breach}" for breach in broken if breach not in left]
    return draft, changes, report


def _written_and_checked(draft: Draft, scratch: Path) -> tuple[Path, CheckReport]:
    """The package written to a new folder in `scratch`, and its check."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
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
        with file.open("wb") as opened:
            opened.writelines(draft.chunks(name))
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
