"""The processing steps of an RDF as the normalization that the runtime does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from care_bridge.normalization import UNCHANGED, FixedScale, Percentiles, Scale


class RefusedError(Exception):
    """Why a description cannot be used: the second half of a message."""


@dataclass(frozen=True)
class Step:
    """A processing step: its id and its arguments with their defaults filled in."""

    id: str
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Steps:
    """The processing steps of a tensor, of which the RDF names the id, the axes (ids, in order)
    and the number of channels."""

    tensor: str
    axes: tuple[str, ...]
    channels: int
    steps: Sequence[Step]

    @property
    def only(self) -> Step | None:
        """The one step besides conversions to float32; RefusedError where there are several."""
        float32 = Step("ensure_dtype", {"dtype": "float32"})
        steps = [step for step in self.steps if step != float32]
        if len(steps) > 1:
            raise RefusedError(
                f'the tensor "{self.tensor}" has the processing steps '
                f"{', '.join(step.id for step in steps)}, care_bridge runs one"
            )
        return steps[0] if steps else None


def normalization_of(before: Steps, after: Steps, *, inverted: bool) -> Percentiles | FixedScale:
    """What equals the steps `before` the network and `after` it; RefusedError where nothing does.

    inverted: see Percentiles.
    """
    first, last = before.only, after.only
    if first and first.id == "scale_range":
        if last:
            raise RefusedError(f"care_bridge cannot run {last.id} after scale_range")
        return _percentiles(first, before, inverted)
    return FixedScale(before=_forward_scales(first, before.channels), after=after_scales(after))


def _percentiles(step: Step, before: Steps, inverted: bool) -> Percentiles:
    axes = set(step.kwargs["axes"] or before.axes)
    jointly = "channel" in axes and before.channels > 1
    foreign = step.kwargs["reference_tensor"] not in (None, before.tensor)
    if not set(before.axes) - {"batch", "channel"} <= axes or jointly or foreign:
        raise RefusedError(
            "its scale_range is not over all pixels of each channel, which is what care_bridge runs"
        )
    return Percentiles(
        low=step.kwargs["min_percentile"],
        high=step.kwargs["max_percentile"],
        eps=step.kwargs["eps"],
        inverted=inverted,
    )


def _forward_scales(step: Step | None, channels: int) -> tuple[Scale, ...]:
    """(x - offset) / gain that equals the step, for each channel."""
    if step is None:
        return (UNCHANGED,) * channels
    if step.id == "scale_linear":
        return tuple(
            Scale(gain=1 / gain, offset=-offset / gain)
            for gain, offset in _gains_and_offsets(step, channels)
        )
    if step.id == "fixed_zero_mean_unit_variance":
        return tuple(
            Scale(gain=std, offset=mean) for mean, std in _each(step, ("mean", "std"), channels)
        )
    raise RefusedError(
        f"care_bridge cannot run its preprocessing {step.id}, only scale_range, scale_linear, "
        "fixed_zero_mean_unit_variance and ensure_dtype float32"
    )


def after_scales(after: Steps) -> tuple[Scale, ...]:
    """For each channel the scale whose inverse, x * gain + offset, equals the steps after the
    network; RefusedError where none does."""
    step, channels = after.only, after.channels
    if step is None:
        return (UNCHANGED,) * channels
    if step.id != "scale_linear":
        raise RefusedError(
            f"care_bridge cannot run its postprocessing {step.id}, only scale_linear and "
            "ensure_dtype float32"
        )
    pairs = _gains_and_offsets(step, channels)
    return tuple(Scale(gain=gain, offset=offset) for gain, offset in pairs)


def _gains_and_offsets(step: Step, channels: int) -> list[tuple[float, float]]:
    pairs = _each(step, ("gain", "offset"), channels)
    if any(gain == 0 for gain, _ in pairs):
        raise RefusedError("its scale_linear has the gain 0")
    return pairs


def _each(step: Step, names: tuple[str, str], channels: int) -> list[tuple[float, float]]:
    """The two arguments for each channel, given as one number or as a list."""
    if step.kwargs.get("axis", "channel") != "channel":
        raise RefusedError(
            f"its {step.id} is along {step.kwargs['axis']}, care_bridge runs channel"
        )
    values = [step.kwargs[name] for name in names]
    one, other = (value if isinstance(value, list) else [value] * channels for value in values)
    if len(one) != channels or len(other) != channels:
        raise RefusedError(f"its {step.id} does not have a number for each of {channels} channels")
    return list(zip(one, other, strict=True))
