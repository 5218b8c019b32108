"""Does a package do what it promises, here and in other consumers?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import CareBridgeError, PackageError, PackageFormatError, TilingError
from care_bridge.images.image import Image
from care_bridge.normalization import Percentiles
from care_bridge.package.archive import RDF_NAMES, check_hash
from care_bridge.package.onnx_file import OnnxFacts, read_onnx
from care_bridge.package.package import Package, load_package
from care_bridge.package.rdf import rdf_warnings
from care_bridge.package.rdf_files import named_files
from care_bridge.package.spec import TensorSpec
from care_bridge.resampling import fewest_pixels
from care_bridge.runtime.conventions import JDLL_IR_VERSION, JDLL_OPSET, jdll_levels
from care_bridge.runtime.halo import measure_halo
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.report import CheckReport, Finding
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.session import Session

# Of the output's range: another build of the engine may sum in another order.
REPRODUCED_WITHIN = 1e-4
TILED_WITHIN = 1e-5
PERCENTILES_WITHIN = 1e-4
_PROJECTED = 5

_GET_AGAIN = "get the package again"
_EXPORT_AGAIN = "export the model again"
_BEFORE_PUBLISHING = "this matters when it is published on bioimage.io"


@dataclass(frozen=True)
class _Subject:
    """What the checks look at: the package, its ONNX file and that file loaded."""

    package: Package
    facts: OnnxFacts
    session: Session


def check_package(source: str | Path) -> CheckReport:
    """Check the package at `source` (as `load_package` takes it) by running it on the CPU.

    Raises PackageNotFoundError where there is none; all else that is wrong is a finding.
    """
    findings: list[Finding] = []
    try:
        package = load_package(source)
        findings += _check_files(package)
        weights = package.weights()
        facts = read_onnx(weights, package.spec.weights.source)
        findings += _check_onnx(package, facts)
        subject = _Subject(package, facts, Session(weights, "cpu"))
        for check in _CHECKS:
            findings += check(subject)
    except FileNotFoundError:
        raise
    except CareBridgeError as error:
        findings.append(Finding("error", str(error)))
    return CheckReport(str(source), tuple(findings))


def _check_files(package: Package) -> Iterator[Finding]:
    spec, archive = package.spec, package.archive
    rdf = archive.description()
    yield Finding("ok", f"the description is valid, format {spec.format_version}")
    for warning in rdf_warnings(rdf):
        yield Finding("warning", f"the spec advises: {warning}", _BEFORE_PUBLISHING)
    if archive.rdf_name != RDF_NAMES[0]:
        yield Finding(
            "warning",
            f"the description is called {archive.rdf_name}, deepImageJ looks for {RDF_NAMES[0]}",
            f"rename it to {RDF_NAMES[0]}",
        )
    if not spec.nickname:
        yield Finding(
            "warning",
            "config.bioimageio.nickname is missing, deepImageJ fails without it",
            "add a nickname to the description",
        )
    files = named_files(rdf)
    for name, sha256 in files.items():
        try:
            data = archive.read(name)
            if sha256:
                check_hash(data, sha256, name, archive.path)
        except PackageError as error:
            yield Finding("error", str(error))
    hashed = sum(sha256 is not None for sha256 in files.values())
    yield Finding("ok", f"{len(files)} files looked up, {hashed} compared with their hashes")


def _check_onnx(package: Package, facts: OnnxFacts) -> Iterator[Finding]:
    spec = package.spec
    if facts.opset != spec.weights.opset:
        yield Finding(
            "error",
            f"the ONNX file has opset {facts.opset}, the description says {spec.weights.opset}",
            f"write {facts.opset} into the description",
        )
    if facts.opset > JDLL_OPSET or facts.ir_version > JDLL_IR_VERSION:
        yield Finding(
            "warning",
            f"the ONNX file has opset {facts.opset} and IR version {facts.ir_version}, deepImageJ "
            f"reads up to {JDLL_OPSET} and {JDLL_IR_VERSION}",
            _EXPORT_AGAIN,
        )
    else:
        yield Finding("ok", f"ONNX opset {facts.opset}, IR version {facts.ir_version}")
    named = [tensor.id for tensor in spec.tensors]
    if len(facts.inputs) != 1 or len(facts.outputs) != len(named) - 1:
        raise PackageFormatError(
            f"the ONNX file has the inputs {', '.join(facts.inputs) or 'none'} and the outputs "
            f"{', '.join(facts.outputs) or 'none'}, the description names "
            f"{'one of each' if len(named) == 2 else ', '.join(named)}: {_EXPORT_AGAIN}"
        )
    names = [*facts.inputs, *facts.outputs]
    if names != named:
        yield Finding(
            "warning",
            f"the ONNX file calls its tensors {' and '.join(names)}, the description "
            f"{' and '.join(named)}; they are taken by position",
            "give them the same names",
        )
    sizes = dict(zip(spec.input.axes, facts.inputs[names[0]], strict=False))
    for axis, size in sizes.items():
        if axis in spec.tiling and isinstance(size, int):
            yield Finding(
                "error",
                f"the ONNX file takes only {size} pixels along {axis}, the description says any",
                _EXPORT_AGAIN,
            )


def _check_test_tensors(subject: _Subject) -> Iterator[Finding]:
    package = subject.package
    source = _test_tensor(package, package.spec.input)
    outputs = predict(package.spec, subject.session, source)
    for tensor, output in zip(package.spec.tensors[1:], outputs, strict=True):
        expected = _test_tensor(package, tensor)
        which = "the test output" + (f" {tensor.id}" if len(outputs) > 1 else "")
        if output.shape != expected.shape:
            yield Finding(
                "error",
                f"the test input gives an output of shape {output.shape}, {which} has "
                f"{expected.shape}",
                _EXPORT_AGAIN,
            )
            continue
        difference = _relative(output, expected)
        what = f"{which} is reproduced to {difference:.1e} of its range"
        if not difference <= REPRODUCED_WITHIN:
            allowed = f"at most {REPRODUCED_WITHIN:.0e} is allowed"
            yield Finding("error", f"{what}, {allowed}", _GET_AGAIN)
        else:
            yield Finding("ok", what)


def _check_members(subject: _Subject) -> Iterator[Finding]:
    """Are the predicted distributions such, and is the output their mean?"""
    spec = subject.package.spec
    if spec.members is None:
        return
    restored, members = predict(spec, subject.session, _test_tensor(subject.package, spec.input))
    channel = spec.output.axes.index("C")
    pixels = np.moveaxis(members, channel, 0)
    shape = spec.member_count, 2, spec.channels_out, *pixels.shape[1:]
    means, scales = np.moveaxis(pixels.reshape(shape), 1, 0)
    if not scales.min() > 0:
        yield Finding(
            "error", f"a predicted scale is {scales.min():g}, expected more than 0", _EXPORT_AGAIN
        )
    difference = _relative(np.moveaxis(restored, channel, 0), means.mean(axis=0))
    what = (
        f"{spec.output.id} is the mean of {spec.member_count} predicted means to "
        f"{difference:.1e} of its range"
    )
    if not difference <= REPRODUCED_WITHIN:
        yield Finding("error", f"{what}, at most {REPRODUCED_WITHIN:.0e} is allowed", _EXPORT_AGAIN)
    else:
        yield Finding("ok", what)


def _check_percentiles(subject: _Subject) -> Iterator[Finding]:
    spec = subject.package.spec
    normalization = spec.normalization
    if not isinstance(normalization, Percentiles):
        return
    tensor = np.moveaxis(
        _test_tensor(subject.package, spec.input),
        [spec.input.axes.index(axis) for axis in "BC"],
        (0, 1),
    )
    worst = 0.0
    for channel in tensor.reshape(-1, *tensor.shape[2:]):
        ours = normalization.fit(channel)
        levels = jdll_levels(channel, normalization)
        shifts = np.abs(np.subtract(levels, (ours.lo, ours.hi)))
        worst = max(worst, float(shifts.max()) / ours.gain)
    what = f"numpy's and JDLL's percentiles of the test input differ by {worst:.1e} of its span"
    if worst > PERCENTILES_WITHIN:
        yield Finding(
            "warning", f"{what}, so deepImageJ does not reproduce the test output", _EXPORT_AGAIN
        )
    else:
        yield Finding("ok", what)


def _check_halo(subject: _Subject) -> Iterator[Finding]:
    spec = subject.package.spec
    if spec.procedure.tile:
        yield Finding(
            "ok",
            "the output depends on the whole tile, so tiles of "
            f"{' x '.join(map(str, spec.procedure.tile.values()))} are blended: the halo and seams "
            "are not applicable",
        )
        return
    channel = spec.output.axes.index("C")

    def run(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate(subject.session.run_all(tile), axis=channel)

    try:
        measured = measure_halo(run, spec.input.axes, spec.channels_in, spec.tiling)
    except TilingError as error:
        yield Finding("error", str(error), "do not use this model in tiles")
        return
    for axis, limits in spec.tiling.items():
        what = (
            f"along {axis} the network reaches {measured[axis]} pixels, the package says "
            f"{limits.halo}"
        )
        if measured[axis] > limits.aligned_halo:
            yield Finding("error", f"{what}: tiles would show seams", _EXPORT_AGAIN)
        else:
            yield Finding("ok", what)


def _check_tiles(subject: _Subject) -> Iterator[Finding]:
    spec = subject.package.spec
    if spec.procedure.tile:
        return
    told = "scale" if spec.members else "none"
    options = RestoreOptions(device="cpu", dtype="float32", uncertainty=told)
    restorer = Restorer(subject.package, options)
    tiling, zoom = spec.image_tiling, spec.procedure.zoom
    for axis, limits in tiling.items():
        # Two tiles and a rest along this axis, little along the others.
        sizes = {other: other_limits.step + 1 for other, other_limits in tiling.items()}
        sizes[axis] = limits.smallest_tile + limits.step + 1
        sizes |= {
            other: fewest_pixels(other, sizes[other], factor) for other, factor in zoom.items()
        }
        depth = {"Z": _PROJECTED} if spec.projects else {}
        image = _noise({"C": spec.channels_in, **depth, **sizes})
        whole = _restored(restorer, image, {})
        tiled = _restored(restorer, image, {axis: limits.smallest_tile})
        difference = max(map(_relative, tiled, whole))
        what = f"along {axis} tiles differ from the whole by {difference:.1e} of its range"
        if not difference <= TILED_WITHIN:
            yield Finding("error", f"{what}, at most {TILED_WITHIN:.0e} is allowed", _EXPORT_AGAIN)
        else:
            yield Finding("ok", what)


_CHECKS: tuple[Callable[[_Subject], Iterator[Finding]], ...] = (
    _check_test_tensors,
    _check_members,
    _check_percentiles,
    _check_halo,
    _check_tiles,
)


def _test_tensor(package: Package, spec: TensorSpec) -> NDArray[np.generic]:
    tensor = package.tensor(spec.test_tensor)
    channels = len(spec.channel_names)
    if tensor.ndim != len(spec.axes) or tensor.shape[spec.axes.index("C")] != channels:
        raise PackageFormatError(
            f'"{spec.test_tensor}" has the shape {tensor.shape}, the description says the axes '
            f"{spec.axes} with C of size {channels}: {_GET_AGAIN}"
        )
    return tensor


def _noise(sizes: dict[str, int]) -> Image:
    pixels = np.random.default_rng(0).uniform(0, 1000, tuple(sizes.values()))
    return Image(pixels.astype(np.float32), Axes("".join(sizes)))


def _restored(restorer: Restorer, image: Image, tile: dict[str, int]) -> list[NDArray[np.generic]]:
    """The restored image and, of a probabilistic model, what it tells of its uncertainty."""
    tiled = restorer.with_options(dataclasses.replace(restorer.options, tile=tile))
    if restorer.options.uncertainty == "none":
        return [tiled.restore_image(image).pixels]
    return [each.pixels for each in tiled.restore_with_uncertainty(image)]


def _relative(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """The largest difference, in parts of the range of `other`; NaN where either holds one."""
    reference = other.astype(np.float64)
    return float(np.abs(one.astype(np.float64) - reference).max() / (np.ptp(reference) or 1.0))
