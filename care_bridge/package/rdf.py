"""A package's description (RDF) as a ModelSpec: the only importer of bioimageio.spec.

Read are packages that care_bridge made, and others of format 0.5 that one ONNX network with one
input and one output can serve. Everything else is refused with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml
from bioimageio.spec import InvalidDescr, ValidationContext, build_description
from bioimageio.spec.model import v0_5 as rdf

from care_bridge.axes import axes_from_rdf
from care_bridge.errors import AxesError, PackageFormatError
from care_bridge.normalization import UNCHANGED, FixedScale, Percentiles, Scale
from care_bridge.package.spec import CONFIG_FORMAT, ModelSpec, TensorSpec, Weights
from care_bridge.tiling import AxisLimits

LARGEST_RDF = 4 << 20


def parse_rdf(data: bytes, origin: str) -> ModelSpec:
    """The ModelSpec that the RDF's bytes describe; `origin` names the package in messages.

    PackageFormatError where it is no valid RDF of format 0.5, or describes a model that
    care_bridge cannot run.
    """
    try:
        content = _content(data)
        written_as = str(content["format_version"])
        return _spec(_described(content), written_as, hashlib.sha256(data).hexdigest())
    except (_RefusedError, AxesError) as reason:
        raise PackageFormatError(f"cannot use the package {origin}: {reason}") from None


def rdf_warnings(data: bytes) -> list[str]:
    """What the spec library advises about an RDF that `parse_rdf` takes, a line each."""
    summary = _described(_content(data)).validation_summary
    return [
        " ".join(warning.msg.split()) for detail in summary.details for warning in detail.warnings
    ]


class _RefusedError(Exception):
    """Why a description cannot be used: the second half of a message."""


def _content(data: bytes) -> dict[str, Any]:
    if len(data) > LARGEST_RDF:
        raise _RefusedError(
            f"its description has {len(data)} bytes, at most {LARGEST_RDF} are read"
        )
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _RefusedError(
            f"its description is no YAML ({' '.join(str(error).split())})"
        ) from None
    if not isinstance(content, dict) or content.get("type") != "model":
        raise _RefusedError("its description is not of a model (type: model)")
    version = str(content.get("format_version"))
    if not version.startswith("0.5."):
        raise _RefusedError(f"its format_version is {version}, care_bridge runs 0.5")
    return content


def _described(content: dict[str, Any]) -> rdf.ModelDescr:
    context = ValidationContext(perform_io_checks=False, log_warnings=False)
    described = build_description(content, context=context)
    if isinstance(described, InvalidDescr):
        raise _RefusedError(f"its description is not valid: {_first_line(described)}")
    assert isinstance(described, rdf.ModelDescr)
    return described


def _first_line(described: InvalidDescr) -> str:
    reasons = (described.get_reason() or "").split("\n- ")
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return " ".join(reasons[0].split()) + more


def _spec(described: rdf.ModelDescr, format_version: str, sha256: str) -> ModelSpec:
    if len(described.inputs) != 1 or len(described.outputs) != 1:
        raise _RefusedError(
            f"it has {len(described.inputs)} inputs and {len(described.outputs)} outputs, "
            "care_bridge runs models with one of each"
        )
    source, restored = described.inputs[0], described.outputs[0]
    config = _our_config(described)
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
        tiling=_tiling(source, restored, config),
        normalization=_normalization(source, restored, inverted=bool(config)),
        memory_per_pixel=_memory_per_pixel(config),
        config=config,
    )


def _our_config(described: rdf.ModelDescr) -> dict[str, Any]:
    config = (described.config.model_extra or {}).get("care_bridge")
    if config is None:
        return {}
    if not isinstance(config, Mapping) or config.get("format") != CONFIG_FORMAT:
        raise _RefusedError(
            f"its config.care_bridge is not of format {CONFIG_FORMAT}: it was made by another "
            "version of care_bridge, update care_bridge or export the model again"
        )
    # As plain JSON data it is the same whether it comes from the RDF or from the cache.
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


def _tensor(tensor: rdf.InputTensorDescr | rdf.OutputTensorDescr) -> TensorSpec:
    axes = axes_from_rdf([str(axis.id) for axis in tensor.axes])
    if set(axes) not in ({*"BCYX"}, {*"BCZYX"}):
        raise _RefusedError(
            f'its tensor "{tensor.id}" has the axes {axes}, care_bridge runs B, C, Y and X, or B, '
            "C, Z, Y and X"
        )
    channels = next(axis for axis in tensor.axes if isinstance(axis, rdf.ChannelAxis))
    if tensor.test_tensor is None:
        raise _RefusedError(f'its tensor "{tensor.id}" has no test tensor')
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
        raise _RefusedError(f"its weights are {formats}, care_bridge runs onnx")
    if onnx.external_data is not None:
        raise _RefusedError("its ONNX weights lie in two files, care_bridge runs one")
    if onnx.sha256 is None:
        raise _RefusedError("its ONNX weights have no sha256, so they cannot be verified")
    return Weights(source=str(onnx.source), sha256=str(onnx.sha256), opset=onnx.opset_version)


def _tiling(
    source: rdf.InputTensorDescr, restored: rdf.OutputTensorDescr, config: Mapping[str, Any]
) -> dict[str, AxisLimits]:
    declared = _declared_tiling(source, restored)
    if not config:
        return declared
    missing = [key for key in ("size_step", "halo") if set(config.get(key, ())) != _ids(declared)]
    if missing:
        raise _RefusedError(
            f"its config.care_bridge.{missing[0]} does not name the axes of the model"
        )
    return {
        axis: AxisLimits(
            step=int(config["size_step"][axis.lower()]),
            min=int(config["size_step"][axis.lower()]),
            halo=int(config["halo"][axis.lower()]),
        )
        for axis in declared
    }


def _ids(tiling: Mapping[str, AxisLimits]) -> set[str]:
    return {axis.lower() for axis in tiling}


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
            raise _RefusedError(
                f"its input size along {name} is fixed or follows another axis, care_bridge runs "
                "models with sizes min + n*step along each axis"
            )
        out = outputs.get(name)
        if not _keeps_size(out, axis, source):
            raise _RefusedError(
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
    return None if memory is None else float(memory)


def _normalization(
    source: rdf.InputTensorDescr, restored: rdf.OutputTensorDescr, inverted: bool
) -> Percentiles | FixedScale:
    before = [step for step in source.preprocessing if not _is_float32(step)]
    after = [step for step in restored.postprocessing if not _is_float32(step)]
    if len(before) > 1 or len(after) > 1:
        raise _RefusedError(
            "it has several processing steps, care_bridge runs one before and one after"
        )
    if before and isinstance(before[0], rdf.ScaleRangeDescr):
        if after:
            raise _RefusedError(f"care_bridge cannot run {after[0].id} after scale_range")
        return _percentiles(before[0].kwargs, source, inverted)
    return FixedScale(
        before=_forward_scales(before[0], source) if before else (UNCHANGED,) * _channels(source),
        after=_backward_scales(after[0], restored) if after else (UNCHANGED,) * _channels(restored),
    )


def _is_float32(step: object) -> bool:
    return isinstance(step, rdf.EnsureDtypeDescr) and step.kwargs.dtype == "float32"


def _percentiles(
    kwargs: rdf.ScaleRangeKwargs, source: rdf.InputTensorDescr, inverted: bool
) -> Percentiles:
    axes = {str(axis) for axis in kwargs.axes or [axis.id for axis in source.axes]}
    space = {str(axis.id) for axis in source.axes if isinstance(axis, rdf.SpaceInputAxis)}
    jointly = "channel" in axes and _channels(source) > 1
    if not space <= axes or jointly or kwargs.reference_tensor not in (None, source.id):
        raise _RefusedError(
            "its scale_range is not over all pixels of each channel, which is what care_bridge runs"
        )
    return Percentiles(kwargs.min_percentile, kwargs.max_percentile, kwargs.eps, inverted)


def _forward_scales(step: object, source: rdf.InputTensorDescr) -> tuple[Scale, ...]:
    """(x - offset) / gain that equals the processing step, for each channel."""
    count = _channels(source)
    if isinstance(step, rdf.ScaleLinearDescr):
        return tuple(
            Scale(gain=1 / gain, offset=-offset / gain)
            for gain, offset in _gains_and_offsets(step, count)
        )
    if isinstance(step, rdf.FixedZeroMeanUnitVarianceDescr):
        means, stds = _each(step.kwargs.mean, count), _each(step.kwargs.std, count)
        return tuple(Scale(gain=std, offset=mean) for mean, std in zip(means, stds, strict=True))
    raise _RefusedError(
        f"care_bridge cannot run its preprocessing {getattr(step, 'id', '')}, only scale_range, "
        "scale_linear, fixed_zero_mean_unit_variance and ensure_dtype float32"
    )


def _backward_scales(step: object, restored: rdf.OutputTensorDescr) -> tuple[Scale, ...]:
    """The scales whose inverse, x * gain + offset, equals the processing step."""
    if not isinstance(step, rdf.ScaleLinearDescr):
        raise _RefusedError(
            f"care_bridge cannot run its postprocessing {getattr(step, 'id', '')}, only "
            "scale_linear and ensure_dtype float32"
        )
    return tuple(
        Scale(gain=gain, offset=offset)
        for gain, offset in _gains_and_offsets(step, _channels(restored))
    )


def _gains_and_offsets(step: rdf.ScaleLinearDescr, count: int) -> list[tuple[float, float]]:
    if isinstance(step.kwargs, rdf.ScaleLinearAlongAxisKwargs) and step.kwargs.axis != "channel":
        raise _RefusedError(
            f"its scale_linear is along {step.kwargs.axis}, care_bridge runs channel"
        )
    gains, offsets = _each(step.kwargs.gain, count), _each(step.kwargs.offset, count)
    if 0 in gains:
        raise _RefusedError("its scale_linear has the gain 0")
    return list(zip(gains, offsets, strict=True))


def _each(values: float | list[float], count: int) -> list[float]:
    each = list(values) if isinstance(values, list) else [values] * count
    if len(each) != count:
        raise _RefusedError(f"it has {len(each)} scales for {count} channels")
    return each


def _channels(tensor: rdf.InputTensorDescr | rdf.OutputTensorDescr) -> int:
    return next(axis.size for axis in tensor.axes if isinstance(axis, rdf.ChannelAxis))
