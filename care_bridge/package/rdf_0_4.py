"""The tensors that an RDF of format 0.4 describes.

The format names axes by letters, gives an output's size as input * scale + 2 * offset, with scale
0 or null for an axis that the input does not have, and an argument for each channel by `axes` that
leave the channel out. The spec library's own conversion to format 0.5 loses the reference tensor
and the mode of scale_range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from bioimageio.spec.model import v0_4 as rdf

from care_bridge.package.geometry import Axis, Following, Stepped, Tensor
from care_bridge.package.refusal import RefusedError
from care_bridge.package.steps import Processed, Step

_LARGEST_PART = 1000
_FIXED = ("scale_linear", "zero_mean_unit_variance")

Described = rdf.InputTensorDescr | rdf.OutputTensorDescr


def tensors_0_4(model: rdf.ModelDescr) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and outputs of `model`."""
    described: list[Described] = [*model.inputs, *model.outputs]
    for tensor in described:
        _check_length(tensor)
    if (len(model.inputs), len(model.outputs)) != (len(model.test_inputs), len(model.test_outputs)):
        raise RefusedError("it does not have a test tensor for each of its tensors")
    channels = {str(each.name): _input_channels(each) for each in model.inputs}
    inputs = [
        _tensor(each, _input_axes(each), channels[str(each.name)], each.preprocessing, files)
        for each, files in zip(
            model.inputs, _files(model.test_inputs, model.sample_inputs), strict=True
        )
    ]
    outputs = [
        _tensor(each, *_output_axes(each, channels), each.postprocessing, files)
        for each, files in zip(
            model.outputs, _files(model.test_outputs, model.sample_outputs), strict=True
        )
    ]
    return inputs, outputs


def _check_length(tensor: Described) -> None:
    if len(tensor.axes) != len(tensor.shape):
        raise RefusedError(
            f'its tensor "{tensor.name}" has the axes {tensor.axes} and {len(tensor.shape)} sizes'
        )


def _files(tests: Sequence[Any], samples: Sequence[Any]) -> list[tuple[str, str | None]]:
    """The test and the sample of each tensor."""
    known = [str(sample) for sample in samples] if len(samples) == len(tests) else []
    return [(str(test), known[place] if known else None) for place, test in enumerate(tests)]


def _tensor(
    tensor: Described,
    axes: tuple[Axis, ...],
    channels: int,
    steps: Sequence[Any],
    files: tuple[str, str | None],
) -> Tensor:
    processed = Processed(str(tensor.name), str(tensor.axes).upper(), channels)
    return Tensor(
        id=str(tensor.name),
        axes=axes,
        channel_names=tuple(f"channel{number}" for number in range(channels)),
        test_tensor=files[0],
        sample_tensor=files[1],
        steps=tuple(_step(step, processed) for step in steps),
    )


def _input_channels(tensor: rdf.InputTensorDescr) -> int:
    shape = tensor.shape
    smallest = shape.min if isinstance(shape, rdf.ParameterizedInputShape) else shape
    return dict(zip(str(tensor.axes), map(int, smallest), strict=True)).get("c", 1)


def _input_axes(tensor: rdf.InputTensorDescr) -> tuple[Axis, ...]:
    letters, shape = str(tensor.axes).upper(), tensor.shape
    if not isinstance(shape, rdf.ParameterizedInputShape):
        return tuple(Axis(*each) for each in zip(letters, map(int, shape), strict=True))
    return tuple(
        Axis(letter, Stepped(least, step) if step and letter not in "BC" else least)
        for letter, least, step in zip(letters, shape.min, shape.step, strict=True)
    )


def _output_axes(
    tensor: rdf.OutputTensorDescr, channels: Mapping[str, int]
) -> tuple[tuple[Axis, ...], int]:
    """The axes and the number of channels."""
    letters, shape = str(tensor.axes).upper(), tensor.shape
    halos = tensor.halo or [0] * len(letters)
    if not isinstance(shape, rdf.ImplicitOutputShape):
        sizes = dict(zip(letters, map(int, shape), strict=True))
        return tuple(map(Axis, letters, sizes.values(), halos)), sizes.get("C", 1)
    reference, count, axes_made = str(shape.reference_tensor), 1, []
    described = zip(letters, shape.scale, shape.offset, halos, strict=True)
    for letter, scale, offset, halo in described:
        extent = int(2 * offset)
        if letter == "C":
            count = round((scale or 0) * channels.get(reference, 1)) + extent
            axes_made.append(Axis(letter, count))
        elif letter == "B":
            axes_made.append(Axis(letter, 1))
        elif not scale:
            axes_made.append(Axis(letter, extent, halo))
        else:
            ratio = Fraction(scale).limit_denominator(_LARGEST_PART)
            axes_made.append(Axis(letter, Following(reference, letter, ratio, extent), halo))
    return tuple(axes_made), count


def _step(step: Any, tensor: Processed) -> Step:
    given: dict[str, Any] = step.kwargs.model_dump(mode="json")
    name, letters, mode = str(step.name), given.pop("axes", None), given.pop("mode", None)
    axes = None if letters is None else list(letters.upper())
    fixed = name in _FIXED and mode in (None, "fixed")
    if fixed and axes is not None:
        # What is not named has an argument for each of its pixels.
        complement = set(tensor.axes) - {*axes, "B"}
        lists = [value for value in given.values() if isinstance(value, list) and len(value) > 1]
        if lists and complement != {"C"}:
            raise RefusedError(
                f"the numbers of its {name} are by {', '.join(sorted(complement)) or 'no axis'}, "
                "care_bridge runs them by channel"
            )
    elif axes is not None:
        given["axes"] = [*axes, *(["B"] if mode == "per_dataset" else [])]
    if name == "zero_mean_unit_variance" and fixed:
        name = "fixed_zero_mean_unit_variance"
    return tensor.step(name, given)
