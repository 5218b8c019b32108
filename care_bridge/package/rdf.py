"""A package's description (RDF) as a ModelSpec: the only importer of bioimageio.spec.

Read are packages that care_bridge made, whose probabilistic networks have a second output, and
others of format 0.5 that one ONNX network with one input and one output can serve. Everything
else is refused with the reason.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bioimageio.spec import InvalidDescr, ValidationContext, build_description
from bioimageio.spec.generic.v0_3 import LicenseId
from bioimageio.spec.model import v0_5 as rdf

from care_bridge.axes import axes_from_rdf
from care_bridge.errors import AxesError, ConfigError, PackageFormatError
from care_bridge.normalization import Scale
from care_bridge.package.procedure import procedure_of
from care_bridge.package.processing import (
    RefusedError,
    Step,
    Steps,
    after_scales,
    normalization_of,
)
from care_bridge.package.spec import CONFIG_FORMAT, MEMBERS, ModelSpec, TensorSpec, Weights
from care_bridge.plain_yaml import read_plain_yaml
from care_bridge.tiling import AxisLimits

if TYPE_CHECKING:
    from pydantic import BaseModel

_LONGEST_REASON = 120


def parse_rdf(data: bytes, origin: str) -> ModelSpec:
    """The ModelSpec that the RDF's bytes describe; `origin` names the package in messages.

    PackageFormatError where it is no valid RDF of format 0.5, or describes a model that
    care_bridge cannot run.
    """
    try:
        content = _content(data)
        written_as = str(content["format_version"])
        return _spec(_described(content), written_as, hashlib.sha256(data).hexdigest())
    except (RefusedError, AxesError) as reason:
        raise PackageFormatError(f"cannot use the package {origin}: {reason}") from None


def rdf_warnings(data: bytes) -> list[str]:
    """What the spec library advises about an RDF that `parse_rdf` takes, a line each."""
    summary = _described(_content(data)).validation_summary
    return [
        " ".join(warning.msg.split()) for detail in summary.details for warning in detail.warnings
    ]


def is_license(name: str) -> bool:
    """Whether `name` is an SPDX license id that an RDF can hold."""
    try:
        LicenseId(name)
    except ValueError:
        return False
    return True


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = read_plain_yaml(data, "its description")
    except ConfigError as error:
        raise RefusedError(str(error)) from None
    if not isinstance(content, dict) or content.get("type") != "model":
        raise RefusedError("its description is not of a model (type: model)")
    version = str(content.get("format_version"))
    if not version.startswith("0.5."):
        raise RefusedError(f"its format_version is {version}, care_bridge runs 0.5")
    return content


def _described(content: dict[str, Any]) -> rdf.ModelDescr:
    context = ValidationContext(perform_io_checks=False, log_warnings=False)
    described = build_description(content, context=context)
    if isinstance(described, InvalidDescr):
        raise RefusedError(f"its description is not valid: {_first_error(described)}")
    assert isinstance(described, rdf.ModelDescr)
    return described


def _first_error(described: InvalidDescr) -> str:
    errors = [error for detail in described.validation_summary.details for error in detail.errors]
    # pydantic's own steps, which stand between brackets, mean nothing to a reader.
    where = ".".join(str(part) for part in errors[0].loc if "[" not in str(part))
    what = textwrap.shorten(errors[0].msg, _LONGEST_REASON, placeholder=" …")
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {what}{more}"


def _spec(described: rdf.ModelDescr, format_version: str, sha256: str) -> ModelSpec:
    config = _our_config(described)
    names = [str(output.id) for output in described.outputs]
    if len(described.inputs) != 1 or (len(names) != 1 and not (config and names[1:] == [MEMBERS])):
        raise RefusedError(
            f"it has {len(described.inputs)} inputs and {len(names)} outputs, care_bridge runs "
            "models with one of each"
        )
    source, restored = described.inputs[0], described.outputs[0]
    tiling = _tiling(source, restored, config)
    return ModelSpec(
        name=described.name,
        nickname=str((described.config.bioimageio.model_extra or {}).get("nickname", "")),
        version=str(described.version or ""),
        description=described.description,
        license=str(described.license or ""),
        format_version=format_version,
        rdf_sha256=sha256,
        input=_tensor(source),
        output=_tensor(restored),
        weights=_weights(described.weights),
        tiling=tiling,
        normalization=normalization_of(_steps(source), _steps(restored), inverted=bool(config)),
        memory_per_pixel=_memory_per_pixel(config),
        config=config,
        procedure=procedure_of(config, "".join(tiling)),
        members=_members(source, restored, described.outputs[1]) if names[1:] else None,
    )


def _members(
    source: rdf.InputTensorDescr, restored: rdf.OutputTensorDescr, members: rdf.OutputTensorDescr
) -> TensorSpec:
    """The tensor of predicted distributions; RefusedError where it is not as care_bridge makes
    it."""
    kept, found = _tensor(restored), _tensor(members)
    count, rest = divmod(len(found.channel_names), 2 * len(kept.channel_names))
    _declared_tiling(source, members)
    if found.axes != kept.axes or not count or rest:
        raise RefusedError(
            f'its tensor "{found.id}" has {len(found.channel_names)} channels and the axes '
            f'{found.axes}, expected a mean and a scale for each channel of "{kept.id}" in every '
            f"member, and {kept.axes}"
        )
    means = after_scales(_steps(restored))
    scales = tuple(Scale(gain=scale.gain, offset=0.0) for scale in means)
    if after_scales(_steps(members)) != (means + scales) * count:
        raise RefusedError(
            f'its tensor "{found.id}" is not scaled as its tensor "{kept.id}": means by gain and '
            "offset, scales by gain alone"
        )
    return found


def _our_config(described: rdf.ModelDescr) -> dict[str, Any]:
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


def _tensor(tensor: rdf.InputTensorDescr | rdf.OutputTensorDescr) -> TensorSpec:
    axes = axes_from_rdf([str(axis.id) for axis in tensor.axes])
    if set(axes) not in ({*"BCYX"}, {*"BCZYX"}):
        raise RefusedError(
            f'its tensor "{tensor.id}" has the axes {axes}, care_bridge runs B, C, Y and X, or B, '
            "C, Z, Y and X"
        )
    channels = next(axis for axis in tensor.axes if isinstance(axis, rdf.ChannelAxis))
    if tensor.test_tensor is None:
        raise RefusedError(f'its tensor "{tensor.id}" has no test tensor')
    sample = tensor.sample_tensor
    return TensorSpec(
        id=str(tensor.id),
        axes=axes,
        channel_names=tuple(str(name) for name in channels.channel_names),
        test_tensor=str(tensor.test_tensor.source),
        sample_tensor=str(sample.source) if sample else None,
    )


def _weights(weights: rdf.WeightsDescr) -> Weights:
    onnx = weights.onnx
    if onnx is None:
        formats = ", ".join(weights.available_formats)
        raise RefusedError(f"its weights are {formats}, care_bridge runs onnx")
    if onnx.external_data is not None:
        raise RefusedError("its ONNX weights lie in two files, care_bridge runs one")
    if onnx.sha256 is None:
        raise RefusedError("its ONNX weights have no sha256, so they cannot be verified")
    return Weights(source=str(onnx.source), sha256=str(onnx.sha256), opset=onnx.opset_version)


def _tiling(
    source: rdf.InputTensorDescr, restored: rdf.OutputTensorDescr, config: Mapping[str, Any]
) -> dict[str, AxisLimits]:
    declared = _declared_tiling(source, restored)
    if not config:
        return declared
    step, halo = (_pixels_by_axis(config, key, declared) for key in ("size_step", "halo"))
    return {axis: AxisLimits(step[axis], step[axis], halo[axis]) for axis in declared}


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


def _declared_tiling(
    source: rdf.InputTensorDescr, restored: rdf.OutputTensorDescr
) -> dict[str, AxisLimits]:
    tiling = {}
    outputs = {str(axis.id): axis for axis in restored.axes}
    for axis in source.axes:
        if not isinstance(axis, rdf.SpaceInputAxis):
            continue
        name = str(axis.id)
        if not isinstance(axis.size, rdf.ParameterizedSize):
            raise RefusedError(
                f"its input size along {name} is fixed or follows another axis, care_bridge runs "
                "models with sizes min + n*step along each axis"
            )
        out = outputs.get(name)
        if name == "z" and out is None and (axis.size.min, axis.size.step) == (1, 1):
            continue  # projected whole, whatever its size
        if not _keeps_size(out, axis, source):
            raise RefusedError(
                f"its output does not have its input's size along {name}, care_bridge runs models "
                "that keep it"
            )
        halo = out.halo if isinstance(out, rdf.SpaceOutputAxisWithHalo) else 0
        tiling[name.upper()] = AxisLimits(step=axis.size.step, min=axis.size.min, halo=halo)
    return {axis: tiling[axis] for axis in "ZYX" if axis in tiling}


def _keeps_size(out: object, axis: rdf.SpaceInputAxis, source: rdf.InputTensorDescr) -> bool:
    return (
        isinstance(out, rdf.SpaceOutputAxis | rdf.SpaceOutputAxisWithHalo)
        and isinstance(out.size, rdf.SizeReference)
        and (out.size.tensor_id, out.size.axis_id) == (source.id, axis.id)
        and out.size.offset == 0
        and out.scale == axis.scale
    )


def _memory_per_pixel(config: Mapping[str, Any]) -> float | None:
    memory = config.get("memory_per_pixel")
    if memory is None:
        return None
    if not isinstance(memory, int | float) or not memory > 0:
        raise RefusedError("its config.care_bridge.memory_per_pixel is not a number of bytes")
    return float(memory)


def _steps(tensor: rdf.InputTensorDescr | rdf.OutputTensorDescr) -> Steps:
    listed = (
        tensor.preprocessing if isinstance(tensor, rdf.InputTensorDescr) else tensor.postprocessing
    )
    return Steps(
        tensor=str(tensor.id),
        axes=tuple(str(axis.id) for axis in tensor.axes),
        channels=_channels(tensor),
        steps=[Step(str(step.id), _plain(step.kwargs)) for step in listed],
    )


def _plain(kwargs: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """The arguments of a step; those of a custom one are plain already."""
    return kwargs if isinstance(kwargs, dict) else kwargs.model_dump(mode="json")


def _channels(tensor: rdf.InputTensorDescr | rdf.OutputTensorDescr) -> int:
    return next(axis.size for axis in tensor.axes if isinstance(axis, rdf.ChannelAxis))
