"""From a training run to a package: exported, measured, described, and run again as a whole."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import PackageCheckError
from care_bridge.export.about import About, make_card, model_card
from care_bridge.export.example import TestImage, cut_test_image
from care_bridge.export.graph import compare_with_torch, export_onnx
from care_bridge.export.memory import measure_memory_per_pixel
from care_bridge.export.reach import structural_halo
from care_bridge.images import Image, write_image
from care_bridge.images.picture import write_panels
from care_bridge.normalization import FixedScale, Percentiles, percentiles
from care_bridge.package.archive import RDF_NAMES
from care_bridge.package.package import load_package
from care_bridge.package.procedure import Procedure
from care_bridge.package.publish import package_target, whole_package
from care_bridge.package.rdf_content import COVER, DOCUMENTATION, FORMAT_VERSION, rdf_content
from care_bridge.package.spec import MEMBERS, RESTORED, ModelSpec, TensorSpec, Weights
from care_bridge.package.steps import Operations
from care_bridge.runtime.check import check_package
from care_bridge.runtime.conventions import JDLL_OPSET
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.report import CheckReport
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.session import Session
from care_bridge.tiling import AxisLimits
from care_bridge.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_WEIGHTS = "weights.onnx"
_BLENDED_SHARE = 8  # of a tile, as in 3D-RCAN
_COVER_PERCENTILES = (0.1, 99.9)


def export_checkpoint(
    checkpoint: Checkpoint, out: Path, about: About, *, overwrite: bool = False
) -> CheckReport:
    """Write the package of a trained network to `out`: a folder, or a zip where it ends in .zip.

    Returns the report of its check. ExportError where the exported network differs from the
    trained one or `out` cannot be written, PackageCheckError where the package does not do what
    it says; then nothing is written.
    """
    package_target(out, overwrite=overwrite)  # before the work, which takes a while
    axes, channels = checkpoint.axes, checkpoint.channels_in
    step = checkpoint.config.size_step
    # A stack that is projected may have any number of slices.
    steps = [1 if axis not in _tiled(checkpoint) else step for axis in axes]
    weights = export_onnx(checkpoint.network, axes, channels, steps)
    difference = compare_with_torch(weights, checkpoint.network, channels, steps)
    log.info("exported: %.1f MB, differs from torch by %.1e", len(weights) / 1e6, difference)
    spec = _spec(checkpoint, about, weights, step)
    assert not isinstance(spec.normalization, Operations)  # others' packages have these
    test_image = cut_test_image(checkpoint.example.source, spec.tiling, spec.normalization)
    outputs = predict(spec, Session(weights, "cpu"), test_image.pixels)
    with whole_package(out, overwrite=overwrite) as folder:
        (folder / _WEIGHTS).write_bytes(weights)
        for tensor, values in zip(spec.tensors, (test_image.pixels, *outputs), strict=True):
            _write_tensors(folder, tensor, values)
        (folder / DOCUMENTATION).write_text(model_card(spec, checkpoint), "utf-8")
        _write_rdf(folder, spec, about, test_image)
        _write_cover(folder, test_image)
        report = check_package(folder)
        if report.errors:
            first = report.errors[0]
            raise PackageCheckError(f"the package fails its check: {first.what}", report)
    return replace(report, source=str(out))


def _spec(checkpoint: Checkpoint, about: About, weights: bytes, step: int) -> ModelSpec:
    axes, channels = checkpoint.axes, checkpoint.channels_in
    tiled = _tiled(checkpoint)
    limits = {axis: AxisLimits(step=step, min=step, halo=0) for axis in tiled}
    procedure = _procedure(checkpoint)
    halo = dict.fromkeys(tiled, 0)
    if not procedure.tile:
        halo = structural_halo(checkpoint.network, axes, channels, limits)
    memory = measure_memory_per_pixel(weights, axes, channels, step)
    log.info("halo: %s pixels; memory: %.0f bytes a pixel", halo, memory)
    return ModelSpec(
        name=about.name,
        nickname=about.nickname,
        version=about.version,
        description=about.description,
        license=about.license,
        format_version=FORMAT_VERSION,
        rdf_sha256="",  # known when it is written
        input=_tensor_spec("input", axes, _channel_names(channels)),
        output=_tensor_spec(
            RESTORED if checkpoint.members else "output",
            tiled,
            _channel_names(checkpoint.channels_out),
        ),
        weights=Weights(_WEIGHTS, hashlib.sha256(weights).hexdigest(), JDLL_OPSET),
        tiling={axis: replace(limits[axis], halo=halo[axis]) for axis in tiled},
        normalization=_normalization(checkpoint),
        memory_per_pixel=memory,
        config={"task": checkpoint.config.task, "training": _training(checkpoint)},
        procedure=procedure,
        members=_members(checkpoint),
    )


def _tiled(checkpoint: Checkpoint) -> str:
    """The axes of the network's output, along which it may be run in tiles."""
    axes = checkpoint.axes
    return axes.removeprefix("Z") if checkpoint.config.task == "projection" else axes


