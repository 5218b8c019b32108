"""Which normalization equals the processing steps of an RDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from care_bridge.normalization import UNCHANGED, FixedScale, Percentiles, Scale
from care_bridge.package.geometry import Tensor
from care_bridge.package.refusal import RefusedError
from care_bridge.package.spec import Placement
from care_bridge.package.steps import FLOAT32, Operations, Step


def normalization_of(
    inputs: Sequence[tuple[Step, ...]],
    output: tuple[Step, ...],
    channels: tuple[int, int],
    *,
    inverted: bool,
) -> Percentiles | FixedScale | Operations:
    """What equals the steps of the inputs and of the output: percentiles or scales, of which more
    is known, where that can be. channels: of the (first) input and of the output. inverted: see
    Percentiles and FixedScale."""
    before, after = _besides_float32(inputs[0]), _besides_float32(output)
    if len(inputs) == 1 and len(before) <= 1 and len(after) <= 1:
        percentiles = _percentiles(before[0], channels[0], inverted) if before else None
        if percentiles and not after:
            return percentiles
        forward, backward = _forward(before, channels[0]), _backward(after, channels[1])
        if forward and backward:
            return FixedScale(before=forward, after=backward, inverted=inverted)
    return Operations(tuple(inputs), output)


def check_references(
    tensor: Tensor, inputs: Sequence[Tensor], placement: Mapping[str, Placement]
) -> None:
    """RefusedError where a step of `tensor` takes statistics of another one, by channel or by
    slice, that has other channels or slices. placement: see ModelSpec; {} for an input."""
    by_id = {each.id: each for each in inputs}
    for step in tensor.steps:
        name = step.kwargs.get("reference_tensor")
        if not name:
            continue
        other, apart = by_id[name], step.kwargs["apart"]  # the spec's library knows no other names
        said = f"its {step.id} of {tensor.id} is by"
        channels, others = len(tensor.channel_names), len(other.channel_names)
        if "C" in apart and others not in (1, channels):
            raise RefusedError(
                f"{said} channel of {name}, which has {others} channels for the {channels} of "
                f"{tensor.id}: care_bridge runs it with as many, or with one"
            )
        same_slices = "Z" in tensor.letters and "Z" not in placement
        if "Z" in apart and "Z" in other.letters and not same_slices:
            raise RefusedError(
                f"{said} slice of {name}, whose slices {tensor.id} does not have: care_bridge runs "
                "it over all slices"
            )


def after_scales(steps: tuple[Step, ...], channels: int) -> tuple[Scale, ...]:
    """For each channel the scale whose inverse, x * gain + offset, equals the steps after the
    network; RefusedError where none does."""
    scales = _backward(_besides_float32(steps), channels)
    if scales is None:
        raise RefusedError(
            f"its output has the steps {', '.join(step.id for step in steps)}, care_bridge makes "
            "scale_linear"
        )
    return scales


def _besides_float32(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(step for step in steps if step != FLOAT32)


def _percentiles(step: Step, channels: int, inverted: bool) -> Percentiles | None:
    """Those that are taken over all pixels of each channel of each image."""
    if step.id != "scale_range":
        return None
    given = step.kwargs
    together = set(given["axes"])
    by_channel = "C" not in together or channels == 1
    if given["dataset"] or given["reference_tensor"] or "Z" not in together or not by_channel:
        return None
    return Percentiles(
        low=given["min_percentile"],
        high=given["max_percentile"],
        eps=given["eps"],
        inverted=inverted,
    )


def _forward(steps: tuple[Step, ...], channels: int) -> tuple[Scale, ...] | None:
    """(x - offset) / gain that equals the steps, for each channel."""
    if not steps:
        return (UNCHANGED,) * channels
    (step,) = steps
    if step.id == "scale_linear":
        pairs = _pairs(step, ("gain", "offset"), channels)
        if all(gain for gain, _ in pairs):
            return tuple(Scale(gain=1 / gain, offset=-offset / gain) for gain, offset in pairs)
    if step.id == "fixed_zero_mean_unit_variance":
        pairs = _pairs(step, ("mean", "std"), channels)
        if all(std for _, std in pairs):
            return tuple(Scale(gain=std, offset=mean) for mean, std in pairs)
    return None


def _backward(steps: tuple[Step, ...], channels: int) -> tuple[Scale, ...] | None:
    if not steps:
        return (UNCHANGED,) * channels
    (step,) = steps
    if step.id != "scale_linear":
        return None
    pairs = _pairs(step, ("gain", "offset"), channels)
    return tuple(Scale(gain=gain, offset=offset) for gain, offset in pairs)


def _pairs(step: Step, names: tuple[str, str], channels: int) -> list[tuple[float, float]]:
    """Two arguments for each channel."""
    one, other = (step.kwargs[name] for name in names)
    repeated = (each * channels if len(each) == 1 else each for each in (one, other))
    return list(zip(*repeated, strict=True))
