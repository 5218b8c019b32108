"""Does a package do what it promises, here and in other consumers?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from care_bridge.errors import (
    CareBridgeError,
    PackageError,
    PackageFormatError,
)
from care_bridge.package.archive import open_archive
from care_bridge.package.consumers import CONSUMERS, RULES, Draft
from care_bridge.package.consumers.rule import CORE
from care_bridge.package.onnx_file import OnnxFacts, read_onnx
from care_bridge.package.package import Package, load_package
from care_bridge.package.rdf import rdf_warnings
from care_bridge.package.store import find_package
from care_bridge.runtime.check_outputs import OUTPUT_CHECKS
from care_bridge.runtime.check_tiles import TILE_CHECKS
from care_bridge.runtime.checked import EXPORT_AGAIN, Checked
from care_bridge.runtime.mends import MENDS
from care_bridge.runtime.report import CheckReport, Finding, stopped_by

_SAID_BY_RULES = ("Needs to be filled", "Missing `maintainers`")
"""How advice of the spec's library begins for which there are rules."""


def check_package(source: str | Path) -> CheckReport:
    """Check the package at `source` (as `load_package` takes it) by the rules of its consumers, and
    by running it on the CPU.

    Raises PackageNotFoundError where there is none; all else that is wrong is a finding.
    """
    findings: list[Finding] = []
    archive_path = find_package(source)
    for part in (_described, _running):
        try:
            findings += part(archive_path)
        except CareBridgeError as error:
            said = stopped_by(error)
            findings += [] if said in findings else [said]
    return CheckReport(str(source), tuple(findings))


def check_draft(draft: Draft) -> Iterator[Finding]:
    """What breaks the rules of other consumers, and whose rules all hold."""
    broken: set[str] = set()
    for rule in RULES:
        mendable = rule.mended(draft)[1]
        for breach in rule.breaches(draft):
            if rule.severity != "note":
                broken.update(rule.consumers)
            yield Finding(
                rule.severity,
                breach,
                rule.remedy,
                rule.id,
                rule.consumers,
                breach in mendable or rule.id in MENDS,
            )
    version = str(draft.content.get("format_version"))
    if not version.startswith("0.5."):
        yield Finding(
            "note",
            f"most rules on tensors, sizes and processing steps are for format 0.5, not {version}",
            "for an answer write it as format 0.5 (bioimageio update-format) and check that",
            "not-applied",
            CONSUMERS,
        )
        return
    for consumer in CONSUMERS:
        count = sum(consumer in rule.consumers for rule in RULES)
        if consumer not in broken:
            yield Finding("ok", f"{count} rules hold", consumers=(consumer,))


def _described(path: Path) -> list[Finding]:
    draft = Draft.of(open_archive(path))
    return [*check_draft(draft), *_check_files(draft)]


def _check_files(draft: Draft) -> Iterator[Finding]:
    files = draft.files
    for name, sha256 in files.items():
        try:
            draft.check(name, sha256)
        except PackageError as error:
            yield stopped_by(error)
    hashed = sum(sha256 is not None for sha256 in files.values())
    yield Finding("ok", f"{len(files)} files looked up, {hashed} compared with their hashes")


def _running(path: Path) -> Iterator[Finding]:
    package = load_package(path)
    yield Finding("ok", f"the description is valid, format {package.spec.format_version}")
    for warning in rdf_warnings(package.archive.description()):
        if not warning.startswith(_SAID_BY_RULES):
            advice = f"the spec advises: {warning}"
            yield Finding("warning", advice, rule="spec", consumers=(CORE,))
    facts = read_onnx(package.weights(), package.spec.weights.source)
    yield from _check_onnx(package, facts)
    checked = Checked.of(package)
    for check in (*OUTPUT_CHECKS, *TILE_CHECKS):
        for finding in check(checked):
            yield replace(finding, mendable=finding.rule in MENDS)


def _check_onnx(package: Package, facts: OnnxFacts) -> Iterator[Finding]:
    spec = package.spec
    named = [tensor.id for tensor in spec.tensors]
    # Outputs that are no images are not ours to compare.
    places = [output.position for output in spec.outputs] or range(len(spec.output_tensors))
    if len(facts.inputs) != len(spec.input_tensors) or len(facts.outputs) <= max(places):
        raise PackageFormatError(
            f"the ONNX file has the inputs {', '.join(facts.inputs) or 'none'} and the outputs "
            f"{', '.join(facts.outputs) or 'none'}, the description names "
            f"{'one of each' if len(named) == 2 else ', '.join(named)}: {EXPORT_AGAIN}"
        )
    outputs = list(facts.outputs)
    names = [*facts.inputs, *(outputs[place] for place in places)]
    if names != named:
        yield Finding(
            "note",
            f"the ONNX file calls its tensors {' and '.join(names)}, the description "
            f"{' and '.join(named)}: they are taken by position",
            rule="onnx-names",
        )
    sizes = dict(zip(spec.input.axes, facts.inputs[names[0]], strict=False))
    for axis, size in sizes.items():
        if axis in spec.tiling and isinstance(size, int) and size != spec.tiling[axis].most:
            yield Finding(
                "error",
                f"the ONNX file takes only {size} pixels along {axis}, the description says any",
                EXPORT_AGAIN,
                rule="onnx-sizes",
            )