def _members(checkpoint: Checkpoint) -> TensorSpec | None:
    if not checkpoint.members:
        return None
    names = tuple(
        f"member{number} {what} {channel}"
        for number in range(checkpoint.members)
        for what in ("mean", "scale")
        for channel in _channel_names(checkpoint.channels_out)
    )
    return _tensor_spec(MEMBERS, _tiled(checkpoint), names)


def _channel_names(channels: int) -> tuple[str, ...]:
    return tuple(f"channel{index}" for index in range(channels))


def _tensor_spec(name: str, axes: str, channel_names: tuple[str, ...]) -> TensorSpec:
    return TensorSpec(
        id=name,
        axes=f"BC{axes}",
        channel_names=channel_names,
        test_tensor=f"test_{name}.npy",
        sample_tensor=f"sample_{name}.tif",
    )


def _normalization(checkpoint: Checkpoint) -> Percentiles | FixedScale:
    trained_with = checkpoint.config.normalization
    if trained_with.mode == "fixed":
        return FixedScale(checkpoint.intensities.source, checkpoint.intensities.target)
    return Percentiles(trained_with.low, trained_with.high, trained_with.eps)


def _procedure(checkpoint: Checkpoint) -> Procedure:
    """What is done around the network."""
    if checkpoint.config.task == "isotropic":
        asked = checkpoint.config.isotropic
        return Procedure({"Z": asked.factor or 1.0}, asked.combination)
    if checkpoint.config.task == "rcan":
        tile = dict(zip(checkpoint.axes, checkpoint.config.rcan.tile or (), strict=True))
        blend = {axis: pixels // _BLENDED_SHARE for axis, pixels in tile.items()}
        return Procedure(tile=tile, blend=blend)
    return Procedure(checkpoint.config.upsampling.zoom)


def _training(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the package keeps of its training; no paths of the machine it was trained on."""
    if checkpoint.imported:
        return {"csbdeep": dict(checkpoint.imported)}
    settings = checkpoint.config.model_dump(
        mode="json", exclude={"data": True, "isotropic": {"psf"}}, exclude_none=True
    )
    return {
        "steps": checkpoint.step,
        "config": settings,
        "validation": dict(checkpoint.validation),
        "versions": dict(checkpoint.versions),
    }


def _write_tensors(folder: Path, spec: TensorSpec, tensor: NDArray[np.float32]) -> None:
    """The test tensor, and the same pixels as an image for people and for deepImageJ."""
    np.save(folder / spec.test_tensor, tensor)
    if spec.sample_tensor:
        picture = Image(tensor[0], Axes(spec.axes.removeprefix("B")))
        write_image(picture, folder / spec.sample_tensor)


def _write_cover(folder: Path, test_image: TestImage) -> None:
    """The first channel's middle slice before and after, in the contrast of the latter, restored
    as a user of the package does it, but for what is done around the network: the test image is
    what the network sees."""
    package = load_package(folder)
    by_itself = replace(package, spec=replace(package.spec, procedure=Procedure()))
    restorer = Restorer(by_itself, RestoreOptions(device="cpu", dtype="float32"))
    axes = Axes(package.spec.input.axes.removeprefix("B"))
    before = Image(test_image.pixels[0], axes)
    after = restorer.restore_image(before)
    slices = [_middle_slice(image) for image in (before, after)]
    low, high = percentiles(slices[1], _COVER_PERCENTILES)
    panels = list(zip(("before", "after"), slices, strict=True))
    write_panels(folder / COVER, panels, limits=(low, high))


def _middle_slice(image: Image) -> NDArray[np.generic]:
    volumes = image.axes.to(image.pixels, "CZYX")
    middle: NDArray[np.generic] = volumes[0, volumes.shape[1] // 2]
    return middle


def _write_rdf(folder: Path, spec: ModelSpec, about: About, test_image: TestImage) -> None:
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    axes = spec.input.axes.removeprefix("BC")
    tiled = "" if spec.procedure.tile else test_image.tiled_axes
    card = make_card(about, str(spec.config["task"]), axes, tiled)
    text = yaml.safe_dump(
        rdf_content(spec, card, hashes), sort_keys=False, allow_unicode=True, width=100
    )
    (folder / RDF_NAMES[0]).write_text(text, "utf-8")
