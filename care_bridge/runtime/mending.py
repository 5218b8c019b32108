"""Packages mended: what can be put right from the package alone, written as a new package."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from care_bridge.axes import Axes, rdf_id
from care_bridge.errors import CareBridgeError, ExportError
from care_bridge.images import Image, write_image
from care_bridge.images.picture import enlarged, write_panels
from care_bridge.normalization import Percentiles
from care_bridge.package.archive import Archive, check_hash, open_archive
from care_bridge.package.consumers import RULES, Draft
from care_bridge.package.consumers.sizes import declare_halo
from care_bridge.package.file_names import checked_name, same_file
from care_bridge.package.npy import npy_bytes
from care_bridge.package.package import load_package
from care_bridge.package.publish import package_target, whole_package
from care_bridge.package.spec import TensorSpec
from care_bridge.package.store import bundled_models, find_package
from care_bridge.runtime.check import check_package
from care_bridge.runtime.check_tiles import measured_halo
from care_bridge.runtime.checked import Checked
from care_bridge.runtime.conventions import with_agreeing_percentiles
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.report import CheckReport, Finding
from care_bridge.runtime.session import Session
from care_bridge.tiling import round_up

_COVER = "cover.png"


@dataclass(frozen=True)
class Mended:
    """What was changed, a line each, and the check of the package as it is now."""

    changes: tuple[str, ...]
    report: CheckReport


def mend_package(source: str | Path, out: Path | None = None) -> Mended:
    """Mend the package at `source` (as `load_package` takes it) as far as that can be done.

    out: the package to write, a folder or a zip; None: in place of the one at `source`. It appears
    whole or not at all, with the files that the description does not name; where there is nothing
    to mend, nothing is written. PackageError where the package cannot be read, a file is not the
    one that it was made with, or one that is not named cannot be carried over; ExportError where
    `out` cannot be written.
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
    with tempfile.TemporaryDirectory() as folder:
        changes += _mended_by_running(draft, Path(folder))
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


def _mended_by_running(draft: Draft, scratch: Path) -> list[str]:
    """What needs the network, where the package can be run and does what it says."""
    changes: list[str] = []
    folder, report = scratch, None
    for rule, mend in _MENDS:
        if report is None:
            folder = scratch / rule
            _write(draft, folder)
            report = check_package(folder)
        if not any(finding.rule == rule for finding in report.findings):
            continue
        if any(finding.rule == "test-tensors" for finding in report.errors):
            break
        try:
            package = load_package(folder)
            checked = Checked(package, Session(package.weights(), "cpu"))
        except CareBridgeError:  # told by the check of the package
            break
        mend(draft, checked)
        changes += [f"{rule}: {each.what}" for each in report.findings if each.rule == rule]
        report = None
    return changes


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


def _widen_halo(draft: Draft, checked: Checked) -> None:
    spec = checked.package.spec
    measured = measured_halo(checked)
    needed = {
        rdf_id(axis): round_up(measured[axis], limits.step) for axis, limits in spec.tiling.items()
    }
    declare_halo(draft, needed)
    if draft.config("care_bridge"):
        reach = {rdf_id(axis): pixels for axis, pixels in measured.items()}
        draft.set_config("care_bridge", "halo", reach)


def _make_percentiles_agree(draft: Draft, checked: Checked) -> None:
    spec = checked.package.spec
    normalization = spec.normalization
    assert isinstance(normalization, Percentiles)
    outer = [dimension for dimension, axis in enumerate(spec.input.axes) if axis in "BC"]
    agreeing = checked.test_tensor(spec.input).astype(np.float32)
    channels = np.moveaxis(agreeing, outer, range(len(outer)))
    for index in np.ndindex(channels.shape[: len(outer)]):
        channels[index] = with_agreeing_percentiles(channels[index], normalization)
    outputs = predict(spec, checked.session, agreeing)
    for tensor, values in zip(spec.tensors, (agreeing, *outputs), strict=True):
        draft.write(tensor.test_tensor, npy_bytes(values))


def _save_samples(draft: Draft, checked: Checked) -> None:
    described = [*draft.tensors("inputs"), *draft.tensors("outputs")]
    for tensor, spec in zip(described, checked.package.spec.tensors, strict=False):
        suffixed = Path(spec.sample_tensor or f"sample_{spec.id}").with_suffix(".tif")
        name = draft.own_name(suffixed.as_posix())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sample.tif"
            write_image(_test_image(checked, spec), file)
            data = file.read_bytes()
        tensor["sample_tensor"] = {"source": name, "sha256": hashlib.sha256(data).hexdigest()}
        draft.write(name, data)


def _test_image(checked: Checked, tensor: TensorSpec) -> Image:
    """The first image of a test tensor, in float32."""
    axes = "".join(axis for axis in tensor.axes if axis != "B")
    pixels = checked.test_tensor(tensor)[(0,) if "B" in tensor.axes else ()]
    return Image(pixels.astype(np.float32), Axes(axes))


def _make_cover(draft: Draft, checked: Checked) -> None:
    spec = checked.package.spec
    panels = []
    for label, tensor in (("input", spec.input), ("output", spec.output)):
        image = _test_image(checked, tensor)
        volume = image.axes.to(image.pixels, "CZYX")[0]
        panels.append((label, enlarged(volume[len(volume) // 2])))
    with tempfile.TemporaryDirectory() as folder:
        write_panels(Path(folder) / _COVER, panels)
        name = draft.own_name(_COVER)
        draft.content["covers"] = [name]
        draft.write(name, (Path(folder) / _COVER).read_bytes())


_MENDS: tuple[tuple[str, Callable[[Draft, Checked], None]], ...] = (
    ("halo", _widen_halo),
    ("percentiles", _make_percentiles_agree),
    ("sample-tensors", _save_samples),
    ("same-samples", _save_samples),
    ("cover", _make_cover),
)
