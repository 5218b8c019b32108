"""The tensors that an RDF of format 0.5 describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bioimageio.spec.model import v0_5 as rdf

from care_bridge.axes import axes_from_rdf
from care_bridge.package.geometry import Axis, Following, Stepped, Tensor
from care_bridge.package.refusal import RefusedError
from care_bridge.package.steps import Processed, Step

if TYPE_CHECKING:
    from pydantic import BaseModel

# Of two scales in physical units, whose numbers are rounded.
_LARGEST_PART = 1000

Described = rdf.InputTensorDescr | rdf.OutputTensorDescr


def tensors_0_5(
    model: rdf.ModelDescr, content: Mapping[str, Any]
) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and outputs of `model`, whose RDF as it was written is `content`."""
    inputs = [
        _tensor(each, written.get("preprocessing"), each.preprocessing, model.inputs)
        for each, written in zip(model.inputs, content["inputs"], strict=True)
    ]
    outputs = [
        _tensor(each, written.get("postprocessing"), each.postprocessing, model.inputs)
        for each, written in zip(model.outputs, content["outputs"], strict=True)
    ]
    return inputs, outputs


def _tensor(
    tensor: Described,
    written: Sequence[Mapping[str, Any]] | None,
    steps: Sequence[Any],
    inputs: Sequence[rdf.InputTensorDescr],
) -> Tensor:
    if isinstance(tensor, rdf.InputTensorDescr) and tensor.optional:
        raise RefusedError(f'its input "{tensor.id}" may be left out, which ONNX inputs may not')
    if tensor.test_tensor is None:
        raise RefusedError(f'its tensor "{tensor.id}" has no test tensor')
    letters = {str(axis.id): _letter(axis) for axis in tensor.axes}
    names = _channel_names(tensor)
    processed = Processed(str(tensor.id), "".join(letters.values()), len(names))
    sample = tensor.sample_tensor
    return Tensor(
        id=str(tensor.id),
        axes=tuple(_axis(axis, inputs) for axis in tensor.axes),
        channel_names=names,
        test_tensor=str(tensor.test_tensor.source),
        sample_tensor=str(sample.source) if sample else None,
        steps=tuple(_step(step, processed, letters) for step in _written(steps, written or ())),
    )


def _letter(axis: Any) -> str:
    return axes_from_rdf(["channel" if isinstance(axis, rdf.ChannelAxis) else str(axis.id)])


def _channel_names(tensor: Described) -> tuple[str, ...]:
    """A tensor without channels is one."""
    for axis in tensor.axes:
        if isinstance(axis, rdf.ChannelAxis):
            return tuple(str(name) for name in axis.channel_names)
    return (str(tensor.id),)


def _axis(axis: Any, inputs: Sequence[rdf.InputTensorDescr]) -> Axis:
    letter, size = _letter(axis), axis.size
    if letter == "B":
        return Axis(letter, 1)
    if isinstance(size, rdf.ParameterizedSize):
        return Axis(letter, Stepped(size.min, size.step))
    halo = getattr(axis, "halo", 0)
    if isinstance(size, rdf.SizeReference):
        return Axis(letter, _following(axis, size, inputs), halo)
    if not isinstance(size, int):
        raise RefusedError(f"its size along {axis.id} depends on the data: it is no image")
    return Axis(letter, size, halo)


def _following(
    axis: Any, size: rdf.SizeReference, inputs: Sequence[rdf.InputTensorDescr]
) -> Following:
    for tensor in inputs:
        for other in tensor.axes:
            if (tensor.id, other.id) == (size.tensor_id, size.axis_id):
                scale = Fraction(other.scale) / Fraction(axis.scale)
                scale = scale.limit_denominator(_LARGEST_PART)
                return Following(str(tensor.id), _letter(other), scale, size.offset)
    raise RefusedError(
        f"its size along {axis.id} follows {size.tensor_id}.{size.axis_id}, which is no axis of an "
        "input"
    )


def _written(steps: Sequence[Any], written: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The steps that the RDF names: the spec library puts conversions to the type of the tensor's
    data before and after them, by which an input of integers would be rounded when it is
    normalised."""
    kept = list(steps)
    names = [str(step.get("id")) for step in written]
    if len(kept) > len(names) and kept[0].id == "ensure_dtype" != next(iter(names), ""):
        kept = kept[1:]
    return kept[: len(names)]


def _step(step: Any, tensor: Processed, letters: Mapping[str, str]) -> Step:
    if step.id == "custom":
        raise RefusedError(
            f"its {tensor.id} needs the code in {step.source} of the package, care_bridge runs none"
        )
    given = _plain(step.kwargs)
    if given.get("axes") is not None:
        given["axes"] = [letters[name] for name in given["axes"]]
    if given.get("axis") is not None:
        given["axis"] = letters.get(given["axis"], given["axis"])
    if step.id == "softmax" and "C" not in tensor.axes:
        raise RefusedError(f"its {tensor.id} has no channels for its softmax")
    return tensor.step(str(step.id), given)


def _plain(kwargs: BaseModel) -> dict[str, Any]:
    return kwargs.model_dump(mode="json")
