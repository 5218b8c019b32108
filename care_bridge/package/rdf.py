"""A package's description (RDF) as a ModelSpec, by bioimageio.spec.

Read are packages that care_bridge made, whose probabilistic networks have a second output, and
others of format 0.4 and 0.5 with an ONNX network that makes an image of one. Everything else is
refused with the reason.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bioimageio.spec import InvalidDescr, ValidationContext, build_description
from bioimageio.spec.dataset.v0_3 import DatasetId
from bioimageio.spec.generic.v0_3 import LicenseId, OrcidId, Version
from bioimageio.spec.model import v0_4, v0_5
from loguru import logger
from pydantic import ValidationError

from care_bridge.errors import AxesError, PackageFormatError, PackageNotRunError
from care_bridge.normalization import Scale
from care_bridge.package.file_names import checked_name
from care_bridge.package.geometry import Tensor, geometry_of
from care_bridge.package.printable import shown
from care_bridge.package.procedure import MOST_PIXELS, procedure_of
from care_bridge.package.processing import after_scales, check_references, normalization_of
from care_bridge.package.rdf_0_4 import tensors_0_4
from care_bridge.package.rdf_0_5 import tensors_0_5
from care_bridge.package.rdf_files import files_in, read_description
from care_bridge.package.refusal import RefusedError
from care_bridge.package.spec import (
    CONFIG_FORMAT,
    MEMBERS,
    ModelSpec,
    OutputSpec,
    TensorSpec,
    Weights,
)
from care_bridge.tiling import AxisLimits

# The spec's library tells on stderr what it fills in, in its own name and in its caller's.
for _name in ("bioimageio.spec", "pydantic"):
    logger.disable(_name)

_FORMATS = ("0.4", "0.5")
_LONGEST_REASON = 120
_MOST_BYTES = 1e9  # a pixel


def parse_rdf(data: bytes, origin: str) -> ModelSpec:
    """The ModelSpec that the RDF's bytes describe; `origin` names the package in messages.

    PackageFormatError where it is no valid RDF of a model, PackageIntegrityError where its YAML is
    refused or it names a file by an absolute path, PackageNotRunError where care_bridge does not
    read its format (those that it reads are 0.4 and 0.5) or cannot run its model.
    """
    refused = f"cannot use the package {origin}"
    try:
        content = _content(data, f"{refused}: its description")
        version = str(content.get("format_version"))
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            raise RefusedError(f"its format_version is {version}, expected one like 0.5.4")
        if version.rpartition(".")[0] not in _FORMATS:
            raise PackageNotRunError(
                f"{refused}: its format_version is {version}, care_bridge runs "
                f"{' and '.join(_FORMATS)}"
            )
        for name in files_in(content):
            if PurePosixPath(name).is_absolute():  # the library speaks of addresses
                checked_name(name, Path(origin))
        # The library changes what it is given.
        described = _described(copy.deepcopy(content))
    except RefusedError as reason:
        raise PackageFormatError(f"{refused}: {reason}") from None
    try:
        return _spec(described, content, hashlib.sha256(data).hexdigest())
    except (RefusedError, AxesError) as reason:
        raise PackageNotRunError(f"{refused}: {reason}") from None


def rdf_warnings(data: bytes) -> list[str]:
    """What the spec library advises about an RDF that `parse_rdf` takes, a line each."""
    summary = _described(_content(data, "the description")).validation_summary
    return [
        " ".join(warning.msg.split()) for detail in summary.details for warning in detail.warnings
    ]


def is_license(name: str) -> bool:
    """Whether `name` is an SPDX license id that an RDF can hold."""
    return _can_be(LicenseId, name)


def is_version(text: str) -> bool:
    """Whether `text` can be the version of a model, as 1.2.0 can."""
    return _can_be(Version, text)


def is_orcid(text: str) -> bool:
    """Whether `text` is an ORCID in groups of four, its check digit included."""
    return _can_be(OrcidId, text)


def is_dataset(name: str) -> bool:
    """Whether `name` can be a dataset's id on bioimage.io."""
    return _can_be(DatasetId, name)


