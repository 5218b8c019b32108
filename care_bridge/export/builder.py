"""From a training run to a package: exported, measured, described, and run again as a whole."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, PackageCheckError
from care_bridge.export.about import About
from care_bridge.export.card import improves_nothing, make_card, model_card
from care_bridge.export.domain import domain_content
from care_bridge.export.example import cut_test_image
from care_bridge.export.figure import write_pictures
from care_bridge.export.graph import OPSET, compare_with_torch, export_onnx
from care_bridge.export.memory import measure_memory_per_pixel
from care_bridge.export.reach import structural_halo
from care_bridge.export.tasks import TASKS
from care_bridge.export.torch_weights import STATE_DICT, TORCHSCRIPT, torch_weights
from care_bridge.images import Image, write_image
from care_bridge.normalization import FixedScale, Percentiles
from care_bridge.package.archive import RDF_NAMES
from care_bridge.package.package import load_package
from care_bridge.package.procedure import Procedure
from care_bridge.package.publish import package_target, whole_package
from care_bridge.package.rdf_content import (
    DOCUMENTATION,
    FORMAT_VERSION,
    Card,
    MoreWeights,
    rdf_content,
)
from care_bridge.package.spec import MEMBERS, RESTORED, ModelSpec, TensorSpec, Weights
from care_bridge.runtime.check import check_package
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.report import CheckReport
from care_bridge.runtime.session import Session
from care_bridge.tiling import AxisLimits
from care_bridge.training.architecture import whole_architecture
from care_bridge.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_WEIGHTS = "weights.onnx"
_BLENDED_SHARE = 8  # of a tile, as in 3D-RCAN

WEIGHTS = ("onnx", TORCHSCRIPT, STATE_DICT)
"""The formats of weights that a package can hold; ONNX, which care_bridge runs, it always holds."""


def export_checkpoint(
    checkpoint: Checkpoint,
    out: Path,
    about: About,
    *,
    weights: Sequence[str] = (),
    overwrite: bool = False,
) -> CheckReport:
    """Write the package of a trained network to `out`: a folder, or a zip where it ends in .zip.

    weights: which of WEIGHTS it holds besides ONNX. Returns the report of its check. ExportError
    where an exported network differs from the trained one or `out` cannot be written,
    PackageCheckError where the package does not do what it says; then nothing is written.
    """
    # Before the work, which takes a while.
    package_target(out, overwrite=overwrite)
    unknown = sorted(set(weights) - set(WEIGHTS))
    if unknown:
        raise ConfigError(f'there are no weights "{unknown[0]}": choose of {", ".join(WEIGHTS)}')
    images = TASKS[checkpoint.config.task].image_axes(checkpoint.axes)
    strange = [axis for axis in about.pixel_size if axis not in images]
    if strange:
        raise ConfigError(
            f"a pixel size along {strange[0]} was given for a model of {images} images: leave "
            "it out"
        )
    axes, channels = checkpoint.axes, checkpoint.channels_in
    step = checkpoint.config.size_step
    # A stack that is projected may have any number of slices.
    steps = [1 if axis not in _tiled(checkpoint) else step for axis in axes]
    onnx = export_onnx(checkpoint.network, axes, channels, steps)
    difference = compare_with_torch(onnx, checkpoint.network, channels, steps)
    log.info("exported: %.1f MB, differs from torch by %.1e", len(onnx) / 1e6, difference)
    more, files = _more_weights(checkpoint, weights, steps)
    spec = _spec(checkpoint, about, onnx, step)
    test_image = cut_test_image(checkpoint.example.source, spec.tiling, _normalization(checkpoint))
    outputs = predict(spec, Session(onnx, "cpu"), test_image.pixels)
    with whole_package(out, overwrite=overwrite) as folder:
        for name, data in {_WEIGHTS: onnx, **files}.items():
            (folder / name).write_bytes(data)
        for tensor, values in zip(spec.tensors, (test_image.pixels, *outputs), strict=True):
            _write_tensors(folder, tensor, values)
        (folder / DOCUMENTATION).write_text(model_card(spec, checkpoint, about), "utf-8")
        tiled = "" if spec.procedure.tile else test_image.tiled_axes
        _write_rdf(folder, spec, make_card(spec, checkpoint, about, tiled, more))
        write_pictures(load_package(folder), checkpoint, test_image)
        report = check_package(folder)
        if report.errors:
            first = report.errors[0]
            raise PackageCheckError(f"the package fails its check: {first.what}", report)
    no_better = improves_nothing(checkpoint)
    if no_better:
        log.warning("do not use the model: %s; train with more steps or more images", no_better)
    return replace(report, source=str(out))


def _more_weights(
    checkpoint: Checkpoint, weights: Sequence[str], steps: Sequence[int]
) -> tuple[tuple[MoreWeights, ...], dict[str, bytes]]:
    """The weights besides ONNX that are asked for, and their files."""
    channels = checkpoint.channels_in
    built = whole_architecture(checkpoint.config, channels, checkpoint.channels_out)
    entries, files = [], {}
    for kind in WEIGHTS[1:]:
        if kind in weights:
            entry, more = torch_weights(kind, checkpoint.network, built, channels, steps)
            entries.append(entry)
            files.update(more)
    return tuple(entries), files


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
        weights=Weights(_WEIGHTS, hashlib.sha256(weights).hexdigest(), OPSET),
        tiling={axis: replace(limits[axis], halo=halo[axis]) for axis in tiled},
        normalization=_normalization(checkpoint),
        memory_per_pixel=memory,
        config={
            "task": checkpoint.config.task,
            "domain": domain_content(checkpoint, about),
            "training": _training(checkpoint),
        },
        procedure=procedure,
        members=_members(checkpoint),
        spread=checkpoint.spread,
    )


def _tiled(checkpoint: Checkpoint) -> str:
    """The axes of the network's output, along which it may be run in tiles."""
    axes = checkpoint.axes
    return axes.removeprefix("Z") if checkpoint.config.task == "projection" else axes


def _members(checkpoint: Checkpoint) -> TensorSpec | None:
    if not checkpoint.members:
        return None
    names = tuple(
        f"member{number}_{what}_{channel}"
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
        **({"started_from": dict(checkpoint.start)} if checkpoint.start else {}),
    }


def _write_tensors(folder: Path, spec: TensorSpec, tensor: NDArray[np.float32]) -> None:
    """The test tensor, and the same pixels as an image for people and for deepImageJ."""
    np.save(folder / spec.test_tensor, tensor)
    if spec.sample_tensor:
        picture = Image(tensor[0], Axes(spec.axes.removeprefix("B")))
        write_image(picture, folder / spec.sample_tensor)


def _write_rdf(folder: Path, spec: ModelSpec, card: Card) -> None:
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    text = yaml.safe_dump(
        rdf_content(spec, card, hashes), sort_keys=False, allow_unicode=True, width=100
    )
    (folder / RDF_NAMES[0]).write_text(text, "utf-8")