def _can_be(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _content(data: bytes, what: str) -> dict[str, Any]:
    content = read_description(data, what)
    if not isinstance(content, dict) or content.get("type") != "model":
        raise RefusedError("its description is not of a model (type: model)")
    return content


def _described(content: dict[str, Any]) -> v0_4.ModelDescr | v0_5.ModelDescr:
    context = ValidationContext(perform_io_checks=False, log_warnings=False)
    try:
        described = build_description(content, context=context)
    except ValidationError:  # the library stumbles over what it would say of a wrong version
        version = shown(str(content.get("version")))
        raise RefusedError(f'its description is not valid: version: "{version}" is none') from None
    if isinstance(described, InvalidDescr):
        raise RefusedError(f"its description is not valid: {_first_error(described)}")
    assert isinstance(described, v0_4.ModelDescr | v0_5.ModelDescr)
    return described


def _first_error(described: InvalidDescr) -> str:
    errors = [error for detail in described.validation_summary.details for error in detail.errors]
    # pydantic's own steps, which stand between brackets, mean nothing to a reader.
    where = ".".join(str(part) for part in errors[0].loc if "[" not in str(part))
    what = textwrap.shorten(errors[0].msg, _LONGEST_REASON, placeholder=" …")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {what}{more}"


def _spec(
    described: v0_4.ModelDescr | v0_5.ModelDescr, content: Mapping[str, Any], sha256: str
) -> ModelSpec:
    config = _our_config(described)
    weights = _weights(described.weights)
    if isinstance(described, v0_5.ModelDescr):
        inputs, outputs = tensors_0_5(described, content)
        bioimageio = _mapping(described.config.bioimageio.model_extra)
    else:
        inputs, outputs = tensors_0_4(described)
        bioimageio = _mapping(described.config.get("bioimageio"))
    members = outputs.pop() if config and [each.id for each in outputs[1:]] == [MEMBERS] else None
    restored, *others = _images(inputs, outputs, bool(config))
    tiling = _tiling(restored.tiling, config)
    return ModelSpec(
        name=described.name,
        nickname=str(bioimageio.get("nickname", "")),
        version=str(described.version or ""),
        description=described.description,
        license=str(described.license or ""),
        format_version=str(content["format_version"]),
        rdf_sha256=sha256,
        input=_tensor(inputs[0]),
        output=restored.tensor,
        weights=weights,
        tiling=tiling,
        normalization=restored.normalization,
        memory_per_pixel=_memory_per_pixel(config),
        config=config,
        procedure=procedure_of(config, "".join(tiling)),
        members=_members(inputs, outputs[0], members) if members else None,
        more_inputs=tuple(map(_tensor, inputs[1:])),
        position=restored.position,
        placement=restored.placement,
        depth=restored.depth,
        spread=_spread(config),
        outputs=(restored, *others) if others else (),
    )


def _images(inputs: list[Tensor], outputs: list[Tensor], inverted: bool) -> list[OutputSpec]:
    """The outputs that are images of the first input; where none is, RefusedError says why the
    first one is not."""
    before = [tensor.steps for tensor in inputs]
    for tensor in inputs:
        check_references(tensor, inputs, {})
    images, refusals = [], []
    for position, output in enumerate(outputs):
        try:
            geometry = geometry_of(inputs, output)
            check_references(output, inputs, geometry.placement)
        except RefusedError as refusal:
            refusals.append(refusal)
            continue
        channels = len(inputs[0].channel_names), len(output.channel_names)
        images.append(
            OutputSpec(
                tensor=_tensor(output),
                position=position,
                tiling=geometry.tiling,
                placement=geometry.placement,
                depth=geometry.depth,
                normalization=normalization_of(before, output.steps, channels, inverted=inverted),
            )
        )
    if not images:
        raise refusals[0]
    return images


def _tensor(tensor: Tensor) -> TensorSpec:
    return TensorSpec(
        tensor.id, tensor.letters, tensor.channel_names, tensor.test_tensor, tensor.sample_tensor
    )


def _members(inputs: list[Tensor], kept: Tensor, found: Tensor) -> TensorSpec:
    """The tensor of predicted distributions; RefusedError where it is not as care_bridge makes
    it."""
    count, rest = divmod(len(found.channel_names), 2 * len(kept.channel_names))
    geometry_of(inputs, found)
    if found.letters != kept.letters or not count or rest:
        raise RefusedError(
            f'its tensor "{found.id}" has {len(found.channel_names)} channels and the axes '
            f'{found.letters}, expected a mean and a scale for each channel of "{kept.id}" in '
            f"every member, and {kept.letters}"
        )
    means = after_scales(kept.steps, len(kept.channel_names))
    scales = tuple(Scale(gain=scale.gain, offset=0.0) for scale in means)
    if after_scales(found.steps, len(found.channel_names)) != (means + scales) * count:
        raise RefusedError(
            f'its tensor "{found.id}" is not scaled as its tensor "{kept.id}": means by gain and '
            "offset, scales by gain alone"
        )
    return _tensor(found)


def _our_config(described: v0_4.ModelDescr | v0_5.ModelDescr) -> dict[str, Any]:
    if isinstance(described, v0_4.ModelDescr):
        return {}  # care_bridge never wrote that format
    config = (described.config.model_extra or {}).get("care_bridge")
    if config is None:
        return {}
    if not isinstance(config, Mapping) or config.get("format") != CONFIG_FORMAT:
        raise RefusedError(
            f"its config.care_bridge is not of format {CONFIG_FORMAT}: it was made by another "
            "version of care_bridge, update care_bridge or export the model again"
        )
    # As plain JSON data it is the same whether it comes from the RDF or from the cache.
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


def _weights(weights: v0_4.WeightsDescr | v0_5.WeightsDescr) -> Weights:
    onnx = weights.onnx
    if onnx is None:
        formats = ", ".join(weights.available_formats)
        code = ", which is code of its own" if "pytorch_state_dict" in formats else ""
        raise RefusedError(f"its weights are {formats}{code}, care_bridge runs onnx")
    if getattr(onnx, "external_data", None) is not None:
        raise RefusedError("its ONNX weights lie in two files, care_bridge runs one")
    if onnx.sha256 is None:
        raise RefusedError("its ONNX weights have no sha256, so they cannot be verified")
    return Weights(source=str(onnx.source), sha256=str(onnx.sha256), opset=onnx.opset_version)


def _tiling(
    declared: Mapping[str, AxisLimits], config: Mapping[str, Any]
) -> Mapping[str, AxisLimits]:
    tiling = declared
    if config:
        step, halo = (_pixels_by_axis(config, key, declared) for key in ("size_step", "halo"))
        tiling = {axis: AxisLimits(step[axis], step[axis], halo[axis]) for axis in declared}
    for axis, limits in tiling.items():
        most = max(limits.min, limits.step, limits.halo)
        if most > MOST_PIXELS:
            raise RefusedError(
                f"its tensors have at least {most} pixels along {axis}, care_bridge runs models "
                f"with tiles of at most {MOST_PIXELS}"
            )
    return tiling


def _pixels_by_axis(
    config: Mapping[str, Any], key: str, declared: Mapping[str, AxisLimits]
) -> dict[str, int]:
    given = config.get(key)
    if not isinstance(given, dict) or set(given) != {axis.lower() for axis in declared}:
        raise RefusedError(f"its config.care_bridge.{key} does not name the axes of the model")
    least = {"size_step": 1, "halo": 0}[key]
    if not all(type(pixels) is int and pixels >= least for pixels in given.values()):
        raise RefusedError(f"its config.care_bridge.{key} does not hold numbers of pixels")
    return {axis: given[axis.lower()] for axis in declared}


def _memory_per_pixel(config: Mapping[str, Any]) -> float | None:
    memory = config.get("memory_per_pixel")
    if memory is None:
        return None
    if not isinstance(memory, int | float) or not 0 < memory < _MOST_BYTES:
        raise RefusedError("its config.care_bridge.memory_per_pixel is not a number of bytes")
    return float(memory)


def _spread(config: Mapping[str, Any]) -> float:
    spread = config.get("spread", 1.0)
    if not isinstance(spread, int | float) or not 0 < spread < math.inf:
        raise RefusedError("its config.care_bridge.spread is not a positive number")
    return float(spread)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
